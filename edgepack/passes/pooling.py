"""The mean over a whole map, in one spelling.

An average pool whose window is the map and a mean over height and width are the same number. The
mean is the spelling kept: its output has quantization parameters of its own (an average pool must
share its input's, and a mean spans a fraction of that range), it can drop the dimensions of 1 by
itself, and every runtime at hand has a global-average kernel behind it.
"""

from __future__ import annotations

from edgepack.ir import Graph, Node
from edgepack.passes.match import all_real, declined, live, supersede


def pool_to_mean(graph: Graph) -> int:
    """AveragePool2d over the whole map = ReduceMean over height and width; count the replaced.

    Only real numbers: between integers the two round differently. Needs one window, without
    padding or activation.
    """
    count = 0
    for node in live(graph, "AveragePool2d"):
        first = 2 if node.attrs["layout"] == "NCHW" else 1
        if tuple(node.attrs["kernel"]) != node.input(0).shape[first : first + 2]:
            continue
        if why := _refusal(node):
            declined("pool_to_mean", node, why)
            continue
        attrs = {"axes": (first, first + 1), "keepdims": True}
        supersede(graph, node.output, "ReduceMean", [node.input(0)], attrs)
        count += 1
    return count


def _refusal(node: Node) -> str:
    if not all_real(node):
        return "integers would round differently"
    if any(map(any, node.attrs["pad"])):
        return "it pads"
    return "" if node.attrs["activation"] == "none" else "it has an activation"


def merge_means(graph: Graph) -> int:
    """ReduceMean(ReduceMean(x, a), b) = ReduceMean(x, a + b), for real numbers."""
    count = 0
    for node in live(graph, "ReduceMean"):
        before = node.input(0).producer
        if before is None or before.op != "ReduceMean" or not before.attrs["keepdims"]:
            continue
        if graph.only_user(node.input(0)) is None or not (all_real(node) and all_real(before)):
            continue
        x = before.input(0)
        first = {a % x.rank for a in before.attrs["axes"]}
        second = {a % x.rank for a in node.attrs["axes"]}
        if first & second or not node.attrs["keepdims"]:
            declined("merge_means", node, "the dimensions kept would differ")
            continue
        attrs = {"axes": tuple(sorted(first | second)), "keepdims": node.attrs["keepdims"]}
        supersede(graph, node.output, "ReduceMean", [x], attrs)
        count += 1
    return count
