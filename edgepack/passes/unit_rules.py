"""How each operator changes when dimensions of 1 are inserted into its values or dropped from them.

The other form of a value is written as `Units`: for each of its dimensions the dimension of the
value that it is, or -1 where it is a 1 that the value has not. Dimensions that are not named are 1
and are dropped. The elements and their order stay, so a Reshape leads from one form to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgepack.ir import Node
from edgepack.ir.ops import OPS
from edgepack.passes.layout_rules import trailing
from edgepack.passes.regions import Port

Units = tuple[int, ...]
Shape = tuple[int, ...]

_MAX_RANK: Final = 4  # of TensorFlow Lite Micro's kernels, and of those that broadcast in LiteRT


@dataclass(frozen=True, slots=True)
class Change:
    """A node on values of the other form: None leaves an input as it is."""

    inputs: tuple[Units | None, ...]
    outputs: tuple[Units, ...]
    attrs: Mapping[str, Any]


Rule = Callable[[Node, Port, Units], Change | None]


def change(node: Node, port: Port, units: Units) -> Change | None:
    """The node with the form `units` at `port`; None when it cannot compute in that form."""
    rule = RULES.get(node.op)
    found = rule(node, port, units) if rule else None
    if found is None:
        return None
    inputs = zip(node.present_inputs, found.inputs, strict=True)
    ports = [(v, u) for v, u in inputs if u is not None]
    ports += zip(node.outputs, found.outputs, strict=True)
    return found if all(_fits(v.shape, u) for v, u in ports) else None


def _fits(shape: Shape, units: Units) -> bool:
    dropped = set(range(len(shape))).difference(units)
    return len(units) <= max(_MAX_RANK, len(shape)) and all(shape[i] == 1 for i in dropped)


def reformed(shape: Shape, units: Units) -> Shape:
    """The shape of the other form."""
    return tuple(1 if u < 0 else shape[u] for u in units)


def align(shape: Shape, other: Shape) -> Units | None:
    """`other` as a form of `shape`; None when they differ by more than dimensions of 1."""
    units: list[int] = []
    at = 0
    for size in other:
        if size != 1:
            at = next((i for i in range(at, len(shape)) if shape[i] != 1), len(shape))
        if at < len(shape) and shape[at] == size:
            units.append(at)
            at += 1
        elif size == 1:
            units.append(-1)
        else:
            return None
    return tuple(units) if all(d == 1 for d in shape[at:]) else None


def _elementwise(node: Node, port: Port, units: Units) -> Change:
    """The same form everywhere; operands of lower rank have it without the dimensions in front."""
    rank = node.output.rank
    if port.is_input:
        more = rank - node.input(port.index).rank
        units = (*range(more), *(u + more if u >= 0 else u for u in units))
    inputs = (_operand(v.rank, rank - v.rank, v.size, units) for v in node.present_inputs)
    return Change(tuple(inputs), (units,) * len(node.outputs), node.attrs)


def _operand(rank: int, missing: int, size: int, units: Units) -> Units | None:
    if size == 1 and rank <= min(len(units), 1):
        return None
    own = tuple(u - missing if u >= missing else -1 for u in units)
    while missing and len(own) > rank and own[0] < 0:
        own = own[1:]
    return own


def _along_axis(node: Node, port: Port, units: Units) -> Change | None:
    """Operators with one `axis`, which must stay."""
    axis = node.attrs["axis"] % len(node.output.shape)
    if axis not in units or (node.op != "Concat" and port.is_input and port.index):
        return None
    same = node.op == "Concat"
    inputs = tuple(units if same or i == 0 else None for i in range(len(node.inputs)))
    attrs = {**node.attrs, "axis": units.index(axis)}
    return Change(inputs, (units,) * len(node.outputs), attrs)


def _along_axes(node: Node, port: Port, units: Units) -> Change:
    """Reverse: axes of 1 may go."""
    axes = {a % node.output.rank for a in node.attrs["axes"]}
    moved = tuple(i for i, u in enumerate(units) if u in axes)
    return Change((units,), (units,), {**node.attrs, "axes": moved})


def _per_dimension(**fill: Any) -> Rule:
    """Attributes with one item for each dimension, and what they say of a dimension of 1."""

    def rule(node: Node, port: Port, units: Units) -> Change | None:
        if node.input(0).rank != node.output.rank or (port.is_input and port.index):
            return None
        moved = {
            name: tuple(one if u < 0 else node.attrs[name][u] for u in units)
            for name, one in fill.items()
        }
        return Change((units,), (units,), {**node.attrs, **moved})

    return rule


def _reduction(node: Node, port: Port, units: Units) -> Change | None:
    """Reductions; those that drop their axes drop inserted dimensions of 1 with them."""
    rank, keepdims = node.input(0).rank, node.attrs["keepdims"]
    axes = {a % rank for a in node.attrs["axes"]}
    if not keepdims and not port.is_input:
        return None
    more = set() if keepdims else {-1}
    moved = tuple(i for i, u in enumerate(units) if u in axes | more)
    if not moved:
        return None
    left = units if keepdims else _without(units, axes, rank)
    return Change((units,), (left,), {**node.attrs, "axes": moved})


def _without(units: Units, axes: set[int], rank: int) -> Units:
    """The form of what is left when the dimensions `axes` and those inserted are gone."""
    kept = [i for i in range(rank) if i not in axes]
    return tuple(kept.index(u) for u in units if u >= 0 and u not in axes)


def _trailing(node: Node, port: Port, units: Units) -> Change | None:
    """Operators that work on the last dimensions, which must stay the last."""
    fixed, rank = trailing(node), node.output.rank
    if units[-fixed:] != tuple(range(rank - fixed, rank)) or (port.is_input and port.index):
        return None
    rest = (None,) * (len(node.present_inputs) - 1)
    attrs = {**node.attrs, **({"axis": -fixed} if "axis" in node.attrs else {})}
    return Change((units, *rest), (units,) * len(node.outputs), attrs)


def _dense(node: Node, port: Port, units: Units) -> Change | None:
    """FullyConnected on more than rows: [N, in] stays, which every runtime and device takes."""
    if min(len(units), node.input(0).rank) < 3 or node.attrs["flatten"]:
        return None
    return _trailing(node, port, units)


_BY_KIND: Final[dict[str, Rule]] = {
    "elementwise": _elementwise,
    "axis": _along_axis,
    "reduction": _reduction,
    "last": _trailing,
}
RULES: Final[dict[str, Rule]] = {
    **{op: _BY_KIND[row.kind] for op, row in OPS.items() if row.kind in _BY_KIND},
    **{op: _per_dimension(**row.each) for op, row in OPS.items() if row.each},
    "Reverse": _along_axes,
    "FullyConnected": _dense,
}
