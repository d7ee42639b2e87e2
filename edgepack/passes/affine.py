"""Per-channel affine operators into the weights of their neighbours.

An operator y = g * x + s, with one g and s per channel, is a BatchNorm or an Add, Sub, Mul or Div
with a constant. With a convolution or dense layer (weights w, bias b):

    after it:    g * (w x + b) + s    =  (g w) x + (g b + s)        g, s per output channel
    before it:   w (g x + s) + b      =  (w g) x + (w s + b)        g, s per input channel

The second holds with zero padding only where s = 0: padded pixels skip the affine operator. For the
same reason a transposed convolution takes no s from before it: not all taps reach every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import OPS, Graph, Node, Value
from edgepack.passes.match import (
    Vector,
    all_real,
    as_float32,
    bypass,
    channel_axis,
    channel_vector,
    declined,
    live,
    supersede,
    take_over,
    variable_and_constant,
)

# Operators with weights at input 1 and a bias at input 2.
WEIGHTED: Final = tuple(
    op for op, row in OPS.items() if (row.quant.weight, row.quant.bias) == (1, 2)
)
ARITHMETIC: Final = ("Add", "Sub", "Mul", "Div")


@dataclass(frozen=True, slots=True)
class Affine:
    """y = gain * x + shift, both float64 [channels of x along axis]."""

    x: Value
    gain: Vector
    shift: Vector


def fold_batchnorm(graph: Graph) -> int:
    """Fold each BatchNorm into the weighted layer before it, else after it; count the folded.

    gain = gamma / sqrt(var + eps) and shift = beta - mean * gain. Needs a layer with constant
    weights, no activation and no other reader in between.
    """
    return _fold(graph, "fold_batchnorm", ("BatchNorm",))


def fold_scale(graph: Graph) -> int:
    """Fold Add, Sub, Mul and Div by constants (scalars, or one number per channel) likewise."""
    return _fold(graph, "fold_scale", ARITHMETIC)


def decompose_batchnorm(graph: Graph) -> int:
    """Turn each remaining BatchNorm into Mul and Add by constants."""
    count = 0
    for node in live(graph, "BatchNorm"):
        axis = node.attrs["axis"] % node.output.rank
        affine = affine_of(node, axis)
        if affine is None:
            declined("decompose_batchnorm", node, "its statistics are not constant")
            continue
        shape = [1] * (node.output.rank - axis)
        shape[0] = -1
        stem = node.name
        gain = graph.constant(as_float32(affine.gain.reshape(shape)), f"{stem}/gain")
        shift = graph.constant(as_float32(affine.shift.reshape(shape)), f"{stem}/shift")
        scaled = graph.add("Mul", [affine.x, gain], name=f"{stem}/scaled")
        supersede(graph, node.output, "Add", [scaled, shift])
        count += 1
    return count


def affine_of(node: Node, axis: int) -> Affine | None:
    """What an operator does per index of `axis`; None when it is nothing of the kind."""
    if not all_real(node):
        return None
    if node.op == "BatchNorm":
        return _batchnorm(node) if node.attrs["axis"] % node.output.rank == axis else None
    parts = variable_and_constant(node)
    if parts is None or parts[0].shape != node.output.shape:
        return None
    x, constant = parts
    c = channel_vector(constant, x.shape, axis)
    if c is None:
        return None
    one, zero, first = np.ones_like(c), np.zeros_like(c), x is node.input(0)
    match node.op:
        case "Add":
            return Affine(x, one, c)
        case "Sub":
            return Affine(x, one, -c) if first else Affine(x, -one, c)
        case "Mul":
            return Affine(x, c, zero)
        case "Div" if first and c.all():
            return Affine(x, 1 / c, zero)
    return None


def _batchnorm(node: Node) -> Affine | None:
    x, *rest = node.present_inputs
    if not all(v.is_const for v in rest):
        return None
    gamma, beta, mean, var = (v.const.astype(np.float64) for v in rest)
    gain = gamma / np.sqrt(var + node.attrs["eps"])  # [C]
    return Affine(x, gain, beta - mean * gain)


def _fold(graph: Graph, rule: str, ops: tuple[str, ...]) -> int:
    return sum(
        _fold_back(graph, rule, n) or _fold_forward(graph, rule, n) for n in live(graph, *ops)
    )


# -- into the layer before -------------------------------------------------------------------------


def _fold_back(graph: Graph, rule: str, node: Node) -> bool:
    layer = next((m for v in node.present_inputs if (m := _layer_making(v))), None)
    if layer is None:
        return False
    affine = affine_of(node, channel_axis(layer))
    if affine is None or affine.x is not layer.output:
        declined(rule, node, "not one constant per channel")
        return False
    if graph.only_user(layer.output) is None:
        declined(rule, node, f"{layer.output.name} has other readers")
        return False
    if layer.attrs["activation"] != "none" or not has_real_weights(layer, affine.gain):
        declined(rule, node, f"{layer.name} has an activation, or weights that are not constant")
        return False
    scale_output(graph, layer, affine)
    layer.attrs["activation"] = node.attrs.get("activation", "none")
    take_over(graph, node.output, layer.output)
    return True


def _layer_making(value: Value) -> Node | None:
    node = value.producer
    return node if node is not None and node.op in WEIGHTED else None


def has_real_weights(layer: Node, gain: Vector) -> bool:
    """Whether a layer's output can be scaled by `gain` through its constants."""
    bias = layer.optional(2)
    if not all_real(layer) or not (bias is None or bias.is_const):
        return False
    return layer.input(1).is_const or bool((gain == 1).all())


