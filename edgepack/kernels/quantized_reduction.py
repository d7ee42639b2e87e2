"""Quantized sums and means, conversions, and joins of differently scaled values."""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import Array, Node, Value
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import double, offset, params, saturate, scale, zero
from edgepack.kernels.registry import quantized


@quantized("ReduceMean", "ReduceSum")
def mean_or_sum(node: Node, x: Array) -> Array:
    """Sum over axes; for the mean the multiplier is divided by the count."""
    axes = tuple(node.attrs["axes"])
    count = math.prod(x.shape[a] for a in axes)
    multiplier, shift = sum_multiplier(node, count)
    total = x.astype(np.int64).sum(axis=axes, keepdims=node.attrs["keepdims"])
    sums = fp.wrap32(total - zero(node.input(0)) * count)
    y = fp.multiply(sums, multiplier, shift) + zero(node.output)
    return np.asarray(saturate(node.output, y))


def sum_multiplier(node: Node, count: int) -> tuple[int, int]:
    """(multiplier, shift) of the sum of `count` elements, or of their mean."""
    real = double(scale(node.input(0))) / double(scale(node.output))
    multiplier, shift = (int(v) for v in fp.quantize_multiplier(real))
    if node.op == "ReduceMean":
        extra = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << extra) // count, shift - extra
    return multiplier, shift


# -- conversions -----------------------------------------------------------------------------------


@quantized("Quantize")
def quantize(node: Node, x: Array) -> Array:
    """From real numbers (halves away from zero), or from other integers."""
    if x.dtype.kind != "f":
        return requantized(node.input(0), x, node.output)
    quant = params(node.output)
    shape = [1] * x.ndim
    if quant.axis is not None:
        shape[quant.axis] = -1
    scales, zeros = quant.scale.reshape(shape), quant.zero_point.reshape(shape)
    if x.ndim == 0:
        scales, zeros = quant.scale[0], quant.zero_point[0]
    whole = fp.round_half_away(x.astype(np.float32) / scales)
    return saturate(node.output, np.nan_to_num(whole, nan=0) + zeros)


def requantized(source: Value, x: Array, target: Value) -> Array:
    """Integers of `source` as integers of `target`."""
    real = double(scale(source)) / double(scale(target))
    y = fp.multiply(offset(source, x), *fp.quantize_multiplier(real)) + zero(target)
    return saturate(target, y)


@quantized("Dequantize")
def dequantize(node: Node, x: Array) -> Array:
    """The float32 numbers that the integers stand for."""
    return params(node.input(0)).dequantize(x)


@quantized("Concat")
def concat(node: Node, *arrays: Array) -> Array:
    """Inputs one after another; one with other parameters is scaled to the output's first."""
    parts = [
        array if value.quant == node.output.quant else requantized(value, array, node.output)
        for value, array in zip(node.present_inputs, arrays, strict=True)
    ]
    return np.concatenate(parts, axis=node.attrs["axis"])
