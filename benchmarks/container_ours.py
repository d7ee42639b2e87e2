"""The container benchmark in our own Graph, Node and Value."""

from __future__ import annotations

from benchmarks.container_algebra import CONV, EPSILON, SHAPE, Record, folded, parameters
from edgepack.ir import Graph


def build(layers: int) -> Graph:
    """A chain of `layers` times Conv2d, BatchNorm, Relu; shapes by the op table."""
    graph, arrays = Graph("chain"), parameters()
    x = graph.add_input("x", SHAPE)
    for _ in range(layers):
        w, *vectors = (graph.constant(array, name) for name, array in arrays.items())
        x = graph.add("Conv2d", [x, w], CONV)
        x = graph.add("BatchNorm", [x, *vectors], {"eps": EPSILON})
        x = graph.add("Relu", [x])
    graph.outputs = [x]
    return graph


def fold_batchnorm(graph: Graph) -> int:
    """Fold each BatchNorm into the only convolution before it; return how many."""
    count = 0
    for norm in graph.nodes_of("BatchNorm"):
        conv = norm.input(0).producer
        if conv is None or conv.op != "Conv2d" or graph.only_user(conv.output) is not norm:
            continue
        w, b = folded(conv.input(1).const, *(v.const for v in norm.present_inputs[1:]))
        conv.set_inputs([conv.input(0), graph.constant(w, "w"), graph.constant(b, "b")])
        graph.replace(norm.output, conv.output)
        graph.remove(norm)
        count += 1
    return count


def write(graph: Graph) -> list[Record]:
    """One record for each node, as a TFLite file has it."""
    records: list[Record] = []
    for node in graph.nodes:
        names = [v.name for v in node.present_inputs]
        constants = [v.const for v in node.present_inputs if v.is_const]
        if node.op == "Conv2d":
            (stride_h, stride_w), pad = node.attrs["stride"], node.attrs["pad"]
            options = {"stride_h": stride_h, "stride_w": stride_w, "same": any(map(any, pad))}
            records.append(("CONV_2D", names, [None, *constants], options))
        elif node.op == "Relu":
            records.append(("RELU", names, constants, {}))
    return records


def copy(graph: Graph) -> Graph:
    """A graph of its own that shares the constants' arrays."""
    return graph.copy()
