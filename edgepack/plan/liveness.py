"""How long each value of a graph needs memory, when its nodes run in order.

Step 0 is before the first node (inputs are written then); node i runs in step i + 1; outputs live
to the end. Constants need no arena.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.ir import Graph, Node, Value
from edgepack.plan.arena import Buffer


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """A buffer for each value: inputs first, then what the nodes make, in their order."""

    buffers: tuple[Buffer, ...]
    steps: int


def lifetimes(graph: Graph, order: Sequence[Node] | None = None) -> Lifetimes:
    """Lifetimes of all computed values and inputs, for `order` (default: the graph's)."""
    nodes = list(graph.nodes if order is None else order)
    last = _last_uses(graph, nodes)
    born = [(value, 0) for value in graph.inputs]
    born += [(v, step) for step, node in enumerate(nodes, start=1) for v in node.outputs]
    buffers = (Buffer(v.name, v.nbytes, step, last.get(v, step)) for v, step in born)
    return Lifetimes(tuple(buffers), len(nodes) + 1)


def _last_uses(graph: Graph, nodes: Sequence[Node]) -> dict[Value, int]:
    last: dict[Value, int] = {}
    for step, node in enumerate(nodes, start=1):
        last.update(dict.fromkeys(node.present_inputs, step))
    last.update(dict.fromkeys(graph.outputs, len(nodes)))
    return last
