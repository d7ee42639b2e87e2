"""What a reading function sees: its ONNX node (`Call`) and a builder that folds (`Context`).

Everything that depends only on constants is computed at once, so that shape arithmetic disappears
while the model is read and the inputs that ONNX uses as attributes (a shape, pads, scales) are
known when they are needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from edgepack import kernels
from edgepack.errors import BadModel, Unsupported
from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value, row
from edgepack.ir.ops import complete_attrs, infer

Operand = Value | int | float | bool

# A constant may be computed up to this size; a damaged shape must not take the machine down.
LARGEST_CONSTANT_BYTES = 1 << 30


class Declined(Exception):  # noqa: N818 (not an error: the walker collects it as a finding)
    """A node that cannot be translated: why, and what the user may do about it."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Call:
    """One ONNX node with its inputs resolved; `opset` is the version of its operator's domain.

    `consumers` lists, per output, the operators that read it ("" stands for a graph output).
    """

    op: str
    domain: str
    opset: int
    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    foreign_users: frozenset[str] = frozenset()

    def input(self, index: int) -> Value:
        """Input `index`; raises BadModel when it is left out."""
        value = self.optional(index)
        if value is None:
            raise BadModel(f"{self.op} {self.name} lacks its input {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """Input `index`, or None when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def present(self) -> tuple[Value, ...]:
        """The inputs that are not left out."""
        return tuple(v for v in self.inputs if v is not None)

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, or `default`."""
        return self.attrs.get(name, default)

    def required(self, name: str) -> Any:
        """An attribute that must be there; raises BadModel."""
        if name not in self.attrs:
            raise BadModel(f"{self.op} {self.name} lacks its attribute {name}")
        return self.attrs[name]

    def wants(self, index: int) -> bool:
        """Whether output `index` is named, so that somebody may read it."""
        return index < len(self.outputs) and bool(self.outputs[index])

    def known(self, index: int, what: str) -> Array:
        """The content of input `index`, which must be a constant; declines otherwise."""
        value = self.input(index)
        if value.data is None:
            raise Declined(
                f"its {what} ({value.name}) is computed from the model's input",
                "run the model through a simplifier with fixed input shapes first",
            )
        return value.data

    def known_ints(self, index: int, what: str) -> list[int]:
        """Like `known`, as a flat list of whole numbers."""
        return [int(v) for v in self.known(index, what).reshape(-1)]

    def ints(self, name: str, index: int, since: int) -> list[int] | None:
        """Whole numbers that are an attribute before opset `since` and input `index` from it on.

        None when left out.
        """
        if self.opset >= since:
            return None if self.optional(index) is None else self.known_ints(index, name)
        value = self.attr(name)
        return None if value is None else [int(v) for v in value]


class Context:
    """Adds nodes to the graph, or computes them when all their inputs are constants.

    `stem` names what is added next; the walker sets it to the ONNX node's name.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.stem = ""
        self.narrow: dict[Value, tuple[int, int]] = {}  # limits of what is stored wider

    # -- constants -------------------------------------------------------------------------------

    def constant(
        self, data: Any, dtype: DType | None = None, quant: QuantParams | None = None
    ) -> Value:
        """A constant holding `data`, cast to `dtype` if given."""
        array = np.asarray(data)
        if dtype is not None:
            array = array.astype(dtype.numpy, copy=False)
        return self.graph.constant(array, f"{self.stem}/const", quant)

    def like(self, operand: Operand, other: Value) -> Value:
        """A number as a scalar constant of `other`'s dtype; values pass through."""
        return operand if isinstance(operand, Value) else self.constant(operand, other.dtype)

    # -- nodes -----------------------------------------------------------------------------------

    def op(self, op: str, *operands: Operand, **attrs: Any) -> Value:
        """One IR node; numbers among the operands become constants of the first value's dtype."""
        first = next(v for v in operands if isinstance(v, Value))
        return self.add(op, [self.like(v, first) for v in operands], **attrs)

    def add(self, op: str, inputs: Sequence[Value | None], **attrs: Any) -> Value:
        """One IR node with one output, or the constant that it computes."""
        return self.add_multi(op, inputs, **attrs)[0]

    def add_multi(self, op: str, inputs: Sequence[Value | None], **attrs: Any) -> tuple[Value, ...]:
        """One IR node, or the constants that it computes."""
        folded = self._fold(op, inputs, attrs) if _foldable(op, inputs) else None
        if folded is not None:
            return folded
        outputs = self.graph.add_multi(op, inputs, attrs, name=f"{self.stem}/{op}")
        for value in outputs:
            self._finish(op, inputs, value)
        return outputs

    def _finish(self, op: str, inputs: Sequence[Value | None], value: Value) -> None:
        if value.producer is not None:
            value.producer.name = value.name
        if not value.size:  # nothing in it depends on the inputs
            value.data = np.empty(value.shape, value.dtype.numpy)
        quant = inputs[0].quant if inputs and inputs[0] is not None else None
        if quant and quant.is_per_tensor and row(op).quant.output == "same":
            value.quant = quant

    def _fold(
        self, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, Any]
    ) -> tuple[Value, ...] | None:
        full = complete_attrs(op, attrs)
        specs = infer(op, inputs, full)
        if sum(math.prod(s) * d.bits // 8 for s, d in specs) > LARGEST_CONSTANT_BYTES:
            raise BadModel(f"a constant of shape {list(specs[0][0])} would not fit in memory")
        node = Node(op, inputs, [Value("", shape, dtype) for shape, dtype in specs], full)
        try:
            arrays = self._compute(node, inputs)
        finally:
            node.set_inputs(())
        return None if arrays is None else tuple(self.constant(a) for a in arrays)

    def _compute(self, node: Node, inputs: Sequence[Value | None]) -> list[Array] | None:
        if not any(out.size for out in node.outputs):
            return [np.empty(out.shape, out.dtype.numpy) for out in node.outputs]
        try:
            with np.errstate(all="ignore"):
                arrays = kernels.call(node, [None if v is None else v.const for v in inputs])
        except Unsupported:
            return None
        return [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]

    # -- the same elements in another form ---------------------------------------------------------

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` with another shape; `x` itself when it has it already."""
        target = tuple(int(d) for d in shape)
        if x.shape == target:
            return x
        stored = stored_constant(x)
        if stored is not None:
            quant = _reshaped_quant(stored, target)
            if quant is not None:
                return self._dequantized(stored.const.reshape(target), quant, x.dtype)
        return self.op("Reshape", x, shape=target)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """`x` with its dimensions in another order; `x` itself when that changes nothing."""
        order = tuple(int(p) for p in perm)
        if order == tuple(range(x.rank)):
            return x
        stored = stored_constant(x)
        if stored is not None and stored.quant is not None:
            quant = stored.quant
            axis = None if quant.axis is None else order.index(quant.axis)
            data = np.ascontiguousarray(stored.const.transpose(order))
            return self._dequantized(data, quant.moved(axis), x.dtype)
        return self.op("Transpose", x, perm=order)

    def _dequantized(self, data: Array, quant: QuantParams, dtype: DType) -> Value:
        return self.op("Dequantize", self.constant(data, quant=quant), to=dtype)

    def slice(self, x: Value, axis: int, begin: int, size: int, stride: int = 1) -> Value:
        """`size` elements along one axis; `x` itself when those are all."""
        if (begin, size, stride) == (0, x.shape[axis], 1):
            return x
        begins, sizes, strides = [0] * x.rank, list(x.shape), [1] * x.rank
        begins[axis], sizes[axis], strides[axis] = begin, size, stride
        return self.op("Slice", x, begin=begins, size=sizes, stride=strides)

    def pad(
        self, x: Value, pads: Sequence[tuple[int, int]], value: float = 0.0, mode: str = "constant"
    ) -> Value:
        """Padded `x`; `x` itself when there is nothing to add."""
        if not any(before or after for before, after in pads):
            return x
        return self.op("Pad", x, pads=pads, value=value, mode=mode)

    def cast(self, x: Value, dtype: DType) -> Value:
        """`x` as `dtype`; `x` itself when it has it already."""
        return x if x.dtype is dtype else self.op("Cast", x, to=dtype)

    def broadcast(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` repeated to `shape`."""
        target = tuple(int(d) for d in shape)
        return x if x.shape == target else self.op("BroadcastTo", x, shape=target)

    def reduce(self, op: str, x: Value, axes: Sequence[int], *, keepdims: bool = True) -> Value:
        """A reduction over axes, which are kept as 1."""
        return self.op(op, x, axes=tuple(sorted(a % x.rank for a in axes)), keepdims=keepdims)

    def total(self, op: str, values: Sequence[Value]) -> Value:
        """All values joined by a binary operator."""
        result = values[0]
        for value in values[1:]:
            result = self.op(op, result, value)
        return result


def stored_constant(x: Value) -> Value | None:
    """The quantized constant that `x` is the dequantized form of, if it is one."""
    maker = x.producer
    if maker is None or maker.op != "Dequantize" or not maker.input(0).is_const:
        return None
    return maker.input(0)


def _reshaped_quant(stored: Value, shape: tuple[int, ...]) -> QuantParams | None:
    quant = stored.quant
    if quant is None or quant.axis is None:
        return quant
    before, size = math.prod(stored.shape[: quant.axis]), stored.shape[quant.axis]
    for axis, dim in enumerate(shape):
        if dim == size and math.prod(shape[:axis]) == before:
            return quant.moved(axis)
    return None


def _foldable(op: str, inputs: Sequence[Value | None]) -> bool:
    if op in ("Quantize", "Dequantize"):  # a quantized constant keeps its integers
        return False
    return all(v is None or (v.is_const and v.quant is None) for v in inputs)


def normal_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front; raises ValueError when out of range."""
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis % max(rank, 1)


def decline(reason: str, hint: str | None = None) -> NoReturn:
    """Say that a node has no translation."""
    raise Declined(reason, hint)
