"""From a `.tflite` file to a graph: walks the operators in order and lets each row add its node."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from edgepack.errors import BadModel, EdgepackError, Finding, InternalError, Unsupported
from edgepack.ir import DType, Graph, Value
from edgepack.ir.check import check
from edgepack.readers.emitter import Refused
from edgepack.readers.options import ReadOptions
from edgepack.readers.shapes import Dim, input_shapes
from edgepack.readers.tflite import rows  # noqa: F401 (register)
from edgepack.readers.tflite.records import Model, Operator, Tensor, parse
from edgepack.readers.tflite.registry import ROWS, OpView
from edgepack.readers.tflite.states import States


def read_tflite(source: str | Path | bytes, options: ReadOptions | None = None) -> Graph:
    """The graph of a `.tflite` file (its path or its bytes), quantization kept.

    The first subgraph is read. A dynamic batch becomes 1 unless `options.input_shapes` says more.
    Variables become inputs and outputs of the graph, after its own: whoever runs it hands them on.
    Raises BadModel for files that are damaged or contradict themselves, Unsupported with every
    operator that has no place in the IR.
    """
    if isinstance(source, bytes):
        path, data = "model", source
    else:
        path = str(source)
        data = _load(path)
    graph = Reading(parse(data, path), options or ReadOptions()).run()
    graph.name = Path(path).stem
    graph.source.path, graph.source.format = path, "tflite"
    graph.source.sha256 = hashlib.sha256(data).hexdigest()
    return graph


def _load(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise BadModel(f"{path} cannot be read: {problem.strerror}") from problem


class Reading:
    """The state of one read: which IR value stands for which tensor."""

    def __init__(self, model: Model, options: ReadOptions) -> None:
        self.model = model
        self.options = options
        self.graph = Graph(model.name)
        self.resized = False
        self._values: dict[int, Value] = {}
        self._findings: list[Finding] = []
        self.states = States(self.graph)

    def run(self) -> Graph:
        """Read everything; raise Unsupported with all findings at once."""
        self._inputs()
        for operator in self.model.operators:
            self._operator(operator)
        if self._findings:
            raise Unsupported("this model has operators that cannot be read", self._findings)
        outputs = [self.value(i, "the model's output") for i in self.model.outputs]
        self.graph.outputs = [*outputs, *self.states.written()]
        try:
            check(self.graph)
        except InternalError as problem:
            raise BadModel(f"the model contradicts itself: {problem.message}", at=problem.at) from (
                problem
            )
        return self.graph

    # -- tensors -----------------------------------------------------------------------------------

    def tensor(self, index: int) -> Tensor:
        """The record of a tensor."""
        return self.model.tensors[index]

    def value(self, index: int, reader: str) -> Value:
        """The IR value of a tensor; a constant is made at first sight. Raises BadModel."""
        if index not in self._values:
            self._values[index] = self._constant(self.tensor(index), reader)
        return self._values[index]

    def _constant(self, tensor: Tensor, reader: str) -> Value:
        if tensor.problem or tensor.dtype is None:
            reason = tensor.problem or f"the type {tensor.type_name.lower()} is not supported"
            finding = Finding(tensor.name, reader, tensor.type_name.lower(), reason)
            raise Unsupported("not supported", [finding])
        data = tensor.data
        if data is None and 0 in tensor.shape:
            data = np.zeros(tensor.shape, tensor.dtype.numpy)
        if data is None:
            raise BadModel(f"{reader} reads {tensor.name} before anything makes it")
        if tensor.dtype.is_float and not np.isfinite(data).all():
            raise BadModel(f"the constant {tensor.name} holds NaN or infinity")
        value = self.graph.constant(data, tensor.name, tensor.quant)
        value.dtype = tensor.dtype  # int4 lives in int8 arrays
        return value

    def _inputs(self) -> None:
        tensors = [self.tensor(i) for i in self.model.inputs]
        shapes = input_shapes({t.name: _dims(t) for t in tensors}, self.options)
        for index in self.model.inputs:
            tensor = self.tensor(index)
            if tensor.dtype is None or index in self._values:
                raise BadModel(f"the input {tensor.name} is {tensor.type_name.lower()} or repeated")
            shape = shapes[tensor.name]
            self.resized |= shape != tensor.shape
            value = self.graph.add_input(tensor.name, shape, tensor.dtype)
            value.quant = tensor.quant
            self._values[index] = value

    # -- operators ---------------------------------------------------------------------------------

    def _operator(self, operator: Operator) -> None:
        view = OpView(self, operator)
        try:
            row = ROWS.get(operator.builtin)
            if row is None:
                raise Refused("there is no such operator in edgepack")
            result = row(view)
            self._bind(view, operator, (result,) if isinstance(result, Value) else tuple(result))
        except Refused as problem:
            dtype = view.outputs[0].type_name.lower() if view.outputs else None
            self._findings.append(
                Finding(view.stem, view.builtin, dtype, problem.reason, problem.hint)
            )
            self._stand_in(operator)
        except Unsupported as problem:
            self._findings.extend(problem.findings)
            self._stand_in(operator)
        except BadModel as problem:
            raise BadModel(problem.message, at=f"{operator.builtin} {view.stem}") from problem
        except (ArithmeticError, ValueError, LookupError, TypeError, EdgepackError) as problem:
            raise BadModel(
                f"{operator.builtin} has inputs or options that contradict one another",
                at=view.stem,
            ) from problem

    def _stand_in(self, operator: Operator) -> None:
        """Let the search for unsupported operators go on behind one of them."""
        for index in operator.outputs:
            t = self.tensor(index)
            self._values[index] = Value(t.name, t.shape, t.dtype or DType.FLOAT32, t.quant)

    def _bind(self, view: OpView, operator: Operator, values: tuple[Value, ...]) -> None:
        """Let `values` be the operator's outputs. Raises BadModel when the file says otherwise."""
        if values and len(values) != len(operator.outputs):
            raise BadModel(f"it has {len(operator.outputs)} outputs instead of {len(values)}")
        for index, value in zip(operator.outputs, values, strict=False):
            tensor = self.tensor(index)
            if index in self._values:
                raise BadModel(f"{tensor.name} is made twice")
            self._agree(tensor, value)
            if value.producer is not None or self._is_new(value):
                view.rename(value, tensor.name, view.stem)
                value.quant = tensor.quant
            _check_scales(value)
            self._values[index] = value

    def _is_new(self, value: Value) -> bool:
        """Whether a constant was made while reading, and is not one of the file."""
        return value.is_const and all(v is not value for v in self._values.values())

    def _agree(self, tensor: Tensor, value: Value) -> None:
        if tensor.problem:
            raise Unsupported("not supported", [
                Finding(tensor.name, "tensor", tensor.type_name.lower(), tensor.problem)
            ])  # fmt: skip
        if tensor.dtype is not value.dtype:
            raise Unsupported("not supported", [
                Finding(tensor.name, str(value.producer and value.producer.op),
                        tensor.type_name.lower(), f"its result would be {value.dtype}")
            ])  # fmt: skip
        # Old converters left the shapes of intermediate tensors empty.
        if tensor.shape and not self.resized and value.shape != tensor.shape:
            raise BadModel(
                f"{tensor.name} is declared as {list(tensor.shape)} but comes out as "
                f"{list(value.shape)}"
            )


_NARROW: Final = (DType.INT8, DType.UINT8, DType.INT16)
_INDIFFERENT: Final = ("Cast", "Gather", "GatherNd", "Quantize", "Dequantize", "OneHot")


def _dims(tensor: Tensor) -> list[Dim]:
    """The declared dimensions; a dynamic one is -1 in the signature. The batch is in the shape."""
    behind = zip(tensor.signature[1:], tensor.shape[1:], strict=True)
    return [*tensor.shape[:1], *(None if s == -1 else d for s, d in behind)]


def _check_scales(value: Value) -> None:
    """Narrow integers around one operator either all stand for real numbers, or none does."""
    node = value.producer
    if node is None or node.op in _INDIFFERENT:
        return
    narrow = [v for v in (*node.present_inputs, value) if v.dtype in _NARROW]
    without = [v.name for v in narrow if v.quant is None]
    if without and len(without) < len(narrow):
        raise BadModel(f"{without[0]} has no scale")
