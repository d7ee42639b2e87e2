"""The order of nodes in which the C runtime needs least memory."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Graph, Node, Value
from edgepack.plan.abi import align_up
from edgepack.plan.c_loops import ALIGNMENT, Loops
from edgepack.plan.c_overlap import overlap, scratch_bytes, views
from edgepack.plan.order_search import Task, Work, lowest_peak_order


def frugal_order(graph: Graph, loops: Loops) -> list[Node]:
    """The nodes in the order of the lowest peak found, overlaps and scratch counted.

    Exact while few branches are open at once (`order_search.py`); the graph's own order when no
    other is better. The graph is not changed.
    """
    nodes = graph.nodes
    return [nodes[i] for i in lowest_peak_order(_work(graph, nodes, loops))]


def _work(graph: Graph, nodes: Sequence[Node], loops: Loops) -> Work:
    """Views and what they show are one buffer; a task that only shows something is a reader."""
    buffer: dict[Value, int] = {}
    nbytes: list[int] = []

    def new(value: Value) -> int:
        nbytes.append(align_up(value.nbytes, ALIGNMENT))
        buffer[value] = len(nbytes) - 1
        return buffer[value]

    for value in graph.inputs:
        new(value)
    index = {node: i for i, node in enumerate(nodes)}
    tasks = []
    for node in nodes:
        reads = dict.fromkeys(v for v in node.present_inputs if not v.is_const)
        makes, shown = [], views(node)
        for output in node.outputs:
            if output in shown:
                buffer[output] = buffer[shown[output][0]]
            else:
                makes.append(new(output))
        savings = {buffer[v]: _saved(node, v, loops) for v in reads} if makes else {}
        tasks.append(
            Task(
                reads=tuple(dict.fromkeys(buffer[v] for v in reads)),
                makes=tuple(makes),
                after=tuple(index[v.producer] for v in reads if v.producer is not None),
                extra=align_up(scratch_bytes(node, loops), ALIGNMENT),
                savings=savings,
                most_saved=nbytes[makes[0]] if makes else 0,
            )
        )
    kept = frozenset(buffer[v] for v in graph.outputs if not v.is_const)
    return Work(tuple(tasks), tuple(nbytes), kept)


def _saved(node: Node, value: Value, loops: Loops) -> int:
    """Bytes that output and input can share when the input dies."""
    rule = overlap(node, value, node.output, loops)
    if rule is None:
        return 0
    own, out = (align_up(v.nbytes, ALIGNMENT) for v in (value, node.output))
    return max(0, min(out - max(rule.lead, 0), own))
