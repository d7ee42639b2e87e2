"""Softmax, log-softmax and L2 normalization: exponentials from tables, the rest in fixed point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.ir import DType, Graph, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_activation import interpolate16
from edgepack.kernels.quantized_scale import double, scale
from edgepack.kernels.quantized_softmax import (
    DIFF_BITS,
    SUM_BITS,
    difference_scaling,
    tables16,
)
from edgepack.passes.onnx_exact.fixed_point import (
    doubling_high_mul,
    inverse_sqrt,
    leading_zeros,
    log_from_one,
    multiply,
    multiply_by,
    power_of_two,
    reciprocal,
    rounding_shift,
    rounding_shift_by,
)
from edgepack.passes.onnx_exact.ints import Ints
from edgepack.passes.onnx_exact.spelling import centred, spells, stored

_MAX_BITS = 31


def _differences(graph: Graph, node: Node) -> tuple[Ints, int]:
    """Distances to the maximum, at most 0, and the axis."""
    x = stored(graph, node, 0)
    axis = node.attrs["axis"] % len(x.shape)
    return (x - x.largest(axis)).within(x.low - x.high, 0), axis


def _bounded_sum(x: Ints, axis: int, least: int) -> Ints:
    """The sum along the axis, which is at least `least`."""
    return x.sum((axis,)).within(least, 2**_MAX_BITS - 1)


@spells("Softmax")
def softmax(graph: Graph, node: Node) -> Ints:
    """Exp of the scaled differences to the maximum, over their sum."""
    if node.input(0).dtype is DType.INT16:
        return _softmax16(graph, node)
    difference, axis = _differences(graph, node)
    multiplier, shift, smallest = difference_scaling(node, node.attrs["beta"])

    def exponential(numbers: Any) -> Any:
        counted = np.where(numbers >= smallest, numbers, 0)
        scaled = fp.doubling_high_mul(counted << shift, multiplier)
        return np.where(numbers >= smallest, fp.exp_negative(scaled, DIFF_BITS), 0)

    e = difference.mapped(exponential)
    parts = difference.mapped(lambda d: fp.rescale(exponential(d), -SUM_BITS))
    inverse, over = reciprocal(_bounded_sum(parts, axis, 1), SUM_BITS)
    y = rounding_shift_by(doubling_high_mul(e, inverse), over + (31 - node.output.dtype.bits))
    return y + node.output.dtype.limits[0]


def _softmax16(graph: Graph, node: Node) -> Ints:
    difference, axis = _differences(graph, node)
    exp_table, inverse_table = tables16()
    real = double(scale(node.input(0))) * float(np.float32(node.attrs["beta"])) / (10.0 / 65535.0)
    scaled = multiply(difference, *fp.quantize_multiplier(real))
    e = (scaled + 32767).clipped(-32768, 32767).mapped(_interpolation(exp_table))
    total = _bounded_sum(e, axis, 2**14)
    headroom = leading_zeros(total)
    raised = (total * power_of_two(headroom - 1)).within(2**30, 2**31 - 1)
    place = ((raised + 2**13).shifted(14) - (2**15 + 2**16)).clipped(-32768, 32767)
    inverse = place.mapped(_interpolation(inverse_table))
    half = power_of_two(30 - headroom)
    y = ((e * inverse) + half).maximum(0).divided(half * 2)  # below zero it is clipped anyway
    return y.clipped(0, 32767)


def _interpolation(table: fp.Ints) -> Callable[[Any], Any]:
    return lambda numbers: interpolate16(numbers, table)


@spells("LogSoftmax")
def log_softmax(graph: Graph, node: Node) -> Ints:
    """The scaled differences less the logarithm of the sum of their exponentials."""
    difference, axis = _differences(graph, node)
    multiplier, shift, smallest = difference_scaling(node, 1.0)

    def scale_up(numbers: Any) -> Any:
        return fp.multiply(np.where(numbers >= smallest, numbers, 0), multiplier, shift)

    def exponential(numbers: Any) -> Any:
        e = fp.rescale(fp.exp_negative(scale_up(numbers), DIFF_BITS), -SUM_BITS)
        return np.where(numbers >= smallest, e, 0)

    total = _bounded_sum(difference.mapped(exponential), axis, 2**19)
    log = log_from_one(total, SUM_BITS, DIFF_BITS)
    back = fp.quantize_multiplier(2.0 ** (31 - shift) / float(multiplier))
    least = multiply((log + fp.INT32_MIN).within(fp.INT32_MIN, 0), *back).maximum(smallest - 1)
    y = rounding_shift(difference.mapped(scale_up) - log, 31 - DIFF_BITS - 4)
    low, high = node.output.dtype.limits
    return (y + high).where(difference.compared("Greater", least), low)


@spells("L2Norm")
def l2_norm(graph: Graph, node: Node) -> Ints:
    """X over its length along the last axis; the output's scale is 1/128."""
    x = centred(graph, node, 0)
    root, shift = inverse_sqrt(x.square().sum((len(x.shape) - 1,)))
    middle = 128 if node.output.dtype is DType.UINT8 else 0
    return multiply_by(x, root, shift + 7) + middle
