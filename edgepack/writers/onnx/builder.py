"""Collects ONNX nodes and initializers, and keeps account of what is quantized.

A quantized value lives in the file as its integers, under its own name. `real` is the tensor of
real numbers that a DequantizeLinear makes of it, `raw` the integers themselves. Lowerings say what
they read by one or the other, and `emit` puts a QuantizeLinear after an operator whose result is
real and whose value is quantized. That is the QDQ form, which runtimes fuse into integer kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgepack.errors import Finding, InternalError, Unsupported
from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value
from edgepack.writers.onnx.versions import IR_VERSIONS, LOWEST_OPSET, lowest_opset
from edgepack.writers.registry import Lowerings

# Constants that are stored as they are; others, int16 states and int64 biases, as real numbers.
_LINEAR: Final = (DType.INT8, DType.UINT8, DType.INT32, DType.INT4)


class OnnxBuilder:
    """One model being written: `emit` adds an operator, `finish` returns the file."""

    def __init__(self, graph: Graph, opset: int | None = None) -> None:
        import onnx

        self._onnx = onnx
        self._graph = graph
        self.opset = max(opset or LOWEST_OPSET, lowest_opset(graph))
        self._nodes: list[Any] = []
        self._initializers: dict[tuple[DType, tuple[int, ...], bytes, QuantParams | None], str] = {}
        self._tensors: list[Any] = []
        self._written: dict[Value, str] = {}  # constants
        self._dequantized: dict[Value, str] = {}
        self._parameter_names: dict[Value, str] = {}
        self._quant_names: dict[str, list[str]] = {}
        self._names = {value.name for value in graph.values()}

    # -- what lowerings read -----------------------------------------------------------------------

    def raw(self, value: Value) -> str:
        """The tensor as it is stored: integers where it is quantized."""
        if value.data is None:
            return value.name
        if value not in self._written:
            half = value.dtype if value.dtype is DType.BFLOAT16 else None
            self._written[value] = self.initializer(value.data, value.name, half)
        return self._written[value]

    def real(self, value: Value, name: str = "") -> str:
        """The tensor of real numbers (or of integers that are not quantized).

        `name` is that of a DequantizeLinear, if there has to be one and there is none yet.
        """
        if value.quant is None:
            return self.raw(value)
        if value not in self._dequantized:
            self._dequantized[value] = self._dequantize(value, name)
        return self._dequantized[value]

    def _dequantize(self, value: Value, name: str) -> str:
        quant = value.quant
        assert quant is not None
        if value.data is not None:
            # Only layers have kernels for more than one scale: see `parameter`.
            return self.weights(
                value.data if quant.is_per_tensor else value.real,
                quant if quant.is_per_tensor else None,
                value,
            )
        name = name or self.fresh(f"{value.name}/real")
        return self.dequantize(value.name, quant, value.dtype, name)

    def parameter(self, value: Value) -> str:
        """The weights or the bias of a layer, as real numbers; scales per channel are kept."""
        if value.data is None or value.quant is None or value.quant.is_per_tensor:
            return self.real(value)
        if value not in self._parameter_names:
            self._parameter_names[value] = self.weights(value.data, value.quant, value)
        return self._parameter_names[value]

    def weights(self, data: Array, quant: QuantParams | None, like: Value) -> str:
        """A constant in another shape than `like`, the value that it comes from, as real numbers.

        Quantized ones are stored as integers before a DequantizeLinear, if ONNX has one for them.
        """
        if quant is None:
            return self.initializer(data, like.name)
        dtype = like.dtype if like.dtype is DType.INT4 else DType.of(data)
        if dtype not in _LINEAR:
            return self.initializer(quant.dequantize(data), like.name)
        stored = self.initializer(data, like.name, dtype, quant)
        return self.dequantize(stored, quant, dtype, self.fresh(f"{like.name}/real"))

    def constant(self, data: Any, dtype: DType = DType.INT64, name: str = "const") -> str:
        """An initializer that only the format needs (a shape, axes)."""
        return self.initializer(np.asarray(data, dtype.numpy), name)

    def initializer(
        self, data: Array, name: str, dtype: DType | None = None, quant: QuantParams | None = None
    ) -> str:
        """The name of an initializer with this content, which is written once.

        `dtype` is the array's own unless it is int4 or bfloat16, held by int8 and uint16 arrays.
        Equal integers of different parameters are written for each: ONNX Runtime changes weights
        in place.
        """
        array, dtype = np.ascontiguousarray(data).reshape(data.shape), dtype or DType.of(data)
        key = (dtype, array.shape, array.tobytes(), quant)
        if key not in self._initializers:
            self._initializers[key] = self._new_initializer(array, name, dtype)
        return self._initializers[key]

    def _new_initializer(self, array: Array, name: str, dtype: DType) -> str:
        name = self.fresh(name)
        if dtype in (DType.INT4, DType.BFLOAT16):
            kind = getattr(self._onnx.TensorProto, dtype.name)
            raw = _two_in_a_byte(array) if dtype is DType.INT4 else array.tobytes()
            tensor = self._onnx.helper.make_tensor(name, kind, array.shape, raw, raw=True)
        else:
            tensor = self._onnx.numpy_helper.from_array(array, name)
        self._tensors.append(tensor)
        return name

    # -- what lowerings write ----------------------------------------------------------------------

    def emit(self, op: str, inputs: Sequence[str], value: Value, **attrs: Any) -> None:
        """The operator that makes `value` out of real numbers."""
        if value.quant is None:
            self.op(op, inputs, value.name, **attrs)
        else:
            self.store(self.op(op, inputs, **attrs), value)

    def emit_raw(self, op: str, inputs: Sequence[str], value: Value, **attrs: Any) -> None:
        """The operator that makes `value` as it is stored."""
        self.op(op, inputs, value.name, **attrs)

    def store(self, name: str, value: Value) -> None:
        """Let the tensor `name` of real numbers be `value`, quantized if that is."""
        if value.quant is None:
            self.op("Identity", [name], value.name)
        else:
            self.quantize(name, value.quant, value.dtype, value.name)

    def op(self, op: str, inputs: Sequence[str], output: str = "", **attrs: Any) -> str:
        """An operator with one output, and the name of that; without `output` it gets a new one."""
        return self.op_multi(op, inputs, [output or self.fresh(op.lower())], **attrs)[0]

    def op_multi(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attrs: Any
    ) -> list[str]:
        """An operator with these outputs."""
        name = outputs[0] or next(o for o in outputs if o)
        node = self._onnx.helper.make_node(op, list(inputs), list(outputs), name=name)
        for key in sorted(attrs):
            if attrs[key] is not None:
                node.attribute.append(self._onnx.helper.make_attribute(key, attrs[key]))
        self._nodes.append(node)
        return list(outputs)

    def quantize(self, name: str, quant: QuantParams, dtype: DType, output: str = "") -> str:
        """QuantizeLinear."""
        output = output or self.fresh(f"{name}/stored")
        inputs = [name, *self._parameters(quant, dtype, output)]
        return self.op("QuantizeLinear", inputs, output, axis=quant.axis)

    def dequantize(self, name: str, quant: QuantParams, dtype: DType, output: str = "") -> str:
        """DequantizeLinear."""
        output = output or self.fresh(f"{name}/real")
        inputs = [name, *self._parameters(quant, dtype, name)]
        return self.op("DequantizeLinear", inputs, output, axis=quant.axis)

    def _parameters(self, quant: QuantParams, dtype: DType, stored: str) -> list[str]:
        """Scale and zero point of the integers `stored`, which share them with nobody.

        ONNX Runtime replaces zero points in place when it makes weights unsigned.
        """
        if stored not in self._quant_names:
            self._quant_names[stored] = self._new_parameters(quant, dtype, stored)
        return self._quant_names[stored]

    def _new_parameters(self, quant: QuantParams, dtype: DType, stored: str) -> list[str]:
        scale, zero = quant.scale, quant.zero_point.astype(dtype.numpy)
        if quant.axis is None:
            scale, zero = scale.reshape(()), zero.reshape(())
        names = [self._new_initializer(scale, f"{stored}/scale", DType.FLOAT32)]
        if dtype is not DType.INT32:  # which has no zero point in ONNX: it is 0
            names.append(self._new_initializer(zero, f"{stored}/zero_point", dtype))
        return names

    def fresh(self, stem: str) -> str:
        """A tensor name that is not used yet."""
        name, count = stem, 0
        while name in self._names:
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name

    def cast(self, name: str, dtype: DType, output: str = "") -> str:
        """Cast to `dtype`."""
        return self.op("Cast", [name], output, to=self.tensor_type(dtype))

    def tensor_type(self, dtype: DType) -> int:
        """The TensorProto.DataType of a dtype; int4 is stored as int8."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(dtype.numpy))

    # -- finishing ---------------------------------------------------------------------------------

    def finish(self, description: str) -> bytes:
        """The file's bytes; the same graph always gives the same ones."""
        outputs = self._outputs()
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            self._graph.name,
            [self._info(v.name, v) for v in self._graph.inputs],
            [self._info(name, v) for name, v in zip(outputs, self._graph.outputs, strict=True)],
            self._tensors,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=IR_VERSIONS[self.opset],
            producer_name=description,
        )
        self._check(model)
        return bytes(model.SerializeToString(deterministic=True))

    def _outputs(self) -> list[str]:
        """The outputs' names: an input, a constant or a value listed twice gets an Identity."""
        names: list[str] = []
        for value in self._graph.outputs:
            name = self.raw(value)
            if value.producer is None or name in names:
                name = self.op("Identity", [name], self.fresh(f"{value.name}/output"))
            names.append(name)
        return names

    def _info(self, name: str, value: Value) -> Any:
        kind = self.tensor_type(value.dtype)
        return self._onnx.helper.make_tensor_value_info(name, kind, value.shape)

    def _check(self, model: Any) -> None:
        if model.ByteSize() >= _LARGEST_FILE:
            problem = Finding(self._graph.name, "model", None, "larger than 2 GB")
            raise Unsupported("an ONNX file holds less than 2 GB", [problem])


def _two_in_a_byte(array: Array) -> bytes:
    """int4 as ONNX packs it: the first of a pair in the lower half, the last byte filled up."""
    flat = np.append(array.reshape(-1), np.zeros(array.size % 2, array.dtype)).astype(np.uint8)
    return ((flat[0::2] & 0x0F) | (flat[1::2] << 4)).tobytes()


_LARGEST_FILE: Final = 2**31


lowers: Lowerings[OnnxBuilder] = Lowerings("ONNX")


def need(holds: bool, node: Node, problem: str) -> None:
    """Raise InternalError where the legalizer has left a form that ONNX has not."""
    if not holds:
        raise InternalError(f"{node.op} {problem}: not legal in ONNX", at=node.name)
