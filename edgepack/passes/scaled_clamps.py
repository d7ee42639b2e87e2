"""Clamps between 0 and any number, and factors on their way to the next layer.

A clamp after a layer costs nothing when it is a relu6, and a layer can be scaled to make it one:

    clip(w x + b, 0, m) = m / 6 * relu6((6 / m) w x + (6 / m) b)

The factor m / 6 moves on through products into the next layer: w (a * (s c)) = (s w) (a * c).
The gate of a squeeze-and-excite block, clip(conv, 0, 1), then leaves nothing behind.
"""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import Graph, Node
from edgepack.passes.affine import WEIGHTED, Affine, has_real_weights, scale_output
from edgepack.passes.match import (
    all_real,
    as_float32,
    channel_axis,
    declined,
    live,
    sole_producer,
    supersede,
    uniform,
    variable_and_constant,
)


def clip_to_relu6(graph: Graph) -> int:
    """Make Clip(0, m) after a layer a fused relu6 and a factor; count them.

    Needs a layer with constant weights, no activation and no other reader.
    """
    count = 0
    for node in live(graph, "Clip"):
        top = node.attrs["max"]
        layer = sole_producer(graph, node.input(0), *WEIGHTED)
        if layer is None or node.attrs["min"] != 0 or not 0 < top < math.inf:
            continue
        gain = np.full(layer.output.shape[channel_axis(layer)], 6 / top)
        if layer.attrs["activation"] != "none" or not has_real_weights(layer, gain):
            declined("clip_to_relu6", node, f"{layer.name} cannot be scaled")
            continue
        scale_output(graph, layer, Affine(layer.output, gain, np.zeros_like(gain)))
        layer.attrs["activation"] = "relu6"
        factor = graph.constant(np.array(top / 6, np.float32), f"{node.name}/factor")
        supersede(graph, node.output, "Mul", [layer.output, factor])
        count += 1
    return count


def fold_scale_through_product(graph: Graph) -> int:
    """Fold s of a * (s * c) into the layer that alone reads the product; count the folded."""
    return sum(_fold(graph, node) for node in live(graph, "Mul"))


def _fold(graph: Graph, node: Node) -> bool:
    layer = graph.only_user(node.output)
    if layer is None or layer.op not in WEIGHTED or layer.input(0) is not node.output:
        return False
    for index in (0, 1):
        scaled = sole_producer(graph, node.input(index), "Mul")
        parts = variable_and_constant(scaled) if scaled is not None else None
        number = uniform(parts[1]) if parts else None
        if scaled is None or parts is None or number is None:
            continue
        if not _may_scale(node, scaled, layer) or parts[0].shape != scaled.output.shape:
            declined("fold_scale_through_product", node, "an activation, or computed weights")
            continue
        w = layer.input(1)
        layer.set_input(1, graph.constant(as_float32(w.const * np.float32(number)), w.name))
        node.set_input(index, parts[0])
        return True
    return False


def _may_scale(node: Node, scaled: Node, layer: Node) -> bool:
    plain = node.attrs["activation"] == scaled.attrs["activation"] == "none"
    return plain and layer.input(1).is_const and all(map(all_real, (node, scaled, layer)))
