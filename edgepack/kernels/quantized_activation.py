"""Quantized operators of one input, as TFLite's reference kernels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir import Array, DType, Node, Value
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import (
    double,
    offset,
    quantized_limit,
    refuse,
    saturate,
    scale,
    zero,
)
from edgepack.kernels.registry import REAL, quantized

# -- clamping --------------------------------------------------------------------------------------


def _rescaled(node: Node, x: fp.Ints, real: Any) -> fp.Ints:
    return zero(node.output) + fp.multiply(x, *fp.quantize_multiplier(real))


@quantized("Relu", "Relu6", "ReluN1To1", "Relu0To1", "Clip")
def clamp(node: Node, x: Array) -> Array:
    """To the output's scale (Relu may change it), then between the limits."""
    low, high = _clamp_limits(node)
    y = node.output
    if node.input(0).quant == y.quant and node.op != "Relu":
        whole = x.astype(np.int64)
    else:
        ratio = double(scale(node.input(0))) / double(scale(y))
        whole = _rescaled(node, offset(node.input(0), x), ratio)
    bottom = -(2**31) if low is None else quantized_limit(y, low)
    top = 2**31 if high is None else quantized_limit(y, high)
    return saturate(y, np.clip(whole, bottom, top))


def _clamp_limits(node: Node) -> tuple[float | None, float | None]:
    if node.op == "Clip":
        return node.attrs["min"], node.attrs["max"]
    return {
        "Relu": (0, None), "Relu6": (0, 6), "ReluN1To1": (-1, 1), "Relu0To1": (0, 1)
    }[node.op]  # fmt: skip


@quantized("LeakyRelu")
def leaky_relu(node: Node, x: Array) -> Array:
    """X, or alpha * x where negative; each side has its own multiplier."""
    centred, alpha = offset(node.input(0), x), np.float32(node.attrs["alpha"])
    ratio = double(scale(node.input(0))) / double(scale(node.output))
    slope = ratio * double(alpha)
    multiplier, shift = fp.quantize_multiplier(abs(slope))
    below = fp.multiply(centred, multiplier, shift) * (-1 if slope < 0 else 1)
    above = fp.multiply(centred, *fp.quantize_multiplier(ratio))
    return saturate(node.output, zero(node.output) + np.where(centred >= 0, above, below))


@quantized("PRelu")
def prelu(node: Node, x: Array, alpha: Array) -> Array:
    """X, or alpha * x where negative."""
    centred = offset(node.input(0), x)
    ratio = double(scale(node.input(0))) / double(scale(node.output))
    product = double(scale(node.input(0))) * double(scale(node.input(1)))
    below = fp.multiply(
        centred * offset(node.input(1), alpha),
        *fp.quantize_multiplier(product / double(scale(node.output))),
    )
    above = fp.multiply(centred, *fp.quantize_multiplier(ratio))
    return saturate(node.output, zero(node.output) + np.where(centred >= 0, above, below))


@quantized("Abs")
def absolute(node: Node, x: Array) -> Array:
    """The distance from the zero point."""
    distance = np.abs(offset(node.input(0), x))
    if scale(node.input(0)) != scale(node.output):
        ratio = double(scale(node.input(0))) / double(scale(node.output))
        distance = fp.multiply(distance, *fp.quantize_multiplier(ratio))
    return saturate(node.output, zero(node.output) + distance)


@quantized("Rsqrt")
def rsqrt(node: Node, x: Array) -> Array:
    """1 / square root; of zero it is the largest value."""
    value = np.maximum(offset(node.input(0), x), 0)
    real = 1.0 / double(np.sqrt(scale(node.input(0))) * scale(node.output))
    multiplier, shift = fp.quantize_multiplier(real)
    root, root_shift = fp.inverse_sqrt(value)
    scaled = fp.multiply(fp.multiply(1, root, root_shift + 20), multiplier, shift - 20)
    y = saturate(node.output, zero(node.output) + scaled)
    return np.where(value == 0, node.output.dtype.limits[1], y)


# -- sigmoid and tanh ------------------------------------------------------------------------------


@quantized("Sigmoid", "Tanh")
def s_curve(node: Node, x: Array) -> Array:
    """Sigmoid and tanh: in 8 bits by a fixed-point exponential, in 16 by interpolation."""
    if node.output.dtype is DType.INT16:
        return _s_curve16(node, x)
    if node.output.dtype is DType.UINT8:
        return _lookup8(node, x)
    table = _curve8(node.op, float(scale(node.input(0))), zero(node.input(0)))
    return table[x.astype(np.int64) + 128]


