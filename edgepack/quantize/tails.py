"""Outputs whose elements are of very different sizes end in float, each part with its own scale.

Boxes in pixels beside scores within 0..1, or estimates in different units: one scale for all leaves
the small ones a few steps, or none. Whatever moves elements only, from the place where the parts
come together to the output, is kept in float, behind a Dequantize for each part. Where the parts
are channels of one layer, they come out of it divided by what makes them equally large, and are
multiplied by it in float:

    y = s * (W / s x + b / s)

The function of the graph stays the same. What grows by orders of magnitude at the very end (exp) is
left in float as well: a step before it is a ratio behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.quantize.ranges import Range
from edgepack.quantize.statistics import ChannelStatistics, StatisticsTable

_PARTS_APART: Final = 10.0  # ratio of ranges from which parts of a Concat get scales of their own
_CHANNELS_APART: Final = 32.0  # the same of a layer's channels, where it costs a product
_SIXTEEN: Final = 256.0  # by how much 16 bits hold more than 8
_MOVERS: Final = ("Concat", "Reshape", "Transpose", "Slice", "Split", "Reverse")
_LAYERS: Final = ("Conv2d", "FullyConnected")
_GROWING: Final = ("Exp",)

TakesFloat = Callable[[Node], bool]


@dataclass(frozen=True, slots=True)
class Tail:
    """Nodes (by name) at the end of a graph that should stay in float, and why.

    `output` is the name of the graph's output, `parts` names what differs; `layer` is the layer
    whose channels are to be made equally large, None where parts come from several nodes.
    """

    output: str
    nodes: tuple[Node, ...]
    parts: str
    layer: Node | None = None


def levelled_values(graph: Graph) -> frozenset[str]:
    """Names of the values of a float graph that `find_tails` wants channel statistics of."""
    return frozenset(
        source.name for out in graph.outputs for source in _Region(graph, out).sources
        if _can_be_levelled(graph, source)
    )  # fmt: skip


def find_tails(graph: Graph, seen: StatisticsTable, activations: DType = DType.INT8) -> list[Tail]:
    """The outputs that need a tail in float when activations are stored so.

    `graph` is float, legalized and not changed.
    """
    finer = _SIXTEEN if activations is DType.INT16 else 1.0
    found: list[Tail] = []
    for out in graph.outputs:
        if out.dtype is DType.FLOAT32 and out.producer is not None:
            region = _Region(graph, out)
            found.extend(_uneven_parts(region, seen, _PARTS_APART * finer))
            found.extend(_uneven_channels(graph, region, seen, _CHANNELS_APART * finer))
            if activations is DType.INT8:
                found.extend(_growing(region))
    return found


def level(graph: Graph, tail: Tail, seen: StatisticsTable) -> Node:
    """Make the channels of the tail's layer equally large, in place; return the new product.

    What was seen of the layer's output is out of date afterwards.
    """
    layer = tail.layer
    assert layer is not None  # `tail` is one with a layer
    y, channels = layer.output, seen[layer.output.name].channels
    assert channels is not None  # `find_tails` read them
    scale = np.exp2(np.rint(np.log2(_sizes(channels))))  # powers of two: exact
    graph.source.divide_moments(y.name, scale)
    w = layer.input(1).const
    _replace(graph, layer, 1, w / scale.reshape(-1, *[1] * (w.ndim - 1)))
    if layer.optional(2) is not None:
        _replace(graph, layer, 2, layer.input(2).const / scale)
    factor = graph.constant(scale.astype(np.float32), f"{layer.name}/unit")
    readers, is_output = list(y.users), graph.is_output(y)
    product = graph.add("Mul", [y, factor], name=graph.fresh(f"{layer.name}/level"))
    for reader in readers:
        reader.set_inputs([product if v is y else v for v in reader.inputs])
    if is_output:
        graph.outputs = [product if v is y else v for v in graph.outputs]
        y.name, product.name = graph.fresh(f"{y.name}/levelled"), y.name
        moments = graph.source.batch_moments.pop(product.name, None)
        if moments is not None:
            graph.source.batch_moments[y.name] = moments
    graph.sort()
    node = product.producer
    assert node is not None  # just added
    return node


class _Region:
    """The nodes before an output that only move elements, and the values that they begin with."""

    def __init__(self, graph: Graph, out: Value) -> None:
        self.out = out
        self.nodes: dict[Node, None] = {}
        self.sources: dict[Value, None] = {}
        self._visit(graph, out)

    def _visit(self, graph: Graph, value: Value) -> None:
        node = value.producer
        alone = value is self.out or graph.only_user(value) is not None
        if node is None or node.op not in _MOVERS or not alone:
            if not value.is_const:
                self.sources[value] = None
            return
        self.nodes[node] = None
        for each in node.present_inputs:
            if each.dtype is DType.FLOAT32:
                self._visit(graph, each)

    def behind(self, node: Node) -> tuple[Node, ...]:
        """`node` and the region's nodes between it and the output."""
        found = {node: None}
        for value in node.outputs:
            for user in value.users:
                if user in self.nodes:
                    found.update(dict.fromkeys(self.behind(user)))
        return tuple(found)


