"""Cuts a graph into the blocks that are reconstructed together.

A block should be entered and left by one value, as a residual block is: then its output is all that
it has to keep. Where values of far away pass by (the skips of a U-Net), the places at which the
fewest values are alive serve as borders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edgepack.ir import Graph, Node

LARGEST: Final = 5  # layers with weights in a region that is not cut any further
CHAIN: Final = 3  # layers in a row that make a block, where nothing branches


def find_blocks(graph: Graph, has_weights: Callable[[Node], bool]) -> list[list[Node]]:
    """The graph's nodes in order, in blocks of one to LARGEST layers with weights."""
    nodes = graph.nodes
    alive = _alive(graph, nodes)
    regions = _cut(nodes, alive, 0, len(nodes), has_weights)
    return _chained(regions, has_weights)


def _alive(graph: Graph, nodes: Sequence[Node]) -> list[int]:
    """How many activations are still to be read after each node."""
    last: dict[object, int] = {}
    for index, node in enumerate(nodes):
        last.update((v, index) for v in node.present_inputs if not v.is_const)
    last.update((v, len(nodes)) for v in graph.outputs)
    first = dict.fromkeys(graph.inputs, -1)
    first.update((v, i) for i, n in enumerate(nodes) for v in n.outputs)
    return [
        sum(made <= place < last.get(v, -1) for v, made in first.items())
        for place in range(len(nodes))
    ]


def _cut(
    nodes: Sequence[Node],
    alive: Sequence[int],
    start: int,
    end: int,
    has_weights: Callable[[Node], bool],
    whole: bool = True,
) -> list[list[Node]]:
    """nodes[start:end] in regions: cut wherever the fewest values are alive.

    The whole graph is cut so in any case, its regions only where they have too many layers.
    """
    count = sum(map(has_weights, nodes[start:end]))
    inner = range(start, end - 1)
    if not inner or (not whole and count <= LARGEST):
        return [list(nodes[start:end])]
    fewest = min(alive[i] for i in inner)
    borders = [i + 1 for i in inner if alive[i] == fewest]
    found, begin = [], start
    for border in [*borders, end]:
        found += _cut(nodes, alive, begin, border, has_weights, False)
        begin = border
    return found


def _chained(
    regions: Sequence[list[Node]], has_weights: Callable[[Node], bool]
) -> list[list[Node]]:
    """Regions of at most one layer, joined to chains of up to CHAIN layers."""
    blocks: list[list[Node]] = []
    room = 0  # layers that the last block still takes
    for region in regions:
        count = sum(map(has_weights, region))
        if blocks and (count == 0 or (count == 1 and room)):
            blocks[-1] += region
            room -= count
        else:
            blocks.append(list(region))
            room = CHAIN - 1 if count <= 1 else 0
    return blocks