@cache
def _curve8(op: str, input_scale: float, zero_point: int) -> Array:
    """The output for each of the 256 inputs; 4 integer bits inside."""
    x = np.arange(-128, 128) - zero_point
    multiplier, shift = fp.quantize_multiplier(input_scale * 2.0**27)
    radius = int(15.0 * 2.0**27 / 2.0 ** int(shift))
    inside = fp.multiply(np.where(np.abs(x) < radius, x, 0), multiplier, shift)
    if op == "Sigmoid":
        y = fp.rounding_shift(fp.logistic(inside, 4), 23) - 128
    else:
        y = fp.rounding_shift(fp.tanh(inside, 4), 24)
    y = np.where(x <= -radius, -128, np.where(x >= radius, 127, y))
    return np.clip(y, -128, 127).astype(np.int8)


def _s_curve16(node: Node, x: Array) -> Array:
    return (sigmoid16 if node.op == "Sigmoid" else tanh16)(x, *s_curve_scaling(node))


def s_curve_scaling(node: Node) -> tuple[int, int]:
    """(multiplier, shift) that take 16-bit inputs to units of 1 / 12288."""
    exponent = np.log2(double(scale(node.input(0))))
    shift = 12 + round(exponent)
    exact = abs(exponent - round(exponent)) < 1e-3
    if exact and shift in ((0,) if node.op == "Sigmoid" else (0, 1)):
        return 3 << shift, 0
    real, shift = double(scale(node.input(0))) * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        real, shift = real * 2.0, shift + 1
    return int(real), shift


def _scaled16(x: Array, multiplier: int, shift: int) -> fp.Ints:
    half = (1 << (shift - 1)) if shift else 0
    return fp.wrap32(x.astype(np.int64) * multiplier + half) >> shift


def _interpolated(magnitude: fp.Ints, bits: int) -> fp.Ints:
    """65536 * sigmoid(magnitude / 2**bits / 24) with `bits` more bits, by a table of 256."""
    high, low = np.minimum(magnitude >> bits, 254), magnitude & ((1 << bits) - 1)
    left, right = SIGMOID[high], SIGMOID[high + 1]
    inside: fp.Ints = (left << bits) + low * (right - left)
    return inside


def sigmoid16(x: Array, multiplier: int, shift: int) -> Array:
    """Int16 of x * multiplier >> shift, in units of 1 / 12288, to units of 1 / 32768."""
    scaled = _scaled16(x, multiplier, shift)
    size = np.abs(scaled)
    y = np.where((size >> 9) >= 255, 0x7FFF << 10, _interpolated(size, 9))
    y = np.where(scaled >= 0, y + 512, (1 << 25) - y + 511)
    return (y >> 10).astype(np.int16)


def tanh16(x: Array, multiplier: int, shift: int) -> Array:
    """Int16 of x * multiplier >> shift, in units of 1 / 12288, to units of 1 / 32768."""
    scaled = _scaled16(x, multiplier, shift)
    size = np.abs(scaled)
    y = np.where((size >> 8) >= 255, 0xFFFF << 8, _interpolated(size, 8))
    half = 1 << 23
    y = np.where(scaled >= 0, y - half + 128, -y + half + 127)
    return (y >> 8).astype(np.int16)


# -- hard swish ------------------------------------------------------------------------------------


def _high_mul16(a: fp.Ints, b: int) -> fp.Ints:
    """Rounded high 16 bits of 2ab."""
    product = a * b
    rounded = fp.trunc_divide(product + np.where(product >= 0, 2**14, 1 - 2**14), 2**15)
    return np.asarray(np.minimum(rounded, 2**15 - 1), np.int64)


def _multiplier16(real: Any) -> tuple[int, int]:
    multiplier, shift = fp.quantize_multiplier(real)
    reduced = 2**15 - 1 if multiplier >= 2**31 - 1 - 2**15 else (int(multiplier) + 2**15) >> 16
    return reduced, int(shift)


def _grow16(x: fp.Ints, bits: int) -> fp.Ints:
    return np.asarray(np.clip(x << bits, -(2**15), 2**15 - 1), np.int64)