def _uneven_parts(region: _Region, seen: StatisticsTable, apart: float) -> Iterator[Tail]:
    """The first Concat of very different ranges, seen from the output."""
    for node in region.nodes:
        if node.op == "Concat":
            ranges = {v.name: r for v in node.present_inputs if (r := _range(v, seen)) is not None}
            sizes = [max(-r.low, r.high) for r in ranges.values()]
            if len(sizes) > 1 and max(sizes) > apart * min(sizes):
                parts = ", ".join(f"{n} {r.low:.3g}..{r.high:.3g}" for n, r in ranges.items())
                nodes = {
                    n: None for n in _uneven_concats(region, seen, apart) for n in region.behind(n)
                }
                yield Tail(region.out.name, tuple(nodes), parts)
                return


def _uneven_concats(region: _Region, seen: StatisticsTable, apart: float) -> Iterator[Node]:
    for node in region.nodes:
        ranges = [_range(v, seen) for v in node.present_inputs] if node.op == "Concat" else []
        sizes = [max(-r.low, r.high) for r in ranges if r is not None]
        if len(sizes) > 1 and max(sizes) > apart * min(sizes):
            yield node


def _range(value: Value, seen: StatisticsTable) -> Range | None:
    """What a value spans; None where that is nothing."""
    if value.data is not None:
        low, high = float(value.data.min()), float(value.data.max())
    elif value.name in seen:
        low, high = seen[value.name].low, seen[value.name].high
    else:
        return None
    return Range(low, high, "min-max") if max(-low, high) > 0 else None


def _uneven_channels(
    graph: Graph, region: _Region, seen: StatisticsTable, apart: float
) -> Iterator[Tail]:
    for source in region.sources:
        found = seen.get(source.name)
        if found is None or found.channels is None or not _can_be_levelled(graph, source):
            continue
        sizes = _sizes(found.channels)
        if sizes.max() > apart * sizes.min():
            layer = source.producer
            users = [n for n in source.users if n in region.nodes]
            nodes = {n: None for user in users for n in region.behind(user)}
            parts = f"channels of {source.name} up to {sizes.min():.3g} and to {sizes.max():.3g}"
            yield Tail(region.out.name, tuple(nodes), parts, layer)


def _can_be_levelled(graph: Graph, value: Value) -> bool:
    node = value.producer
    if node is None or node.op not in _LAYERS or value.dtype is not DType.FLOAT32:
        return False
    if sum(v is value for v in graph.outputs) + len(value.users) != 1:
        return False
    parameters = [node.input(1), *([] if node.optional(2) is None else [node.input(2)])]
    return (
        node.attrs["activation"] in ("none", "relu")
        and value.shape[-1] > 1
        and all(v.data is not None and v.dtype is DType.FLOAT32 for v in parameters)
    )


def _sizes(channels: ChannelStatistics) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The largest size of each channel; channels that are always zero count as the largest."""
    sizes = np.maximum(np.abs(channels.low), np.abs(channels.high))
    return np.where(sizes > 0, sizes, max(float(sizes.max()), 1e-30))


def _growing(region: _Region) -> Iterator[Tail]:
    for source in region.sources:
        node = source.producer
        if node is not None and node.op in _GROWING:
            users = [user for user in source.users if user in region.nodes]
            behind = {n: None for user in users for n in region.behind(user)}
            yield Tail(region.out.name, (node, *behind), f"{node.op} {node.name} spans decades")


def _replace(
    graph: Graph, node: Node, index: int, data: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> None:
    old = node.input(index)
    node.set_input(index, graph.constant(data.astype(np.float32), old.name))
