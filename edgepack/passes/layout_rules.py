"""How each operator commutes with transposes.

A rule takes a node and a permutation `p` at one of its ports, meaning that the value v there would
be computed as v' with v = v'.transpose(p), and says what that makes of the node: the permutation at
every other port, and the attributes. It returns None where the operator does not commute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgepack.ir import Node, Value
from edgepack.ir.ops import OPS
from edgepack.passes.layout_perm import (
    Perm,
    identity,
    induced,
    inverse,
    moves_only_ones,
    permuted,
    through_reshape,
    widened,
)
from edgepack.passes.regions import Port


@dataclass(frozen=True, slots=True)
class Reorder:
    """Take a constant input's elements in another order along one axis.

    `order` indexes the part of the axis that starts at `offset`; the rest stays.
    """

    node: Node
    index: int
    axis: int
    order: npt.NDArray[np.int64]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Flip:
    """A node on the other side of transposes: None leaves an input as it is.

    An input of lower rank than its permutation is reshaped to the full rank first, with leading
    ones. `reorders` are changes to constants of nodes after or before this one, because of which
    the values `reordered` have their elements in another order, so nobody else may see them.
    """

    inputs: tuple[Perm | None, ...]
    outputs: tuple[Perm, ...]
    attrs: Mapping[str, Any]
    reorders: tuple[Reorder, ...] = ()
    reordered: tuple[Value, ...] = ()


Rule = Callable[[Node, Port, Perm], Flip | None]


def flip(node: Node, port: Port, perm: Perm) -> Flip | None:
    """The node with `perm` at `port`, or None when it does not commute with that."""
    rule = RULES.get(node.op)
    return rule(node, port, perm) if rule else None


# -- elementwise -----------------------------------------------------------------------------------


def elementwise(node: Node, port: Port, perm: Perm) -> Flip | None:
    """The same permutation everywhere; operands of lower rank are broadcast, so given ones."""
    rank = node.output.rank
    if len(perm) != rank:
        return None
    inputs = [_operand(v, perm) for v in node.present_inputs]
    if any(p is False for p in inputs):
        return None
    return Flip(tuple(p or None for p in inputs), _everywhere(node, perm), node.attrs)


def _operand(value: Value, perm: Perm) -> Perm | Literal[False] | None:
    """The operand's permutation: None when it needs none, False when it cannot have one."""
    if value.size == 1 and value.rank < len(perm):
        return None
    wide = (1,) * (len(perm) - value.rank) + value.shape
    movable = value.rank == len(perm) or value.is_const or moves_only_ones(wide, inverse(perm))
    return perm if movable else False


def _everywhere(node: Node, perm: Perm) -> tuple[Perm, ...]:
    return (perm,) * len(node.outputs)


# -- attributes that name dimensions ---------------------------------------------------------------


def along_axis(node: Node, port: Port, perm: Perm) -> Flip | None:
    """Operators with one `axis` that keep the rank; only constants may have another rank."""
    axis = node.attrs["axis"] % len(perm)
    inputs = tuple(perm if v.rank == len(perm) else None for v in node.present_inputs)
    return Flip(inputs, _everywhere(node, perm), {**node.attrs, "axis": perm[axis]})


def along_axes(node: Node, port: Port, perm: Perm) -> Flip | None:
    """Reverse: several axes."""
    axes = tuple(perm[a % len(perm)] for a in node.attrs["axes"])
    return Flip((perm,), (perm,), {**node.attrs, "axes": axes})


def per_dimension(*names: str) -> Rule:
    """Attributes `names` hold one item for each dimension."""

    def rule(node: Node, port: Port, perm: Perm) -> Flip | None:
        if node.input(0).rank != len(perm):
            return None
        moved = {name: permuted(node.attrs[name], inverse(perm)) for name in names}
        return Flip((perm,), (perm,), {**node.attrs, **moved})

    return rule


def reduction(node: Node, port: Port, perm: Perm) -> Flip | None:
    """Reductions: what is left of the permutation when the axes are gone."""
    rank = node.input(0).rank
    axes = [a % rank for a in node.attrs["axes"]]
    wide, left = _dropping(node, port, perm, () if node.attrs["keepdims"] else axes)
    attrs = {**node.attrs, "axes": tuple(sorted(wide[a] for a in axes))}
    return Flip((wide,), (left,), attrs)


