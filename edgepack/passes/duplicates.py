"""Parts taken apart and put together again, and work done twice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from edgepack.ir import Graph, Node, Value
from edgepack.passes.match import (
    bypass,
    declined,
    live,
    may_take_over,
    producer,
    sole_producer,
    supersede,
)


def eliminate_common_subexpressions(graph: Graph, ops: Sequence[str] = ()) -> int:
    """Equal operators with equal inputs compute once; count the removed nodes.

    Looks at the operators `ops` only, if there are any.
    """
    first: dict[Hashable, Node] = {}
    count = 0
    for node in live(graph, *ops):
        twin = first.setdefault(_key(node), node)
        if twin is node:
            continue
        pairs = list(zip(node.outputs, twin.outputs, strict=True))
        if not all(may_take_over(graph, old, new) for old, new in pairs):
            declined("eliminate_common_subexpressions", node, "both results are outputs")
            continue
        for old, new in pairs:
            graph.replace(old, new)
        graph.remove(node)
        count += 1
    return count


def _key(node: Node) -> Hashable:
    attrs = tuple(sorted((k, repr(v)) for k, v in node.attrs.items()))
    return node.op, node.inputs, attrs, tuple((v.dtype, v.quant) for v in node.outputs)


def cancel_splits(graph: Graph) -> int:
    """Concat of all parts of a Split = its input; Split of a Concat at its joints = its inputs."""
    rejoined = sum(_rejoined(graph, node) for node in live(graph, "Concat"))
    return rejoined + sum(_resplit(graph, node) for node in live(graph, "Split"))


def _rejoined(graph: Graph, node: Node) -> bool:
    split = producer(node.input(0), "Split") if node.inputs else None
    if split is None or _axis(split) != _axis(node) or len(node.inputs) != len(split.outputs):
        return False
    if any(a is not b for a, b in zip(node.inputs, split.outputs, strict=True)):
        return False
    x = split.input(0)
    if x.quant != node.output.quant or not may_take_over(graph, node.output, x):
        declined("cancel_splits", node, "it requantizes, or its output is an output of the graph")
        return False
    bypass(graph, node.output, x)
    return True


def _resplit(graph: Graph, node: Node) -> bool:
    concat = producer(node.input(0), "Concat")
    if concat is None or _axis(concat) != _axis(node):
        return False
    axis = _axis(node)
    parts = concat.present_inputs
    if tuple(v.shape[axis] for v in parts) != tuple(node.attrs["sizes"]):
        return False
    pairs = list(zip(node.outputs, parts, strict=True))
    if any(o.quant != v.quant or not may_take_over(graph, o, v) for o, v in pairs):
        declined("cancel_splits", node, "it requantizes, or an output must stay")
        return False
    for old, new in pairs:
        bypass(graph, old, new)
    return True


def merge_concats(graph: Graph) -> int:
    """Concat(Concat(a, b), c) = Concat(a, b, c) along one axis."""
    count = 0
    for node in live(graph, "Concat"):
        flat: list[Value] = []
        for value in node.present_inputs:
            inner = sole_producer(graph, value, "Concat")
            joins = inner is not None and _axis(inner) == _axis(node) and value.quant is None
            flat += inner.present_inputs if inner is not None and joins else [value]
        if len(flat) > len(node.inputs):
            supersede(graph, node.output, "Concat", flat, {"axis": node.attrs["axis"]})
            count += 1
    return count


def _axis(node: Node) -> int:
    rank = node.output.rank
    return int(node.attrs["axis"]) % rank if rank else 0
