"""An order of the nodes that keeps less alive at once.

Only branches give a choice. Several simple orders are compared with the graph's own, which stays
unless another is strictly better: finding the best one is NP-hard in general.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Graph, Node, Value
from edgepack.plan.arena import lower_bound
from edgepack.plan.liveness import lifetimes


def peak_live_bytes(graph: Graph, order: Sequence[Node] | None = None) -> int:
    """The most bytes alive at one step, which no placement can undercut."""
    return lower_bound(lifetimes(graph, order).buffers)


def memory_order(graph: Graph) -> list[Node]:
    """The nodes in a topological order with the smallest peak found; the graph is not changed."""
    original = graph.nodes
    candidates = [original, _frugal_order(graph), _branch_order(graph)]
    return min(candidates, key=lambda order: peak_live_bytes(graph, order))  # first of equals


def _frugal_order(graph: Graph) -> list[Node]:
    """Among the nodes that can run, always the one that adds least (frees most)."""
    nodes = graph.nodes
    position = {node: i for i, node in enumerate(nodes)}
    waiting = {node: _pending(node) for node in nodes}
    readers = {v: len(v.users) + graph.is_output(v) for v in graph.values()}
    ready = [node for node in nodes if waiting[node] == 0]
    order: list[Node] = []
    while ready:
        node = min(ready, key=lambda n: (_added_bytes(n, readers), position[n]))
        ready.remove(node)
        order.append(node)
        for value in _distinct_inputs(node):
            readers[value] -= 1
        for user in dict.fromkeys(u for out in node.outputs for u in out.users):
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    return order


def _pending(node: Node) -> int:
    return len({v.producer for v in node.present_inputs if v.producer is not None})


def _distinct_inputs(node: Node) -> list[Value]:
    return list(dict.fromkeys(v for v in node.present_inputs if not v.is_const))


def _added_bytes(node: Node, readers: dict[Value, int]) -> int:
    freed = sum(v.nbytes for v in _distinct_inputs(node) if readers[v] == 1)
    return sum(v.nbytes for v in node.outputs) - freed


def _branch_order(graph: Graph) -> list[Node]:
    """Depth first from the outputs; of a node's inputs the one with the larger need comes first.

    That is the Sethi-Ullman rule, exact on trees.
    """
    need: dict[Node, int] = {}
    for node in graph.nodes:
        inputs = _distinct_inputs(node)
        below = sorted((_need(v, need) for v in inputs), reverse=True)
        held = [v.nbytes for v in sorted(inputs, key=lambda v: -_need(v, need))]
        peak = max((b + sum(held[:i]) for i, b in enumerate(below)), default=0)
        need[node] = max(peak, sum(held) + sum(v.nbytes for v in node.outputs))
    order: dict[Node, None] = {}
    for value in graph.outputs:
        _visit(value, need, order)
    for node in graph.nodes:  # nodes that no output depends on
        order.setdefault(node)
    return list(order)


def _need(value: Value, need: dict[Node, int]) -> int:
    return value.nbytes if value.producer is None else need[value.producer]


def _visit(root: Value, need: dict[Node, int], order: dict[Node, None]) -> None:
    stack: list[tuple[Node, bool]] = [] if root.producer is None else [(root.producer, False)]
    while stack:
        node, inputs_done = stack.pop()
        if node in order:
            continue
        if inputs_done:
            order[node] = None
            continue
        stack.append((node, True))
        for value in sorted(_distinct_inputs(node), key=lambda v: _need(v, need)):
            if value.producer is not None and value.producer not in order:
                stack.append((value.producer, False))
