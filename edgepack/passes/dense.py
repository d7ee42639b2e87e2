"""Matrix products with constant weights, and the bias after a product."""

from __future__ import annotations

import math

from edgepack.ir import Graph, Node, QuantParams, Value
from edgepack.passes.constants import constant_like
from edgepack.passes.match import declined, live, sole_producer, supersede


def matmul_to_fully_connected(graph: Graph) -> int:
    """MatMul(x, constant b) = FullyConnected(x, b transposed), whose weights are [out, in].

    Needs an x that is not transposed and a b with at most two dimensions above 1. Quantized weights
    keep their scales (the channel axis moves along) and must have zero point 0.
    """
    count = 0
    for node in live(graph, "MatMul"):
        b = node.input(1)
        if not b.is_const or node.input(0).is_const:
            continue
        if why := _refusal(node):
            declined("matmul_to_fully_connected", node, why)
            continue
        supersede(graph, node.output, "FullyConnected", [node.input(0), _weights(graph, node)])
        count += 1
    return count


def _refusal(node: Node) -> str:
    a, b = node.input(0), node.input(1)
    if node.attrs["adj_a"]:
        return "its left side is transposed"
    if math.prod(b.shape[:-2]) != 1 or b.rank > a.rank:
        return f"one weight matrix per batch: {b.shape}"
    if not a.dtype.is_float and a.quant is None:
        return "whole numbers"
    if b.quant is not None and b.quant.zero_point.any():
        return "its weights are asymmetric"
    if b.quant is not None and b.quant.axis is not None and b.quant.axis != _out_axis(node):
        return "its weights have scales along their input dimension"
    return ""


def _out_axis(node: Node) -> int:
    rank = node.input(1).rank
    return rank - 2 if node.attrs["adj_b"] else rank - 1


def _weights(graph: Graph, node: Node) -> Value:
    b = node.input(1)
    matrix = b.const.reshape(b.shape[-2:])
    quant = b.quant
    if quant is not None and quant.axis is not None:
        quant = QuantParams(quant.scale, quant.zero_point, 0)
    return constant_like(graph, b, matrix if node.attrs["adj_b"] else matrix.T, quant)


def lift_reshape_over_bias(graph: Graph) -> int:
    """Add(Reshape(FullyConnected(x)), c) = Reshape(Add(FullyConnected(x), c)).

    Only where the Reshape keeps the last dimension and c is one number per channel, so that the
    Add can become the layer's bias.
    """
    count = 0
    for node in live(graph, "Add"):
        for index in (0, 1):
            reshape = sole_producer(graph, node.input(index), "Reshape")
            if reshape is not None and _liftable(graph, node, reshape, node.input(1 - index)):
                x, c = reshape.input(0), node.input(1 - index)
                added = graph.add("Add", [x, c], {"activation": node.attrs["activation"]})
                supersede(graph, node.output, "Reshape", [added], {"shape": node.output.shape})
                count += 1
                break
    return count


def _liftable(graph: Graph, node: Node, reshape: Node, c: Value) -> bool:
    x = reshape.input(0)
    if sole_producer(graph, x, "FullyConnected", "MatMul") is None or not c.is_const:
        return False
    per_channel = c.rank > 0 and c.size == c.shape[-1]
    same_channels = per_channel and x.shape[-1] == reshape.output.shape[-1] == c.size
    if not same_channels or c.rank > x.rank or node.output.shape != reshape.output.shape:
        declined("lift_reshape_over_bias", node, "not one constant per channel")
        return False
    return all(v.quant is None for v in (x, c, node.output))