def arg_reduction(node: Node, port: Port, perm: Perm) -> Flip | None:
    """ArgMax and ArgMin: the axis goes away."""
    axis = node.attrs["axis"] % node.input(0).rank
    wide, left = _dropping(node, port, perm, [axis])
    return Flip((wide,), (left,), {**node.attrs, "axis": wide[axis]})


def gather(node: Node, port: Port, perm: Perm) -> Flip | None:
    """Gather with a list of indices keeps the rank, with a single one it drops the axis."""
    indices, axis = node.input(1), node.attrs["axis"] % node.input(0).rank
    if node.attrs["batch_dims"] or indices.rank > 1 or (port.is_input and port.index == 1):
        return None
    wide, left = _dropping(node, port, perm, () if indices.rank else [axis])
    return Flip((wide, None), (left,), {**node.attrs, "axis": wide[axis]})


def _dropping(
    node: Node, port: Port, perm: Perm, dropped: list[int] | tuple[()]
) -> tuple[Perm, Perm]:
    """(the input's permutation, the output's), where the output lacks the dimensions `dropped`."""
    if port.is_input:
        return perm, induced(perm, dropped)
    return widened(perm, node.input(0).rank, dropped), perm


# -- operators that work on the last dimensions ----------------------------------------------------


def leading(count: Callable[[Node], int]) -> Rule:
    """Only the dimensions before the last `count` may move; other inputs stay as they are."""

    def rule(node: Node, port: Port, perm: Perm) -> Flip | None:
        fixed = count(node)
        if perm[-fixed:] != identity(len(perm))[-fixed:] or (port.is_input and port.index):
            return None
        inputs = (perm, *(None for _ in node.present_inputs[1:]))
        return Flip(inputs, _everywhere(node, perm), node.attrs)

    return rule


def matmul(node: Node, port: Port, perm: Perm) -> Flip | None:
    """MatMul: batch dimensions may move, together; an operand without any stays."""
    if perm[-2:] != identity(len(perm))[-2:] or node.output.rank != len(perm):
        return None
    if any(v.rank not in (2, len(perm)) for v in node.present_inputs):
        return None
    inputs = tuple(perm if v.rank == len(perm) else None for v in node.present_inputs)
    return Flip(inputs, (perm,), node.attrs)


def trailing(node: Node) -> int:
    """How many of the last dimensions an operator of the kind "last" works on."""
    return node.input(0).rank - int(node.attrs.get("axis", -1)) % node.input(0).rank


# -- reshape ---------------------------------------------------------------------------------------


def reshape(node: Node, port: Port, perm: Perm) -> Flip | None:
    """Reshape that keeps together what `perm` moves; else one beside dense layers."""
    x, y = node.input(0), node.output
    here, there = (x, y) if port.is_input else (y, x)
    other = through_reshape(here.shape, perm, there.shape)
    if other is None:
        return _flatten(node, perm) if port.is_input else _unflatten(node, perm)
    p, q = (perm, other) if port.is_input else (other, perm)
    return Flip((p,), (q,), {"shape": permuted(y.shape, inverse(q))})


