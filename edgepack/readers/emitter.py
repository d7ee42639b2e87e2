"""Building IR nodes for one operator of a source format, whichever the format is.

What depends only on constants is computed at once, so that shape arithmetic disappears while the
model is read and the inputs that formats use as attributes (a shape, pads, scales) are known when
they are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack import kernels
from edgepack.errors import BadModel, Unsupported
from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value, row
from edgepack.ir.ops import complete_attrs, infer

Operand = Value | int | float | bool | None
Spec = tuple[tuple[int, ...], DType]

# A constant may be computed up to this size; a damaged shape must not take the machine down.
LARGEST_CONSTANT_BYTES = 1 << 30


class Refused(Exception):  # noqa: N818 (not an error: the walker collects it as a finding)
    """A known operator is used in a way that has no equivalent: why, and what the user may do."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(slots=True)
class Emitter:
    """Adds nodes to `graph` for the operator called `stem`, or computes them.

    Values are called `stem/op`, constants `stem.const`, all made unique; the walker gives the
    results their own names (`rename`).
    """

    graph: Graph
    stem: str

    @property
    def layout(self) -> str:
        """NHWC or NCHW: what spatial operators get for the attribute `layout`."""
        return "NHWC"

    def folds(self, inputs: Sequence[Value | None], specs: Sequence[Spec]) -> bool:
        """Whether to compute an operator of which all inputs are known; raises BadModel."""
        if sum(math.prod(s) * d.bits // 8 for s, d in specs) > LARGEST_CONSTANT_BYTES:
            raise BadModel(f"a constant of shape {list(specs[0][0])} would not fit in memory")
        return True

    # -- constants -------------------------------------------------------------------------------

    def const(
        self, data: Any, dtype: DType | None = None, name: str = "const",
        quant: QuantParams | None = None,
    ) -> Value:  # fmt: skip
        """A constant holding `data`, cast to `dtype` if given."""
        array = np.ascontiguousarray(data, None if dtype is None else dtype.numpy)
        return self.graph.constant(array.reshape(np.shape(data)), f"{self.stem}.{name}", quant)

    # -- nodes -----------------------------------------------------------------------------------

    def emit(self, op: str, *operands: Operand, **attrs: Any) -> Value:
        """An IR node with one output, or the constant that it computes.

        Numbers among the operands become constants of the last value's dtype.
        """
        return self.emit_multi(op, *operands, **attrs)[0]

    def emit_multi(self, op: str, *operands: Operand, **attrs: Any) -> tuple[Value, ...]:
        """Like `emit`, with several outputs."""
        inputs = self._values(operands)
        if "layout" in row(op).attrs:
            attrs.setdefault("layout", self.layout)
        folded = self._folded(op, inputs, attrs) if _computes(op, inputs) else None
        if folded is not None:
            return folded
        outputs = self.graph.add_multi(op, inputs, attrs, name=f"{self.stem}/{op.lower()}")
        for value in outputs:
            _finish(op, inputs, value)
        return outputs

    def _values(self, operands: Sequence[Operand]) -> list[Value | None]:
        last = next((v for v in reversed(operands) if isinstance(v, Value)), None)
        dtype = None if last is None else last.dtype
        return [
            v if v is None or isinstance(v, Value) else self._number(v, dtype) for v in operands
        ]

    def _number(self, number: float, dtype: DType | None) -> Value:
        whole = dtype is not None and not dtype.is_float
        if whole and isinstance(number, float) and not number.is_integer():
            raise BadModel(f"{number:g} meets {dtype} values")
        return self.const(number, dtype)

    def _folded(
        self, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, Any]
    ) -> tuple[Value, ...] | None:
        full = complete_attrs(op, attrs)
        specs = infer(op, inputs, full)
        if not self.folds(inputs, specs):
            return None
        node = Node(op, inputs, [Value("", shape, dtype) for shape, dtype in specs], full)
        try:
            arrays = _computed(node, inputs)
        finally:
            node.set_inputs(())
        return None if arrays is None else tuple(self.const(a) for a in arrays)

    def made(self, value: Value) -> bool:
        """Whether `value` comes out of a node of this operator."""
        maker = value.producer
        return maker is not None and value.name.startswith(f"{self.stem}/{maker.op.lower()}")

    def rename(self, value: Value, name: str, node: str | None = None) -> None:
        """Give a result the name that the user knows; `node` names its node if otherwise."""
        value.name = self.graph.fresh(name)
        if value.producer is not None:
            value.producer.name = node or value.name

    def name_results(self, values: Iterable[Any]) -> None:
        """Call what this operator made after itself: `stem`."""
        for value in values:
            if isinstance(value, Value) and self.made(value):
                self.rename(value, self.stem)

    # -- the same elements in another form ---------------------------------------------------------

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` in another shape; `x` itself when it has it already."""
        target = tuple(int(d) for d in shape)
        if x.shape == target:
            return x
        stored = stored_constant(x)
        quant = None if stored is None or stored.quant is None else stored.quant
        moved = None if stored is None or quant is None else quant.reshaped(stored.shape, target)
        if stored is None or moved is None:
            return self.emit("Reshape", x, shape=target)
        return self._dequantized(stored.const.reshape(target), moved, x.dtype)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """`x` with its dimensions in another order; `x` itself when that changes nothing."""
        order = tuple(int(p) for p in perm)
        if order == tuple(range(x.rank)):
            return x
        stored = stored_constant(x)
        if stored is None or stored.quant is None:
            return self.emit("Transpose", x, perm=order)
        moved = stored.quant.transposed(order)
        return self._dequantized(stored.const.transpose(order), moved, x.dtype)

    def _dequantized(self, data: Array, quant: QuantParams, dtype: DType) -> Value:
        return self.emit("Dequantize", self.const(data, quant=quant), to=dtype)

    def cast(self, x: Value, dtype: DType) -> Value:
        """`x` as `dtype`; `x` itself when it has it already."""
        return x if x.dtype is dtype else self.emit("Cast", x, to=dtype)

    def broadcast(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` repeated to `shape`; `x` itself when it has it already."""
        target = tuple(int(d) for d in shape)
        return x if x.shape == target else self.emit("BroadcastTo", x, shape=target)

    def slice(self, x: Value, axis: int, begin: int, size: int, stride: int = 1) -> Value:
        """`size` elements along one axis; `x` itself when those are all."""
        if (begin, size, stride) == (0, x.shape[axis], 1):
            return x
        begins, sizes, strides = [0] * x.rank, list(x.shape), [1] * x.rank
        begins[axis], sizes[axis], strides[axis] = begin, size, stride
        return self.emit("Slice", x, begin=begins, size=sizes, stride=strides)

    def pad(
        self, x: Value, pads: Sequence[tuple[int, int]], value: float = 0.0, mode: str = "constant"
    ) -> Value:
        """Padded `x`; `x` itself when there is nothing to add."""
        if not any(before or after for before, after in pads):
            return x
        return self.emit("Pad", x, pads=pads, value=value, mode=mode)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Values one after another; the only one itself."""
        return values[0] if len(values) == 1 else self.emit("Concat", *values, axis=axis)

    def stack(self, values: Sequence[Value], axis: int) -> Value:
        """Values of equal shape as the slices of a new axis, counted from the front."""
        shape = (*values[0].shape[:axis], 1, *values[0].shape[axis:])
        return self.concat([self.reshape(v, shape) for v in values], axis)

    def unstack(self, x: Value, axis: int) -> list[Value]:
        """The slices of an axis, which disappears."""
        shape, count = x.shape[:axis] + x.shape[axis + 1 :], x.shape[axis]
        parts = self.split(x, axis, (1,) * count)
        return [self.reshape(part, shape) for part in parts]

    def split(self, x: Value, axis: int, sizes: Sequence[int]) -> tuple[Value, ...]:
        """Consecutive parts along an axis; `x` itself when it is the only one."""
        return (x,) if len(sizes) == 1 else self.emit_multi("Split", x, axis=axis, sizes=sizes)

    def roll(self, x: Value, axis: int, shift: int) -> Value:
        """`x` with what leaves at the end of an axis coming back at its start."""
        size = x.shape[axis]
        cut = shift % size if size else 0
        if not cut:
            return x
        tail = self.slice(x, axis, size - cut, cut)
        return self.concat([tail, self.slice(x, axis, 0, size - cut)], axis)

    # -- several nodes -----------------------------------------------------------------------------

    def reduce(self, op: str, x: Value, axes: Sequence[int], *, keepdims: bool = True) -> Value:
        """A reduction over axes, counted from either end, which are kept as 1."""
        return self.emit(op, x, axes=tuple(sorted(a % x.rank for a in axes)), keepdims=keepdims)

    def product(self, a: Value, b: Value, *, adj_b: bool = False) -> Value:
        """a @ b, or a @ b', of (stacks of) matrices; by a known matrix: a dense layer."""
        if b.rank == 2 and is_known(b) and not a.is_const:
            weights = b if adj_b else self.transpose(b, (1, 0))  # [out, in]
            return self.emit("FullyConnected", a, weights)
        return self.emit("MatMul", a, b, adj_b=adj_b)

    def total(self, op: str, values: Sequence[Value]) -> Value:
        """All values joined by a binary operator."""
        result = values[0]
        for value in values[1:]:
            result = self.emit(op, result, value)
        return result