@quantized("HardSwish")
def hard_swish(node: Node, x: Array) -> Array:
    """X * relu6(x + 3) / 6 in 16 bits, 7 of them spare."""
    if node.output.dtype not in (DType.INT8, DType.UINT8):
        raise refuse(node, "only 8 bits")
    fine = np.float32(1 / 128) * scale(node.input(0))
    out_multiplier, out_shift = _multiplier16(double(fine / scale(node.output)))
    multiplier, shift = _multiplier16(double(fine / np.float32(3 / 32768)))
    value = offset(node.input(0), x) * 128
    gate = _grow16(value, shift - 1) if shift > 0 else value
    gate = _high_mul16(gate, multiplier)
    gate = _grow16(gate, 1) if shift > 0 else fp.rounding_shift(gate, -shift)
    gate = (gate + 2**15) >> 1
    product = fp.trunc_divide(gate * _high_mul16(value, out_multiplier), 2**15)
    y = fp.rounding_shift(product, max(-out_shift, 0)) + zero(node.output)
    return saturate(node.output, y)


# -- tables ----------------------------------------------------------------------------------------


@quantized("Exp", "Log", "Elu", "Gelu", "Sqrt")
def by_table(node: Node, x: Array) -> Array:
    """Through the real function at every input: 256 entries, or 513 and lines between them."""
    if node.output.dtype is DType.INT16:
        return _lookup16(node, x)
    return _lookup8(node, x)


def _real_function(node: Node, real: Array) -> Array:
    kernel = REAL.get(node.op)
    if kernel is None:
        raise InternalError(f"{node.op} has no kernel for real numbers", at=node.name)
    with np.errstate(all="ignore"):
        y: Array = kernel(node, real)
    return y


def _lookup8(node: Node, x: Array) -> Array:
    low, high = node.input(0).dtype.limits
    whole = np.arange(low, high + 1) - zero(node.input(0))
    real = scale(node.input(0)) * whole.astype(np.float32)
    y = _real_function(node, real) * (np.float32(1) / scale(node.output))
    # LiteRT's square root is the one that cuts the fraction off
    whole_y = np.trunc(y) if node.op == "Sqrt" else fp.round_half_away(y)
    rounded = np.nan_to_num(whole_y, nan=0, posinf=2**31, neginf=-(2**31))
    table = saturate(node.output, rounded + zero(node.output))
    return table[x.astype(np.int64) - low]


def _lookup16(node: Node, x: Array) -> Array:
    return interpolate16(x, tabulated16(node))


def tabulated16(node: Node) -> fp.Ints:
    """`table16` of the real function of a node, in the units of its input and output."""
    spans = _span16(node.input(0)), _span16(node.output)
    return table16(lambda real: _real_function(node, real), *spans)


def _span16(value: Value) -> tuple[np.float32, np.float32]:
    low, high = value.dtype.limits
    step = scale(value)
    return step * np.float32(low - zero(value)), step * np.float32(high - zero(value))


def table16(function: Any, inputs: Any, outputs: Any) -> fp.Ints:
    """513 samples of a function between `inputs`, in 16 bits over `outputs`; float32 throughout.

    Each sample but the last is moved by half the error at the middle of its interval.
    """
    low, high = np.float32(inputs[0]), np.float32(inputs[1])
    step = (high - low) / np.float32(512)
    inverse = np.float32(2**16) / (np.float32(outputs[1]) - np.float32(outputs[0]))
    at = low + np.arange(512, dtype=np.float32) * step
    after = low + np.arange(1, 513, dtype=np.float32) * step
    sample = _round32(function(at) * inverse)
    middle = _round32(function(at + step / np.float32(2)) * inverse)
    guess = _round32((function(after) * inverse + sample) / np.float32(2))
    bias = _round32((guess - middle) / np.float32(2))
    last = _round32(function(np.full(1, high, np.float32)) * inverse)
    table = np.concatenate([sample - bias, last])
    return np.asarray(np.clip(table, -(2**15), 2**15 - 1), np.int64)


def _round32(x: Any) -> Any:
    return fp.round_half_away(x).astype(np.float32)


def interpolate16(x: Any, table: fp.Ints) -> Array:
    """A 16-bit value through a table of 513: the upper 9 bits choose, the lower 7 interpolate."""
    x = np.asarray(x, np.int64)
    index = 256 + (x >> 7)
    base, slope = table[index], table[index + 1] - table[index]
    return np.asarray(base + ((slope * (x & 0x7F) + 64) >> 7), np.int16)


# 65536 * sigmoid(i / 24) as the runtimes hold it (some entries are one above the rounded value).
SIGMOID = np.array(
    [
        32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794,
        41432, 42064, 42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443,
        48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374,
        54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280, 58544,
        58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279,
        61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990,
        63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030,
        64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652,
        64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019,
        65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234,
        65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360,
        65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433,
        65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476,
        65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501,
        65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
        65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
        65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529,
        65529, 65530, 65530, 65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532,
        65532, 65532, 65532, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534,
        65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
    ]
)  # fmt: skip