@dataclass(slots=True)
class _Trail:
    """Values [N, features] whose features change places by `order`, and the constants beside them.

    `order` starts at an offset when the features are concatenated with others.
    """

    order: npt.NDArray[np.int64]
    values: list[Value] = field(default_factory=list)
    reorders: list[Reorder] = field(default_factory=list)

    def forward(self, value: Value, offset: int = 0) -> bool:
        """Follow `value` until dense layers take its features; False when something else does."""
        self.values.append(value)
        return bool(value.users) and all(self._into(u, value, offset) for u in value.users)

    def _into(self, user: Node, value: Value, offset: int) -> bool:
        if user.op == "FullyConnected" and user.input(0) is value and user.input(1).is_const:
            self.reorders.append(Reorder(user, 1, 1, self.order, offset))
            return True
        if user.op == "Concat" and sum(v is value for v in user.inputs) == 1:
            before = user.present_inputs[: user.inputs.index(value)]
            skipped = sum(v.shape[1] for v in before)
            return user.attrs["axis"] % 2 == 1 and self.forward(user.output, offset + skipped)
        return self._past(user, value, offset) and self.forward(user.output, offset)

    def backward(self, value: Value, reader: Node) -> bool:
        """Follow `value`, which only `reader` reads, back to the dense layer that makes it."""
        self.values.append(value)
        maker = value.producer
        if maker is None or set(value.users) != {reader}:
            return False
        if maker.op == "FullyConnected":
            return self._from(maker)
        computed = [v for v in maker.present_inputs if not v.is_const]
        if len(computed) != 1 or len(maker.outputs) != 1:
            return False
        return self._past(maker, computed[0], 0) and self.backward(computed[0], maker)

    def _from(self, dense: Node) -> bool:
        weights, bias = dense.input(1), dense.optional(2)
        if not weights.is_const or (bias is not None and not bias.is_const):
            return False
        self.reorders.append(Reorder(dense, 1, 0, self.order))
        if bias is not None and bias.size > 1:
            self.reorders.append(Reorder(dense, 2, 0, self.order))
        return True

    def _past(self, node: Node, value: Value, offset: int) -> bool:
        """Pass an elementwise operator with constants; False when it is not one."""
        if node.op == "BatchNorm" and node.attrs["axis"] % 2 == 1 and node.input(0) is value:
            self.reorders += [Reorder(node, i, 0, self.order, offset) for i in range(1, 5)]
            return all(v.is_const for v in node.present_inputs[1:])
        if not OPS[node.op].elementwise or node.output.shape != value.shape:
            return False
        others = [(i, v) for i, v in enumerate(node.present_inputs) if v is not value]
        wide = [(i, v) for i, v in others if v.rank and v.shape[-1] > 1]
        self.reorders += [Reorder(node, i, v.rank - 1, self.order, offset) for i, v in wide]
        return all(v.is_const for _, v in others)


def feature_order(shape: tuple[int, ...], perm: Perm) -> npt.NDArray[np.int64]:
    """Where the features of x' flattened come from in x flattened, x = x'.transpose(perm)."""
    return np.arange(np.prod(shape)).reshape(shape).transpose(inverse(perm)).reshape(-1)


def _flatten(node: Node, perm: Perm) -> Flip | None:
    """Reshape to [N, features] before dense layers: their weights' columns change places.

    Elementwise operators with constants and concatenations may stand between.
    """
    x, y = node.input(0), node.output
    if y.rank != 2 or perm[0] != 0 or x.shape[0] != y.shape[0]:
        return None
    trail = _Trail(feature_order(x.shape[1:], tuple(p - 1 for p in perm[1:])))
    if not trail.forward(y):
        return None
    return Flip((perm,), (identity(2),), node.attrs, tuple(trail.reorders), tuple(trail.values))


def _unflatten(node: Node, perm: Perm) -> Flip | None:
    """Reshape of [N, features] from a dense layer: its weights' rows change places."""
    x, y = node.input(0), node.output
    if x.rank != 2 or perm[0] != 0 or x.shape[0] != y.shape[0]:
        return None
    trail = _Trail(feature_order(y.shape[1:], tuple(p - 1 for p in perm[1:])))
    if not trail.backward(x, node):
        return None
    attrs = {"shape": permuted(y.shape, inverse(perm))}
    return Flip((identity(2),), (perm,), attrs, tuple(trail.reorders), tuple(trail.values))


_BY_KIND: dict[str, Rule] = {
    "elementwise": elementwise,
    "axis": along_axis,
    "reduction": reduction,
    "last": leading(trailing),
}
RULES: dict[str, Rule] = {
    **{op: _BY_KIND[row.kind] for op, row in OPS.items() if row.kind in _BY_KIND},
    **{op: per_dimension(*row.each) for op, row in OPS.items() if row.each},
    "Reverse": along_axes,
    "ArgMax": arg_reduction,
    "ArgMin": arg_reduction,
    "Gather": gather,
    "MatMul": matmul,
    "Reshape": reshape,
}
