"""Whole numbers in a graph, written as Python writes them, with the limits between which they lie.

    total = (a + b) * 3            two nodes of int64, Add and Mul
    total.low, total.high          what they can be at the most, so that nothing overflows unseen

The limits decide what need not be written: a clamp that never acts, an offset before a division.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir import Array, DType, Graph, Value

_NARROW: Final = (DType.INT8, DType.INT16, DType.INT32)  # of tables, the first that holds them
_LARGEST_TABLE: Final = 2**17


@dataclass(frozen=True, slots=True)
class Ints:
    """An int64 value of `graph` whose elements lie within `low` .. `high`."""

    graph: Graph
    value: Value
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low < -(2**63) or self.high >= 2**63:
            raise InternalError(f"{self.low} .. {self.high} leave 64 bits", at=self.value.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape."""
        return self.value.shape

    def _made(self, op: str, inputs: Sequence[Value], low: int, high: int, **attrs: Any) -> Ints:
        return Ints(self.graph, self.graph.add(op, inputs, attrs), low, high)

    def within(self, low: int, high: int) -> Ints:
        """The same numbers, known to lie within these limits too."""
        return replace(self, low=max(low, self.low), high=min(high, self.high))

    # -- arithmetic --------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Ints:
        """Sum."""
        if _is(other, 0):
            return self
        b = self._operand(other)
        return self._made("Add", [self.value, b.value], self.low + b.low, self.high + b.high)

    def __sub__(self, other: Operand) -> Ints:
        """Difference."""
        if _is(other, 0):
            return self
        b = self._operand(other)
        return self._made("Sub", [self.value, b.value], self.low - b.high, self.high - b.low)

    def __rsub__(self, other: Operand) -> Ints:
        """Difference, from a constant."""
        difference: Ints = self._operand(other) - self
        return difference

    def __mul__(self, other: Operand) -> Ints:
        """Product."""
        if _is(other, 1):
            return self
        b = self._operand(other)
        corners = [x * y for x in (self.low, self.high) for y in (b.low, b.high)]
        return self._made("Mul", [self.value, b.value], min(corners), max(corners))

    __radd__, __rmul__ = __add__, __mul__

    def square(self) -> Ints:
        """X * x, which is never negative."""
        return (self * self).within(0, 2**63 - 1)

    def _operand(self, other: Operand) -> Ints:
        return other if isinstance(other, Ints) else whole(self.graph, other)

    def divided(self, divisor: Operand) -> Ints:
        """Quotient toward zero; the divisor is positive."""
        if _is(divisor, 1):
            return self
        d = self._operand(divisor)
        if d.low < 1:
            raise InternalError("a divisor that may not be positive", at=self.value.name)
        corners = [_toward_zero(x, y) for x in (self.low, self.high) for y in (d.low, d.high)]
        return self._made("Div", [self.value, d.value], min(corners), max(corners))

    def shifted(self, bits: int) -> Ints:
        """Floor of x / 2**bits: a division toward zero of numbers that are made positive."""
        power: int = 2**bits
        steps = max(-(self.low >> bits), 0)
        return (self + steps * power).divided(power) - steps

    def remainder(self, divisor: int) -> Ints:
        """X - divisor * floor(x / divisor)."""
        d = whole(self.graph, divisor)
        return self._made("FloorMod", [self.value, d.value], 0, divisor - 1)

    def clipped(self, low: int, high: int) -> Ints:
        """Within low .. high."""
        if low <= self.low and self.high <= high:
            return self
        if not self._in_32_bits():
            return self.maximum(low).minimum(high)
        limits = (min(max(v, low), high) for v in (self.low, self.high))
        return self._made("Clip", [self.value], *limits, min=low, max=high)

    def maximum(self, other: Operand) -> Ints:
        """The larger of both."""
        b = self._operand(other)
        low, high = max(self.low, b.low), max(self.high, b.high)
        return self._chosen("Maximum", "Greater", b).within(low, high)

    def minimum(self, other: Operand) -> Ints:
        """The smaller of both."""
        b = self._operand(other)
        low, high = min(self.low, b.low), min(self.high, b.high)
        return self._chosen("Minimum", "Less", b).within(low, high)

    def _chosen(self, op: str, comparison: str, b: Ints) -> Ints:
        """Where the comparison holds self, else b: by `op`, or spelled out beyond 32 bits.

        `passes/onnx/wide_integers.py` says why, and leaves what is within 32 bits here alone.
        """
        if self._in_32_bits() and b._in_32_bits():
            low, high = min(self.low, b.low), max(self.high, b.high)
            return self._made(op, [self.value, b.value], low, high)
        return self.where(self.compared(comparison, b), b)

    def _in_32_bits(self) -> bool:
        low, high = DType.INT32.limits
        return low <= self.low and self.high <= high

    # -- choices -----------------------------------------------------------------------------------

    def compared(self, op: str, other: Operand) -> Value:
        """The bools of a comparison; `op` is its operator."""
        return self.graph.add(op, [self.value, self._operand(other).value])

    def where(self, condition: Value, other: Operand) -> Ints:
        """Self where the condition holds, else the other."""
        b = self._operand(other)
        inputs = [condition, self.value, b.value]
        return self._made("Where", inputs, min(self.low, b.low), max(self.high, b.high))

    def by_sign(self, negative: Operand, positive: Operand) -> Operand:
        """`negative` where self is below zero, else `positive`."""
        if self.low >= 0:
            return positive
        return self._operand(negative).where(self.compared("Less", 0), positive)

    def mapped(self, function: Callable[[Any], Any]) -> Ints:
        """`function` of each number: it fills a table with an entry for every possible one."""
        return Table.of(self.graph, function, self.low, self.high)(self)

    # -- along dimensions --------------------------------------------------------------------------

    def sum(self, axes: Sequence[int], *, keepdims: bool = True) -> Ints:
        """The sum over `axes`."""
        count = int(np.prod([self.shape[a] for a in axes], dtype=np.int64))
        attrs = {"axes": tuple(axes), "keepdims": keepdims}
        return self._made("ReduceSum", [self.value], self.low * count, self.high * count, **attrs)

    def largest(self, axis: int) -> Ints:
        """The maximum along `axis`, which stays as 1."""
        attrs = {"axes": (axis,), "keepdims": True}
        return self._made("ReduceMax", [self.value], self.low, self.high, **attrs)

    def moved(self, op: str, **attrs: Any) -> Ints:
        """The same numbers, rearranged by an operator that only does that."""
        return self._made(op, [self.value], self.low, self.high, **attrs)

    def reshaped(self, shape: Sequence[int]) -> Ints:
        """Another shape."""
        return self if self.shape == tuple(shape) else self.moved("Reshape", shape=tuple(shape))

    def padded(self, pads: Sequence[tuple[int, int]], fill: int) -> Ints:
        """With (before, after) elements of `fill` around each dimension; negative: cut."""
        if not any(map(any, pads)):
            return self
        made = self.moved("Pad", pads=tuple(map(tuple, pads)), value=float(fill))
        return replace(made, low=min(self.low, fill), high=max(self.high, fill))

    def taken(self, indices: Array, axis: int) -> Ints:
        """The slices at constant `indices`."""
        places = self.graph.constant(np.asarray(indices, np.int64), "places")
        return self._made("Gather", [self.value, places], self.low, self.high, axis=axis)

    def every(self, axis: int, begin: int, count: int, stride: int = 1) -> Ints:
        """`count` slices along `axis` from `begin` on, `stride` apart."""
        begins, sizes, strides = [0] * len(self.shape), list(self.shape), [1] * len(self.shape)
        begins[axis], sizes[axis], strides[axis] = begin, count, stride
        return self.moved("Slice", begin=begins, size=sizes, stride=strides)

    def times_matrix(self, other: Ints, limit: int) -> Ints:
        """The matrix product, whose sums `limit` is known to hold in both directions."""
        kind = DType.INT32 if limit < 2**31 else DType.INT64
        product = self.graph.add("MatMul", [self.stored(kind), other.stored(kind)])
        return Ints(self.graph, _as_int64(self.graph, product), -limit, limit)

    def stored(self, dtype: DType) -> Value:
        """The numbers as another type, which must hold them."""
        if not dtype.limits[0] <= self.low <= self.high <= dtype.limits[1]:
            raise InternalError(f"{self.low} .. {self.high} leave {dtype}", at=self.value.name)
        if dtype is DType.INT64 and not self.value.is_const:
            return self.value
        value = self.value
        if value.is_const:  # in the file as narrow as can be
            kind = _narrowest(self.low, self.high)
            value = self.graph.constant(value.const.astype(kind.numpy), value.name)
            if kind is dtype:
                return value
        return self.graph.add("Cast", [value], {"to": str(dtype)})


