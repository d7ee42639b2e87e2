"""Operators that change nothing, and chains that one operator can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edgepack.ir import OPS, Graph, Node, Value
from edgepack.ir.ops import REDUCTIONS
from edgepack.passes.layout_perm import compose, identity, moved_quant
from edgepack.passes.match import (
    bypass,
    declined,
    live,
    may_take_over,
    producer,
    sole_producer,
    supersede,
    uniform,
)


def remove_identities(graph: Graph, ops: Sequence[str] = ()) -> int:
    """Remove the nodes (of `ops`, if there are any) whose output equals their input; count them.

    Declines where the output has other quantization parameters (it then requantizes), and where the
    output of the graph would become an input or a constant.
    """
    count = 0
    for node in live(graph, *(ops or _IDENTITY)):
        x = _IDENTITY[node.op](node)
        if x is None or x.shape != node.output.shape or x.dtype is not node.output.dtype:
            continue
        if x.quant != node.output.quant:
            declined("remove_identities", node, "it requantizes")
        elif not may_take_over(graph, node.output, x):
            declined("remove_identities", node, "an output must be made by a node")
        else:
            bypass(graph, node.output, x)
            count += 1
    return count


def _input_if(holds: Callable[[Node], bool]) -> Callable[[Node], Value | None]:
    return lambda node: node.input(0) if holds(node) else None


def _always(node: Node) -> bool:
    return True


def _neutral(number: float, *, either: bool) -> Callable[[Node], Value | None]:
    """The input that a binary operator passes on when the other is `number` everywhere."""

    def found(node: Node) -> Value | None:
        if node.attrs["activation"] != "none" or node.output.quant is not None:
            return None
        a, b = node.input(0), node.input(1)
        if uniform(b) == number:
            return a
        return b if either and uniform(a) == number else None

    return found


def _whole_slice(node: Node) -> bool:
    return all(
        s == 1 for s, d in zip(node.attrs["stride"], node.input(0).shape, strict=True) if d > 1
    )


def _single_window(node: Node) -> bool:
    return bool(node.attrs["kernel"] == (1, 1) and node.attrs["activation"] == "none")


_IDENTITY: Final[dict[str, Callable[[Node], Value | None]]] = {
    "Reshape": _input_if(_always),  # shapes are compared by the caller
    "Transpose": _input_if(lambda n: n.attrs["perm"] == identity(n.output.rank)),
    "Slice": _input_if(_whole_slice),
    "Pad": _input_if(lambda n: not any(map(any, n.attrs["pads"]))),
    "Concat": _input_if(lambda n: len(n.inputs) == 1),
    "Split": _input_if(lambda n: len(n.outputs) == 1),
    "Cast": _input_if(_always),
    "Tile": _input_if(_always),
    "BroadcastTo": _input_if(_always),
    "Quantize": _input_if(lambda n: n.input(0).quant is not None),
    "Add": _neutral(0, either=True),
    "Sub": _neutral(0, either=False),
    "Mul": _neutral(1, either=True),
    "Div": _neutral(1, either=False),
    "Pow": _input_if(lambda n: uniform(n.input(1)) == 1),
    "MaxPool2d": _input_if(_single_window),
    "AveragePool2d": _input_if(_single_window),
    "ResizeNearest": _input_if(_always),
    "ResizeBilinear": _input_if(_always),
    **dict.fromkeys(REDUCTIONS, _input_if(_always)),
}  # fmt: skip


# -- chains ----------------------------------------------------------------------------------------


def merge_reshapes(graph: Graph) -> int:
    """Reshape(Reshape(x)) = Reshape(x); a Reshape after a reduction that only drops 1s joins it.

    A reduction over dimensions of 1 as well gives the same.
    """
    count = 0
    for node in live(graph, "Reshape"):
        x = node.input(0)
        before = producer(x, "Reshape")
        if before is not None and x.quant == before.input(0).quant:
            attrs = {"shape": node.attrs["shape"]}
            supersede(graph, node.output, "Reshape", [before.input(0)], attrs)
            count += 1
        else:
            count += _into_reduction(graph, node)
    return count


def _into_reduction(graph: Graph, node: Node) -> bool:
    before = sole_producer(graph, node.input(0), *REDUCTIONS)
    if before is None or node.input(0).quant != node.output.quant:
        return False
    x = before.input(0)
    axes = {a % x.rank for a in before.attrs["axes"]}
    ones = {i for i, d in enumerate(x.shape) if d == 1}
    for over, keepdims in ((axes, False), (axes, True), (axes | ones, False)):
        kept = [1 if i in over else d for i, d in enumerate(x.shape) if keepdims or i not in over]
        if axes and tuple(kept) == node.output.shape:
            attrs = {"axes": tuple(sorted(over)), "keepdims": keepdims}
            supersede(graph, node.output, before.op, [x], attrs)
            return True
    return False


def merge_transposes(graph: Graph) -> int:
    """Transpose(Transpose(x, p), q) = Transpose(x, p[q]), or x where that moves nothing."""
    count = 0
    for node in live(graph, "Transpose"):
        before = producer(node.input(0), "Transpose")
        if before is None:
            continue
        x, perm = before.input(0), compose(before.attrs["perm"], node.attrs["perm"])
        if moved_quant(x.quant, perm) != node.output.quant:
            continue
        if perm == identity(len(perm)) and may_take_over(graph, node.output, x):
            bypass(graph, node.output, x)
        else:
            supersede(graph, node.output, "Transpose", [x], {"perm": perm})
        count += 1
    return count


def merge_pads(graph: Graph) -> int:
    """Two constant Pads of one value in a row are one: pads add up (none may be negative)."""
    count = 0
    for node in live(graph, "Pad"):
        before = sole_producer(graph, node.input(0), "Pad")
        if before is None or not _same_border(before, node):
            continue
        pairs = zip(before.attrs["pads"], node.attrs["pads"], strict=True)
        pads = tuple((a + c, b + d) for (a, b), (c, d) in pairs)
        attrs = {"pads": pads, "mode": "constant", "value": node.attrs["value"]}
        supersede(graph, node.output, "Pad", [before.input(0)], attrs)
        count += 1
    return count


def _same_border(first: Node, second: Node) -> bool:
    if not first.attrs["mode"] == second.attrs["mode"] == "constant":
        return False
    least = min(min(pair) for node in (first, second) for pair in node.attrs["pads"])
    same = first.attrs["value"] == second.attrs["value"]
    return same and least >= 0 and first.input(0).quant == second.output.quant


def drop_broadcasts(graph: Graph) -> int:
    """Elementwise operators broadcast by themselves: f(BroadcastTo(a), b) = f(a, b).

    Also for Tile of dimensions that are 1. Declines where the result would become smaller.
    """
    count = 0
    for node in live(graph, "BroadcastTo", "Tile"):
        x = node.input(0)
        if any(
            d not in (1, o) for d, o in zip(x.shape[::-1], node.output.shape[::-1], strict=False)
        ):
            continue
        for user in list(node.output.users):
            if user.op in _BROADCASTING and _still_fits(user, node.output, x):
                user.set_inputs([x if v is node.output else v for v in user.inputs])
                count += 1
    return count


_BROADCASTING: Final = tuple(
    op for op, row in OPS.items() if row.elementwise and row.min_inputs > 1
)


def _still_fits(user: Node, wide: Value, narrow: Value) -> bool:
    shapes = [narrow.shape if v is wide else v.shape for v in user.present_inputs]
    rank = max(map(len, shapes))
    dims = zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True)
    quiet = wide.quant == narrow.quant
    # 0 and 1 broadcast to 0: take whichever is not 1
    return quiet and tuple(next((d for d in ds if d != 1), 1) for ds in dims) == user.output.shape
