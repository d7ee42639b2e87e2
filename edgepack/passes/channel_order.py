"""Channels put in another order, by the layer that makes them."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Graph, Node, QuantParams
from edgepack.passes.constants import constant_like
from edgepack.passes.match import channel_axis, declined, live, take_over

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
