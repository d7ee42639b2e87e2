"""Collects tensors, buffers and operators, and packs them into a flatbuffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir import Array, DType, Graph, Node, Packed, QuantParams, Sparse, Value
from edgepack.schema import decode, sparse
from edgepack.schema import tflite as fmt
from edgepack.writers.registry import Lowerings
from edgepack.writers.tflite.versions import Signature, version_of

_ALIGNMENT: Final = 16  # of constant data in the file, as the schema asks
_ROOM, _ROOM_PER_TENSOR = 65536, 4096  # bytes for all that is not weights
_SCHEMA_VERSION: Final = 3
_ENDS_BYTES: Final = 64  # of each end of a buffer that is looked at before comparing it in full


class TFLiteBuilder:
    """One model being written: `emit` adds an operator, `finish` returns the file.

    With `packed`, constants that have a form of their own are stored in it.
    """

    def __init__(self, graph: Graph, *, packed: bool = False) -> None:
        self._s = fmt.schema()
        self._graph = graph
        self._packed = packed
        self._tensors: list[Any] = []
        self._index: dict[Value, int] = {}
        self._block_scales: dict[Value, int] = {}  # the tensor that holds them
        self._buffers: list[Array | None] = [None]  # buffer 0 is the empty one, by the format
        self._alike: dict[tuple[int, bytes, bytes], list[int]] = {}
        self._codes: dict[tuple[str, int, str], int] = {}
        self._operators: list[Any] = []
        self._parts: dict[int, Value] = {}
        self._filled: dict[Value, Value] = {}
        for value in [*graph.inputs, *graph.outputs]:
            self.tensor(value)

    # -- called by lowerings -----------------------------------------------------------------------

    def emit(
        self,
        builtin: str,
        node: Node,
        *,
        inputs: Sequence[Value | None] | None = None,
        intermediates: Sequence[Value] = (),
        slots: int = 0,
        options: str | None = None,
        **fields: Any,
    ) -> None:
        """Add the operator `builtin`; its inputs are the node's unless given.

        Absent inputs at the end are left out but up to `slots`, for kernels that count them.
        `options` is the schema's table ("Conv2DOptions") and `fields` its members in snake case
        (stride_h); every field of the table may be left at the schema's default. The version is the
        lowest that takes these tensors and options.
        """
        read = _without_trailing_none(node.inputs if inputs is None else inputs)
        version = version_of(builtin, Signature(read, node.outputs, fields))
        read = self._unpacked(tuple(self._densified(v) for v in read))
        operator = self._s.OperatorT()
        operator.opcodeIndex = self._code(builtin, version)
        operator.inputs = self._indices([*read, *[None] * (slots - len(read))])
        operator.outputs = self._indices(node.outputs)
        if intermediates:
            operator.intermediates = self._indices(intermediates)
        if options is not None:
            operator.builtinOptionsType = getattr(self._s.BuiltinOptions, options)
            operator.builtinOptions = self._options(options, fields)
        self._operators.append(operator)

    def constant(
        self,
        name: str,
        data: Array | Sequence[Any] | float,
        dtype: DType = DType.INT32,
        quant: QuantParams | None = None,
    ) -> Value:
        """A constant that only the format needs (a permutation, a shape)."""
        array = np.asarray(data, dtype.numpy)
        return Value(name, array.shape, dtype, quant, array)

    def variable(self, value: Value) -> Value:
        """A tensor of its own like `value` that the runtime keeps from one run to the next."""
        twin = Value(value.name, value.shape, value.dtype, value.quant)
        self._tensors[self.tensor(twin)].isVariable = True
        return twin

    def tensor(self, value: Value) -> int:
        """The tensor index of `value`, added at first sight."""
        if value not in self._index:
            if value.quant is not None and value.quant.block:
                self._block_scales[value] = self.tensor(_block_scales(value, value.quant))
            self._index[value] = len(self._tensors)
            self._tensors.append(self._tensor(value))
        return self._index[value]

    def _unpacked(self, read: tuple[Value | None, ...]) -> tuple[Value | None, ...]:
        """`read` with what an operator of its own unpacks first, for this reader alone.

        What it makes may be gone after the next operator (where the interpreter was given memory
        of its own for that), so each reader has one. Tensors that nobody asks for have no names.
        """
        packed = list(dict.fromkeys(v for v in read if v and isinstance(v.packed, Packed)))
        if not packed or not self._packed:
            return read
        made = {v: Value(v.name, v.shape, v.dtype, v.quant) for v in packed}
        forms = [v.packed for v in packed if isinstance(v.packed, Packed)]
        parts = [self._part(data) for form in forms for data in (form.encoded, form.ancillary)]
        operator = self._s.OperatorT()
        operator.opcodeIndex = self._code("CUSTOM", 1, decode.OPERATOR)
        operator.inputs = self._indices(parts)
        operator.outputs = self._indices(list(made.values()))
        self._operators.append(operator)
        return tuple(None if v is None else made.get(v, v) for v in read)

    def _densified(self, read: Value | None) -> Value | None:
        """`read`, or what an operator of its own makes of it where it is stored sparse.

        What it makes stays while the interpreter lives, so that all readers share it.
        """
        if read is None or not self._packed or not isinstance(read.packed, Sparse):
            return read
        if read not in self._filled:
            self._filled[read] = Value(read.name, read.shape, read.dtype, read.quant)
            operator = self._s.OperatorT()
            operator.opcodeIndex = self._code("DENSIFY", 1)
            operator.inputs = self._indices([read])
            operator.outputs = self._indices([self._filled[read]])
            self._operators.append(operator)
        return self._filled[read]

    def _part(self, data: Array) -> Value:
        """The one tensor that holds these bytes."""
        return self._parts.setdefault(id(data), self.constant("", data, DType.UINT8))

    # -- finishing ---------------------------------------------------------------------------------

    def finish(self, description: str) -> bytes:
        """The file's bytes; the same graph always gives the same ones."""
        import flatbuffers

        model = self._s.ModelT()
        model.version = _SCHEMA_VERSION
        model.description = description
        model.operatorCodes = [self._operator_code(*key) for key in self._codes]
        model.subgraphs = [self._subgraph()]
        model.signatureDefs = [self._signature()]
        model.buffers = [_AlignedBuffer(self._s, data) for data in self._buffers]
        weights = sum(b.nbytes for b in self._buffers if b is not None)
        # enough at once: when it is not, the builder doubles all of it by copying
        builder = flatbuffers.Builder(weights + _ROOM + _ROOM_PER_TENSOR * len(self._tensors))
        builder.Finish(model.Pack(builder), fmt.IDENTIFIER)
        return bytes(memoryview(builder.Bytes)[builder.Head() :])

    def _subgraph(self) -> Any:
        subgraph = self._s.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors = self._tensors
        subgraph.operators = self._operators
        subgraph.inputs = self._indices(self._graph.inputs)
        subgraph.outputs = self._indices(self._graph.outputs)
        return subgraph

    def _signature(self) -> Any:
        signature = self._s.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [self._tensor_map(v) for v in self._graph.inputs]
        signature.outputs = [self._tensor_map(v) for v in self._graph.outputs]
        return signature

    def _tensor_map(self, value: Value) -> Any:
        entry = self._s.TensorMapT()
        entry.name, entry.tensorIndex = value.name, self.tensor(value)
        return entry

    # -- parts -------------------------------------------------------------------------------------

    def _indices(self, values: Sequence[Value | None]) -> Any:
        return np.array([-1 if v is None else self.tensor(v) for v in values], np.int32)

    def _code(self, builtin: str, version: int, custom: str = "") -> int:
        return self._codes.setdefault((builtin, version, custom), len(self._codes))

    def _operator_code(self, builtin: str, version: int, custom: str) -> Any:
        code = self._s.OperatorCodeT()
        code.builtinCode = getattr(self._s.BuiltinOperator, builtin)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # what old runtimes read
        code.version = version
        code.customCode = custom or None
        return code

    def _options(self, table: str, fields: dict[str, Any]) -> Any:
        options = getattr(self._s, table + "T")()
        for name, value in fields.items():
            head, *rest = name.split("_")
            member = head + "".join(part.capitalize() for part in rest)
            if not hasattr(options, member):
                raise AttributeError(f"{table} has no member {member}")
            setattr(options, member, value)
        return options

    def _tensor(self, value: Value) -> Any:
        tensor = self._s.TensorT()
        tensor.name = value.name or None
        tensor.shape = np.array(value.shape, np.int32)
        tensor.hasRank = True
        tensor.type = fmt.tensor_type(value.dtype)
        if self._packed and isinstance(value.packed, Sparse):
            return self._sparse_tensor(tensor, value.packed, value)
        tensor.buffer = 0 if value.data is None else self._buffer(value.data, value.dtype)
        tensor.quantization = self._quantization(value)
        return tensor

    def _sparse_tensor(self, tensor: Any, form: Sparse, value: Value) -> Any:
        """What only DENSIFY reads: without a name, and without the scales, which its output has."""
        tensor.name = None
        tensor.sparsity = sparse.record_of(form, value.shape)
        tensor.buffer = self._buffer(form.values, value.dtype)
        return tensor

    def _quantization(self, value: Value) -> Any:
        quant = value.quant
        if quant is None:
            return None
        record = self._s.QuantizationParametersT()
        if quant.block:
            record.detailsType = self._s.QuantizationDetails.BlockwiseQuantization
            record.details = self._s.BlockwiseQuantizationT()
            record.details.scales = self._block_scales[value]
            record.details.zeroPoints = -1
            record.details.blockSize = quant.block
            return record
        record.scale = quant.scale
        record.zeroPoint = quant.zero_point
        record.quantizedDimension = quant.axis or 0
        return record

    def _buffer(self, data: Array, dtype: DType) -> int:
        """The index of a buffer with these bytes; equal ones are stored once.

        Only buffers of one size that begin and end alike are compared in full: hashing every
        weight would cost more than writing it.
        """
        raw = _packed_bytes(data, dtype)
        alike = self._alike.setdefault((raw.size, *_ends(raw)), [])
        for index in alike:
            if np.array_equal(self._stored(index), raw):
                return index
        alike.append(len(self._buffers))
        self._buffers.append(raw)
        return alike[-1]

    def _stored(self, index: int) -> Array:
        data = self._buffers[index]
        assert data is not None  # only the empty buffer 0 has none, and it is never looked up
        return data


