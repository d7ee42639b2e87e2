"""Channels put in another order, by the layer that makes them or by those that read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edgepack.ir import OPS, Array, Graph, Node, QuantParams, Value
from edgepack.passes.constants import constant_like
from edgepack.passes.match import (
    bypass,
    channel_axis,
    declined,
    live,
    may_take_over,
    producer,
    take_over,
)

# The dimension of the weights that counts the output channels.
_OUTPUT_AXIS = {"Conv2d": 0, "DepthwiseConv2d": 3, "FullyConnected": 0}


def fold_channel_gather(graph: Graph) -> int:
    """Gather(layer(x, w, b), order) = layer(x, w[order], b[order]) along the channels; count them.

    `order` must be a constant permutation of all channels: a pixel shuffle in CRD order has one
    before its DepthToSpace. Scales per channel follow. Depthwise and grouped layers read other
    channels for other outputs, so there the order may only change within a group.
    """
    count = 0
    for node in live(graph, "Gather"):
        layer = node.input(0).producer
        if layer is None or layer.op not in _OUTPUT_AXIS:
            continue
        if why := _refusal(graph, layer, node):
            declined("fold_channel_gather", node, why)
            continue
        order = _order(node)
        _reorder(graph, layer, 1, _OUTPUT_AXIS[layer.op], order)
        if layer.optional(2) is not None:
            _reorder(graph, layer, 2, 0, order)
        take_over(graph, node.output, layer.output)
        count += 1
    return count


def _order(node: Node) -> Array:
    return np.asarray(node.input(1).const % node.input(0).shape[node.attrs["axis"]])


def _refusal(graph: Graph, layer: Node, node: Node) -> str:
    x, indices, axis = node.input(0), node.input(1), node.attrs["axis"] % node.input(0).rank
    if not indices.is_const or indices.rank != 1 or axis != channel_axis(layer):
        return "not a constant order of the channels"
    if sorted(_order(node)) != list(range(x.shape[axis])):
        return "not a permutation"
    if graph.only_user(x) is None or x.quant != node.output.quant:
        return f"{x.name} has other readers or parameters"
    if not all(v.is_const for v in layer.present_inputs[1:]):
        return f"the weights of {layer.name} are computed"
    size = x.shape[axis] // _groups(layer)
    if (_order(node) // size != np.arange(x.shape[axis]) // size).any():
        return f"{layer.name} reads other channels for each group"
    return ""


def _groups(layer: Node) -> int:
    if layer.op == "DepthwiseConv2d":
        return layer.input(0).shape[channel_axis(layer)]
    return int(layer.attrs.get("groups", 1))


def _reorder(graph: Graph, layer: Node, index: int, axis: int, order: Array) -> None:
    old = layer.input(index)
    quant = old.quant
    if quant is not None and quant.axis is not None and quant.axis % old.rank == axis:
        quant = QuantParams(quant.scale[order], quant.zero_point[order], axis)
    if old.shape[axis] == order.size:  # else one number for all
        data = old.const.take(order, axis)
        layer.set_input(index, constant_like(graph, old, data, quant))


# -- by those that read them -----------------------------------------------------------------------


def absorb_channel_shuffle(graph: Graph) -> int:
    """layer(x[order], w) = layer(x, w[:, order⁻¹]): shuffles that only layers read; count them.

    A shuffle is a Reshape, Transpose and Reshape that only move the last dimension's elements.
    Depthwise layers, pooling and elementwise operators with constants hand the order on. Grouped
    layers and Splits need the channels in their order: there the shuffle stays.
    """
    count = 0
    for node in live(graph, "Reshape"):
        start = _shuffled(node)
        if start is None or not may_take_over(graph, node.output, start[0]):
            continue
        trail = _Trail(graph)
        if why := trail.refusal(node.output, start[1]):
            declined("absorb_channel_shuffle", node, why)
            continue
        for layer, index, axis, order in trail.reorders:
            _reorder(graph, layer, index, axis, order)
        bypass(graph, node.output, start[0])
        count += 1
    return count


def _shuffled(last: Node) -> tuple[Value, Array] | None:
    """(x, order) where the node makes x[..., order] by three operators."""
    transpose = producer(last.input(0), "Transpose")
    first = producer(transpose.input(0), "Reshape") if transpose is not None else None
    if transpose is None or first is None:
        return None
    x, split, perm = first.input(0), first.output.shape, transpose.attrs["perm"]
    front = x.rank - 1
    kept = perm[:front] == tuple(range(front)) and split[:front] == x.shape[:-1]
    if x.rank < 2 or not kept or x.shape != last.output.shape or x.quant != last.output.quant:
        return None
    places = np.arange(x.shape[-1]).reshape(split[front:])
    return x, places.transpose([p - front for p in perm[front:]]).reshape(-1)


@dataclass(slots=True)
class _Trail:
    """What to reorder so that v may stand for v[..., order]: (node, input, axis, order) each."""

    graph: Graph
    reorders: list[tuple[Node, int, int, Array]] = field(default_factory=list)

    def refusal(self, value: Value, order: Array) -> str:
        """Follow `value` to all its readers; return why one of them needs the order, else ''."""
        if self.graph.is_output(value):
            return f"{value.name} is an output"
        whys = (self._past(node, value, order) for node in value.users)
        return next(filter(None, whys), "")

    def _past(self, node: Node, value: Value, order: Array) -> str:
        if sum(v is value for v in node.inputs) != 1 or not all(
            v is value or v.is_const for v in node.present_inputs
        ):
            return f"{node.name} reads other values as well"
        if node.op in ("Conv2d", "FullyConnected") and _groups(node) == 1:
            return self._into(node, value, order)
        if node.op == "DepthwiseConv2d":
            times = node.output.shape[-1] // order.size
            order = (order[:, None] * times + np.arange(times)).reshape(-1)
            self.reorders += [(node, i, v.rank - 1, np.argsort(order)) for i, v in _others(node)]
        elif OPS[node.op].elementwise and node.output.shape == value.shape:
            constants = [(i, v) for i, v in enumerate(node.present_inputs) if v is not value]
            wide = [(i, v) for i, v in constants if v.rank]
            self.reorders += [(node, i, v.rank - 1, np.argsort(order)) for i, v in wide]
        elif not _keeps_channels(node):
            return f"{node.op} {node.name} needs the order"
        return self.refusal(node.output, order)

    def _into(self, layer: Node, value: Value, order: Array) -> str:
        if layer.input(0) is not value or layer.attrs.get("flatten", False):
            return f"{layer.name} reads it as something else"
        self.reorders.append((layer, 1, layer.input(1).rank - 1, np.argsort(order)))
        return ""


def _others(node: Node) -> Iterator[tuple[int, Value]]:
    return ((i, v) for i, v in enumerate(node.inputs) if i and v is not None)


def _keeps_channels(node: Node) -> bool:
    """Whether each output channel is made of the input channel in its place, of it alone."""
    x = node.input(0)
    if node.op in ("MaxPool2d", "AveragePool2d", "ResizeNearest", "ResizeBilinear"):
        return True
    if node.op == "Pad":
        return not any(node.attrs["pads"][-1])
    axes = node.attrs.get("axes", ())
    return OPS[node.op].kind == "reduction" and x.rank - 1 not in {a % x.rank for a in axes}