def scale_output(graph: Graph, layer: Node, affine: Affine) -> None:
    """Give a layer new weights and bias, so that it applies `affine` to what it gave before."""
    w, bias = layer.input(1), layer.optional(2)
    if not (affine.gain == 1).all():
        shape = [1] * w.rank
        shape[3 if layer.op == "DepthwiseConv2d" else 0] = -1
        scaled = w.const * affine.gain.reshape(shape).astype(np.float32)
        layer.set_input(1, graph.constant(as_float32(scaled), w.name))
    old = 0.0 if bias is None else bias.const.astype(np.float64)
    _set_bias(graph, layer, old * affine.gain + affine.shift)


def _set_bias(graph: Graph, layer: Node, data: Vector) -> None:
    old = layer.optional(2)
    name = f"{layer.name}/bias" if old is None else old.name
    layer.set_input(2, graph.constant(as_float32(data), name))


# -- into the layer after --------------------------------------------------------------------------


def _fold_forward(graph: Graph, rule: str, node: Node) -> bool:
    layer = graph.only_user(node.output)
    if layer is None or layer.op not in WEIGHTED or layer.input(0) is not node.output:
        return False
    if node.attrs.get("activation", "none") != "none":
        return False
    axis = 1 if layer.attrs.get("layout") == "NCHW" else node.output.rank - 1
    affine = affine_of(node, axis)
    if affine is None or not _takes_before(rule, node, layer, affine):
        return False
    w = layer.input(1)
    if affine.shift.any():
        bias = layer.optional(2)
        old = 0.0 if bias is None else bias.const.astype(np.float64)
        _set_bias(graph, layer, old + _constant_response(layer, affine.shift))
    layer.set_input(
        1, graph.constant(as_float32(w.const * _over_inputs(layer, affine.gain)), w.name)
    )
    bypass(graph, node.output, affine.x)
    return True


def _takes_before(rule: str, node: Node, layer: Node, affine: Affine) -> bool:
    bias = layer.optional(2)
    if not all_real(layer) or not layer.input(1).is_const or not (bias is None or bias.is_const):
        return False
    if layer.attrs.get("flatten") and layer.input(1).shape[1] != affine.gain.size:
        declined(rule, node, f"{layer.name} has a weight for each pixel")
        return False
    padded = any(map(any, layer.attrs.get("pad", ()))) or layer.op == "ConvTranspose2d"
    if padded and affine.shift.any():
        declined(rule, node, f"{layer.name} pads with zeros, which the shift would not reach")
        return False
    return True


def _over_inputs(layer: Node, vector: Vector) -> Vector:
    """A vector over the input channels, in a shape that broadcasts with the layer's weights."""
    outputs = layer.input(1).shape
    if layer.op == "DepthwiseConv2d":
        return np.repeat(vector, outputs[3] // vector.size)  # [C * M]
    groups = layer.attrs.get("groups", 1)
    if groups == 1:
        return vector  # [in], the last dimension
    rows = np.repeat(vector.reshape(groups, -1), outputs[0] // groups, axis=0)
    return rows.reshape(outputs[0], 1, 1, -1)  # [out, 1, 1, in / groups]


def _constant_response(layer: Node, shift: Vector) -> Vector:
    """What the layer makes of an input that is `shift` everywhere, float64 [out]."""
    w = layer.input(1).const
    response: Vector = w * _over_inputs(layer, shift)
    taps = (0, 1, 2) if layer.op == "DepthwiseConv2d" else tuple(range(1, w.ndim))
    total: Vector = response.sum(axis=taps)
    return total
