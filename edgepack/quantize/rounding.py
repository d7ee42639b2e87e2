"""What fixed-point requantization adds on average, taken out of the biases beforehand.

TFLite's kernels scale a sum by m * 2**-s, m in [1/2, 1), in two steps, and each rounds: to whole
numbers after m, then halves upwards (away from zero) after the shift. With s bits left to shift,
one result in 2**s is such a half, so that positive outputs come out 2**-(s + 1) of a step too large
on average: 0.5 / m of the sum's units, which is more than half and at most one. So one is taken off
the bias. (Fractions spread over the channels with the right mean do worse: the layers behind weigh
each channel by itself.)

With 4 bits s is 1 to 4, and the excess adds up over the layers. On a keyword spotter in W4A8 taking
it out is worth 1.1 dB at the logits, and ONNX Runtime, which rounds once, agrees within one step on
81% of them in the place of 62%. With weights of 8 bits s is 5 to 9, and biases stay as they are:
taking it out mostly brings TensorFlow Lite Micro nearer to the ONNX file (by -1 to 7 points of the
elements within one step), but LiteRT, which runs the same file, away from it, and moves SQNR -0.2
to +0.3 dB on six models, 0.0 on average, at the price of two files that are not the same integers.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, row


def absorb_double_rounding(graph: Graph, weights: Collection[DType] = (DType.INT4,)) -> int:
    """Lower the biases of layers with weights of these types and no negative outputs, in place.

    For files whose runtime rounds twice: TensorFlow Lite Micro always does, LiteRT beside weights
    of 4 bits, ONNX Runtime never. Returns how many layers changed.
    """
    return sum(_absorb(graph, node, weights) for node in graph.nodes)


def _absorb(graph: Graph, node: Node, weights: Collection[DType]) -> bool:
    rule, out = row(node.op).quant, node.output
    if rule.weight is None or rule.bias is None or out.quant is None:
        return False
    weight, bias = node.input(rule.weight), node.optional(rule.bias)
    if bias is None or weight.dtype not in weights or out.dtype is not DType.INT8:
        return False
    if int(out.quant.zero_point[0]) != out.dtype.limits[0]:  # halves below zero go down
        return False
    lower = bias.const - _shifts(node).astype(bias.const.dtype)
    node.set_input(rule.bias, graph.constant(lower, f"{bias.name}_absorbed", bias.quant))
    return True


def _shifts(node: Node) -> Array:
    """Whether anything is shifted out after the first rounding, by channel."""
    x, weight, y = node.input(0).quant, node.input(1).quant, node.output.quant
    assert x is not None  # of a quantized layer
    assert weight is not None
    assert y is not None
    ratio = x.scale.astype(np.float64) * weight.scale / y.scale
    return np.asarray(np.frexp(ratio)[1] < 0)
