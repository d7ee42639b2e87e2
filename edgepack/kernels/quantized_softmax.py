"""Quantized softmax, log-softmax and L2 normalization, as TFLite's reference kernels."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_activation import interpolate16, table16
from edgepack.kernels.quantized_scale import double, offset, saturate, scale
from edgepack.kernels.registry import quantized

DIFF_BITS: Final = 5  # integer bits of a scaled difference to the maximum
SUM_BITS: Final = 12  # integer bits of the sum of exponentials


def _last_axis(node: Node, x: Array) -> Array:
    """X with the node's axis last, as int64."""
    return np.moveaxis(x, node.attrs.get("axis", -1), -1).astype(np.int64)


def _restored(node: Node, y: Array) -> Array:
    return np.moveaxis(y, -1, node.attrs.get("axis", -1))


def difference_scaling(node: Node, beta: float) -> tuple[fp.Ints, int, int]:
    """(multiplier, shift, smallest difference that counts) of differences to the maximum."""
    real = min(beta * float(scale(node.input(0))) * 2.0 ** (31 - DIFF_BITS), 2.0**31 - 1)
    multiplier, shift = fp.quantize_multiplier(real)
    radius = int((2**DIFF_BITS - 1) * 2.0 ** (31 - DIFF_BITS) / 2.0 ** int(shift))
    return multiplier, int(shift), -radius


@quantized("Softmax")
def softmax(node: Node, x: Array) -> Array:
    """Exp of the scaled differences to the maximum, over their sum."""
    rows = _last_axis(node, x)
    difference = rows - rows.max(axis=-1, keepdims=True)
    if node.input(0).dtype is DType.INT16:
        return _restored(node, _softmax16(node, difference))
    multiplier, shift, smallest = difference_scaling(node, node.attrs["beta"])
    counts = difference >= smallest
    scaled = fp.doubling_high_mul(np.where(counts, difference, 0) << shift, multiplier)
    e = np.where(counts, fp.exp_negative(scaled, DIFF_BITS), 0)
    total = np.where(counts, fp.rescale(e, -SUM_BITS), 0).sum(axis=-1, keepdims=True)
    inverse, over = fp.reciprocal(total, SUM_BITS)
    exponent = over + 31 - node.output.dtype.bits
    low = node.output.dtype.limits[0]
    y = np.where(counts, fp.rounding_shift(fp.doubling_high_mul(inverse, e), exponent), 0) + low
    return _restored(node, saturate(node.output, y))


@cache
def tables16() -> tuple[fp.Ints, fp.Ints]:
    """exp over [-10, 0] and 1 / (1 + x) over [0, 1], in 16 bits each."""
    one, span = np.float32(1), np.float32(65535)
    ends = np.array([-(2**15), 2**15 - 1], np.float32)
    unit = np.float32(2) / span * ends
    exp_in = np.float32(10) / span * (ends - np.float32(2**15 - 1))
    inverse_in = one / span * (ends + np.float32(2**15))
    return table16(np.exp, exp_in, unit), table16(lambda v: one / (one + v), inverse_in, unit)


def _softmax16(node: Node, difference: fp.Ints) -> Array:
    exp_table, inverse_table = tables16()
    real = double(scale(node.input(0))) * float(np.float32(node.attrs["beta"])) / (10.0 / 65535.0)
    scaled = fp.multiply(difference, *fp.quantize_multiplier(real))
    e = interpolate16(np.clip(scaled + 32767, -32768, 32767), exp_table).astype(np.int64)
    total = e.sum(axis=-1, keepdims=True)
    headroom = fp.leading_zeros(total)
    shifted = ((total << (headroom - 1)) + 2**13) >> 14
    place = np.clip(shifted - (2**15 + 2**16), -32768, 32767)
    inverse = interpolate16(place, inverse_table).astype(np.int64)
    right = 31 - headroom
    y = (e * inverse + (np.int64(1) << (right - 1))) >> right
    return np.asarray(np.clip(y, 0, 32767), np.int16)


@quantized("LogSoftmax")
def log_softmax(node: Node, x: Array) -> Array:
    """The scaled differences less the logarithm of the sum of their exponentials."""
    rows = _last_axis(node, x)
    difference = rows - rows.max(axis=-1, keepdims=True)
    multiplier, shift, smallest = difference_scaling(node, 1.0)
    counts = difference >= smallest
    scaled = fp.multiply(np.where(counts, difference, 0), multiplier, shift)
    e = fp.rescale(fp.exp_negative(scaled, DIFF_BITS), -SUM_BITS)
    total = np.where(counts, e, 0).sum(axis=-1, keepdims=True)
    log = fp.log_from_one(total, SUM_BITS, DIFF_BITS)
    back = fp.quantize_multiplier(2.0 ** (31 - shift) / float(multiplier))
    least = np.maximum(smallest - 1, fp.multiply(log + fp.INT32_MIN, *back))
    y = fp.rounding_shift(scaled - log, 31 - DIFF_BITS - 4) + node.output.dtype.limits[1]
    y = np.where(difference > least, y, node.output.dtype.limits[0])
    return _restored(node, saturate(node.output, y))


@quantized("L2Norm")
def l2_norm(node: Node, x: Array) -> Array:
    """X over its length along the last axis; the output's scale is 1/128."""
    centred = offset(node.input(0), x)
    root, shift = fp.inverse_sqrt((centred**2).sum(axis=-1, keepdims=True))
    middle = 128 if node.output.dtype is DType.UINT8 else 0
    return saturate(node.output, fp.multiply(centred, root, shift + 7) + middle)
