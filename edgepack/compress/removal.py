"""Groups of channels that may be removed from a graph, and their removal.

Kept with the field's term "dependency graph" in mind (Fang et al. 2023, arXiv:2301.12900), but on
single channels instead of layers: concatenations and splits then need no special cases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.compress.coupling import FIXED, Coupling, Ids, Keep, Labels
from edgepack.compress.coupling_rules import columns_of, ruling_of, stop
from edgepack.errors import InternalError
from edgepack.ir import Graph, Node, Value
from edgepack.ir.graph import ChannelMoments

LAYERS: Final = (
    *("Conv2d", "DepthwiseConv2d", "ConvTranspose2d", "Conv3d", "ConvTranspose3d"),
    "FullyConnected",
)
_MAKERS: Final = tuple(op for op in LAYERS if op != "DepthwiseConv2d")


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that occur in the same values: any of `labels` may go, but not all.

    `makers` are the layers whose rows they are, `readers` those whose columns they are; a depthwise
    layer is neither, it follows.
    """

    name: str
    labels: tuple[int, ...]
    makers: tuple[Node, ...]
    readers: tuple[Node, ...]
    followers: tuple[Node, ...]


class Channels:
    """The labels of a graph's values and the groups they form; the graph must not change."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.coupling = trace(graph)
        self.groups = _groups(graph, self.coupling)

    def rows(self, node: Node) -> Ids:
        """The label of each channel that a node makes."""
        return self.coupling.roots(node.output)

    def columns(self, node: Node) -> Ids:
        """The label of each channel or feature that a layer's weights read."""
        return self.coupling.find(columns_of(node, self.coupling))

    def group_of(self, name: str) -> Group | None:
        """The group of which the layer `name` makes or filters channels; None where there is none.

        The first one, when several are concatenated.
        """
        for group in self.groups:
            if any(node.name == name for node in (*group.makers, *group.followers)):
                return group
        return None

    def why_not(self, node: Node) -> str:
        """Why the channels that a layer makes must stay."""
        return self.coupling.reason(self.coupling.of(node.output).ids)


def trace(graph: Graph) -> Coupling:
    """The labels of all values of a graph, by each operator's rule."""
    coupling = Coupling()
    for value in graph.inputs:
        coupling.give(value, Labels.fixed(value).axis, Labels.fixed(value).ids)
    for node in graph.nodes:
        ruling = ruling_of(node)
        quantized = any(v.quant is not None for v in (*node.present_inputs, *node.outputs))
        if ruling is None or quantized or any(not v.rank for v in node.outputs):
            stop(node, coupling)
        else:
            ruling.rule(node, coupling)
    for value in graph.outputs:
        coupling.freeze(coupling.of(value).ids, f"{value.name} is an output of the model")
    coupling.settle()
    return coupling


def _groups(graph: Graph, coupling: Coupling) -> list[Group]:
    """Labels that occur in the very same values, in the order of the layers that make them."""
    where: dict[int, list[Value]] = {}
    for value in graph.values():
        for root in dict.fromkeys(coupling.roots(value).tolist()):
            if root != FIXED:
                where.setdefault(root, []).append(value)
    found: dict[tuple[int, ...], list[int]] = {}
    for root, values in where.items():
        found.setdefault(tuple(id(v) for v in values), []).append(root)
    roots = {
        node: (
            frozenset(coupling.roots(node.output).tolist()),
            frozenset(coupling.find(columns_of(node, coupling)).tolist()),
        )
        for node in graph.nodes_of(*LAYERS)
    }
    return [_group(labels, roots) for labels in found.values() if len(labels) > 1]


def _group(labels: list[int], roots: Mapping[Node, tuple[frozenset[int], frozenset[int]]]) -> Group:
    first = labels[0]
    makers = tuple(n for n, (rows, _) in roots.items() if first in rows and n.op in _MAKERS)
    readers = tuple(n for n, (_, cols) in roots.items() if first in cols and n.op in _MAKERS)
    followers = tuple(n for n, (rows, _) in roots.items() if first in rows and n.op not in _MAKERS)
    name = makers[0].name if makers else (readers[0].name if readers else "padding")
    return Group(name, tuple(labels), makers, readers, followers)


def remove(graph: Graph, channels: Channels, gone: Collection[int]) -> None:
    """Remove channels by their labels from `graph`, in place.

    `channels` are those of `graph`, or of a graph of which it is a copy. Raises InternalError when
    nothing of a value would be left.
    """
    if not gone:
        return
    keep = Keep(channels.coupling, gone)
    twins = dict(zip(channels.graph.nodes, graph.nodes, strict=True))
    edits = [(node, twin, _edit(node, keep)) for node, twin in twins.items()]
    shapes = [
        (twin_value, keep.shape(value), keep.mask(value))
        for node, twin, _ in edits
        for value, twin_value in zip(node.outputs, twin.outputs, strict=True)
        if _touched(value, keep)
    ]
    for _, twin, edit in edits:
        if edit is not None:
            _carry_out(graph, twin, edit)
    for value, shape, mask in shapes:
        if not all(shape):
            raise InternalError(f"no channel of {value.name} would be left")
        value.shape = shape
        _divide_moments(graph, value.name, mask)


def _touched(value: Value, keep: Keep) -> bool:
    return not bool(keep.mask(value).all())


def _edit(node: Node, keep: Keep) -> tuple[dict[int, object], dict[str, object]] | None:
    if not any(_touched(v, keep) for v in (*node.present_inputs, *node.outputs)):
        return None
    ruling = ruling_of(node)
    assert ruling is not None  # what it reads and makes were fixed else
    edit = ruling.rewrite(node, keep)
    return dict(edit.constants), dict(edit.attrs)


def _carry_out(graph: Graph, node: Node, edit: tuple[dict[int, object], dict[str, object]]) -> None:
    constants, attrs = edit
    for index, data in constants.items():
        array = np.ascontiguousarray(np.asarray(data))
        node.set_input(index, graph.constant(array, node.input(index).name))
    node.attrs.update(attrs)


def _divide_moments(graph: Graph, name: str, mask: np.typing.NDArray[np.bool_]) -> None:
    known = graph.source.batch_moments.get(name)
    if known is not None and known.mean.size == mask.size:
        graph.source.batch_moments[name] = ChannelMoments(known.mean[mask], known.deviation[mask])