def stored_constant(x: Value) -> Value | None:
    """The quantized constant that `x` is the dequantized form of, if it is one."""
    maker = x.producer
    if maker is None or maker.op != "Dequantize" or not maker.input(0).is_const:
        return None
    return maker.input(0)


def is_known(x: Value) -> bool:
    """Whether `x` is a constant or the dequantized form of one."""
    return x.is_const or stored_constant(x) is not None


def _computes(op: str, inputs: Sequence[Value | None]) -> bool:
    if op in ("Quantize", "Dequantize"):  # a quantized constant keeps its integers
        return False
    return all(v is None or (v.is_const and v.quant is None) for v in inputs)


def _computed(node: Node, inputs: Sequence[Value | None]) -> list[Array] | None:
    if not any(out.size for out in node.outputs):
        return [np.empty(out.shape, out.dtype.numpy) for out in node.outputs]
    try:
        with np.errstate(all="ignore"):
            return kernels.call(node, [None if v is None else v.const for v in inputs])
    except Unsupported:
        return None


def _finish(op: str, inputs: Sequence[Value | None], value: Value) -> None:
    if value.producer is not None:
        value.producer.name = value.name
    if not value.size:  # nothing in it depends on the inputs
        value.data = np.empty(value.shape, value.dtype.numpy)
    quant = inputs[0].quant if inputs and inputs[0] is not None else None
    if quant and quant.is_per_tensor and row(op).quant.output == "same":
        value.quant = quant