Operand = Ints | int | Array


@dataclass(frozen=True, slots=True)
class Table:
    """A constant with an entry for every number from `first` on, within `low` .. `high`."""

    value: Value
    first: int
    low: int
    high: int

    @classmethod
    def of(cls, graph: Graph, function: Callable[[Any], Any], first: int, last: int) -> Table:
        """`function` of every number from `first` to `last`, in the smallest type that holds it."""
        if last - first >= _LARGEST_TABLE:
            raise InternalError(f"a table from {first} to {last} is too large")
        entries = np.asarray(function(np.arange(first, last + 1, dtype=np.int64)), np.int64)
        low, high = int(entries.min()), int(entries.max())
        kind = _narrowest(low, high)
        return cls(graph.constant(entries.astype(kind.numpy), "table"), first, low, high)

    def __call__(self, x: Ints) -> Ints:
        """The entries of numbers that it has one for."""
        if x.low < self.first or x.high >= self.first + self.value.size:
            raise InternalError("numbers outside a table", at=x.value.name)
        found = x.graph.add("Gather", [self.value, (x - self.first).value])
        return Ints(x.graph, _as_int64(x.graph, found), self.low, self.high)


def whole(graph: Graph, data: int | Array) -> Ints:
    """A constant."""
    array = np.asarray(data, np.int64)
    return Ints(graph, graph.constant(array, "int"), int(array.min()), int(array.max()))


def from_value(graph: Graph, value: Value) -> Ints:
    """The integers of a value as they are stored."""
    if value.is_const:
        return whole(graph, value.const)
    return Ints(graph, _as_int64(graph, value), *value.dtype.limits)


def joined(parts: Sequence[Ints], axis: int) -> Ints:
    """Parts one after another along `axis`."""
    first = parts[0]
    low, high = min(p.low for p in parts), max(p.high for p in parts)
    value = first.graph.add("Concat", [p.value for p in parts], {"axis": axis})
    return Ints(first.graph, value, low, high)


def _as_int64(graph: Graph, value: Value) -> Value:
    if value.dtype is DType.INT64:
        return value
    return graph.add("Cast", [value], {"to": "int64"})


def _narrowest(low: int, high: int) -> DType:
    holds = (t for t in _NARROW if t.limits[0] <= low and high <= t.limits[1])
    return next(holds, DType.INT64)


def _is(operand: Operand, number: int) -> bool:
    return not isinstance(operand, Ints) and bool(np.all(np.asarray(operand) == number))


def _toward_zero(x: int, divisor: int) -> int:
    return x // divisor if x >= 0 else -(-x // divisor)
