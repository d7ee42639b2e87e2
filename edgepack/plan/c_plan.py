"""The memory of the C runtime: what runs when, and where every value lies in one static arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.ir import Graph, Node, Value
from edgepack.plan.c_blocks import blocks_of, live_bytes
from edgepack.plan.c_loops import LOOPS, Loops, expanded_bytes
from edgepack.plan.c_order import frugal_order
from edgepack.plan.c_overlap import runs_of_concat, views
from edgepack.plan.c_place import place


@dataclass(frozen=True, slots=True)
class CPlan:
    """The arena of the C runtime; all sizes and offsets in bytes.

    `offsets` has every value that is not constant, graph inputs and outputs too. `scratch` has
    (offset, bytes) of the nodes that need working memory, the last `expanded` bytes of it for
    weights that are stored as codes. `live_bytes` is, for each node of `order`, what must be in use
    while it runs; the most of it, or what the inputs take together, is `lower_bound_bytes`, which
    no placement of this order can undercut.
    """

    order: tuple[Node, ...]
    offsets: Mapping[Value, int]
    scratch: Mapping[Node, tuple[int, int]]
    arena_bytes: int
    lower_bound_bytes: int
    live_bytes: tuple[int, ...]
    expanded: Mapping[Node, int] = field(default_factory=dict)

    def is_free(self, node: Node) -> bool:
        """Whether `node` needs no code: its outputs lie where their bytes already are."""
        pairs = [(v, first, output) for output, (v, first) in views(node).items()]
        runs = runs_of_concat(node) or []
        pairs += [(v, -first, node.output) for v, first in runs]
        return bool(pairs) and all(
            v in self.offsets and self.offsets[v] + first == self.offsets[output]
            for v, first, output in pairs
        )


def plan_c(graph: Graph, optimize: str = "speed", *, reorder: bool = True) -> CPlan:
    """The plan of `graph` with the kernel variants of `optimize`: "speed", "ram" or "flash".

    Nodes run in the graph's order, or with `reorder` in one that takes a smaller arena.
    Deterministic.
    """
    loops = LOOPS[optimize]
    plan = _planned(graph, graph.nodes, loops)
    order = frugal_order(graph, loops) if reorder else graph.nodes
    if order == graph.nodes:
        return plan
    return min(plan, _planned(graph, order, loops), key=lambda p: p.arena_bytes)  # first of equals


def lowest_bytes(graph: Graph, optimize: str = "speed") -> int:
    """What the arena of `graph` in its own order takes at least, found much faster than a plan."""
    puzzle = blocks_of(graph, graph.nodes, LOOPS[optimize]).puzzle
    return max(live_bytes(puzzle, len(graph) + 2))


def _planned(graph: Graph, nodes: Sequence[Node], loops: Loops) -> CPlan:
    found = blocks_of(graph, nodes, loops)
    live = live_bytes(found.puzzle, len(nodes) + 2)
    bound = max(live)
    offsets, arena = place(found.puzzle, bound)
    return CPlan(
        order=tuple(nodes),
        offsets={v: offsets[block] + start for v, (block, start) in found.home.items()},
        scratch={n: (offsets[block], size) for n, (block, size) in found.scratch.items()},
        arena_bytes=arena,
        lower_bound_bytes=bound,
        live_bytes=tuple(live[1:-1]),
        expanded={n: size for n in nodes if (size := expanded_bytes(n, loops))},
    )