lowers: Lowerings[TFLiteBuilder] = Lowerings("TFLite")


def require(node: Node, legal: bool, what: str) -> None:
    """Raise InternalError unless the node has the form that its builtin takes."""
    if not legal:
        raise InternalError(f"{what} is not legal in TFLite", at=f"{node.op} {node.name}")


def _block_scales(value: Value, quant: QuantParams) -> Value:
    """The scales of blocks as the constant that the format has for them."""
    data = quant.scale.astype(np.float16).reshape(*value.shape[:-1], -1)
    return Value(f"{value.name}/scales", data.shape, DType.FLOAT16, None, data)


def _without_trailing_none(values: Sequence[Value | None]) -> tuple[Value | None, ...]:
    """Optional inputs at the end are left out; only those in the middle are written as -1."""
    present = [i for i, value in enumerate(values) if value is not None]
    return tuple(values[: present[-1] + 1 if present else 0])


def _ends(raw: Array) -> tuple[bytes, bytes]:
    return raw[:_ENDS_BYTES].tobytes(), raw[-_ENDS_BYTES:].tobytes()


def _packed_bytes(data: Array, dtype: DType) -> Array:
    if dtype is DType.INT4:
        flat = np.append(data.reshape(-1), np.zeros(data.size % 2, data.dtype)).astype(np.uint8)
        return (flat[0::2] & 0x0F) | (flat[1::2] << 4)
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)


class _AlignedBuffer:
    """A BufferT whose data starts at a multiple of 16; the generated code aligns to one byte."""

    def __init__(self, schema: Any, data: Array | None) -> None:
        self._s = schema
        self._data = data

    def Pack(self, builder: Any) -> int:  # noqa: N802  (the generated code's name)
        offset = None
        if self._data is not None:
            builder.StartVector(1, self._data.size, _ALIGNMENT)
            start = builder.head - self._data.size
            builder.head = start
            # through numpy: assigning to a slice of a bytearray would copy the data twice
            np.frombuffer(builder.Bytes, np.uint8)[start : start + self._data.size] = self._data
            offset = builder.EndVector()
        self._s.BufferStart(builder)
        if offset is not None:
            self._s.BufferAddData(builder, offset)
        return int(self._s.BufferEnd(builder))
