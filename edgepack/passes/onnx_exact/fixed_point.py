"""`kernels.fixed_point` as nodes of a graph: the same functions under the same names.

Multipliers and shifts are constants, scalar or shaped to broadcast against the numbers; exponents
that depend on the numbers themselves are looked up as powers of two.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgepack.ir import Array
from edgepack.kernels.fixed_point import INT32_MAX, INT32_MIN
from edgepack.passes.onnx_exact.ints import Ints, Operand, whole

_MAX_BITS: Final = 32


def wrap32(x: Ints) -> Ints:
    """The value that an int32 holds after overflow."""
    if x.low >= INT32_MIN and x.high <= INT32_MAX:
        return x
    return (x + 2**31).remainder(2**32) - 2**31


def doubling_high_mul(a: Ints, b: Operand) -> Ints:
    """Rounded high 32 bits of 2ab: of 64 bits the product's halves go up, which is TFLite's."""
    return ((a * b) + 2**30).shifted(31).clipped(INT32_MIN, INT32_MAX)


def rounding_shift(x: Ints, exponent: int | Array) -> Ints:
    """X / 2**exponent, halves away from zero."""
    power = np.int64(1) << np.asarray(exponent, np.int64)
    return _rounded_quotient(x, power // 2, power)


def _rounded_quotient(x: Ints, half: Operand, divisor: Operand) -> Ints:
    negative = half * -1 if isinstance(half, Ints) else -np.asarray(half)
    if not isinstance(half, Ints) and not np.any(half):
        return x.divided(divisor)
    return (x + x.by_sign(negative, half)).divided(divisor)


def rounding_shift_by(x: Ints, exponent: Ints) -> Ints:
    """`rounding_shift` by exponents that are computed."""
    power = power_of_two(exponent)
    return _rounded_quotient(x, power.divided(2), power)


def power_of_two(exponent: Ints) -> Ints:
    """2**exponent, by a table."""
    return exponent.mapped(lambda e: np.int64(1) << e)


def multiply(x: Ints, multiplier: Any, shift: Any) -> Ints:
    """X * multiplier * 2**(shift - 31) in 32 bits, rounded twice (high half, then shift)."""
    shift = np.asarray(shift, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    most = 2 ** int(left.max())
    if x.low * most >= INT32_MIN and x.high * most <= INT32_MAX:
        high = doubling_high_mul(x, np.asarray(multiplier, np.int64) << left)
    else:
        high = doubling_high_mul(wrap32(x * (np.int64(1) << left)), np.asarray(multiplier))
    return rounding_shift(high, right)


def multiply_wide(x: Ints, multiplier: Any, shift: Any) -> Ints:
    """`multiply` for sums of up to 48 bits: a 16-bit multiplier and one rounding."""
    multiplier = np.asarray(multiplier, np.int64)
    reduced = np.where(multiplier < 0x7FFF0000, (multiplier + 2**15) >> 16, 0x7FFF)
    power = np.int64(1) << (15 - np.asarray(shift, np.int64))
    return wrap32(_floor_quotient(x * reduced + power // 2, power))


def _floor_quotient(x: Ints, divisor: Array) -> Ints:
    """Floor of x / divisor, for constants."""
    steps = np.maximum(-(x.low // divisor), 0)
    floor: Ints = (x + steps * divisor).divided(divisor) - steps
    return floor


def multiply_by(x: Ints, multiplier: Ints, shift: Ints) -> Ints:
    """`multiply` by multipliers and shifts that are computed."""
    left = shift.mapped(lambda s: np.int64(1) << np.maximum(s, 0))
    high = doubling_high_mul(wrap32(x * left), multiplier)
    return rounding_shift_by(high, shift.mapped(lambda s: np.maximum(-s, 0)))


def leading_zeros(x: Ints) -> Ints:
    """Leading zero bits of a uint32: 32 less the powers of two that x reaches."""
    powers = whole(x.graph, np.int64(1) << np.arange(_MAX_BITS))
    reached = x.reshaped((*x.shape, 1)).compared("GreaterEqual", powers)
    ones = x.graph.add("Cast", [reached], {"to": "int64"})
    count = Ints(x.graph, ones, 0, 1).sum((len(x.shape),), keepdims=False)
    least, most = int(max(x.low, 0)).bit_length(), int(x.high).bit_length()
    return (_MAX_BITS - count).within(_MAX_BITS - most, _MAX_BITS - least)


# -- numbers with a fixed binary point -------------------------------------------------------------


def rescale(x: Ints, exponent: int) -> Ints:
    """X * 2**exponent: rounded when it shrinks, saturated to 32 bits when it grows."""
    if exponent < 0:
        return rounding_shift(x, -exponent)
    return _grow_by(x, 2**exponent)


def half_sum(a: Ints, b: Operand) -> Ints:
    """(a + b) / 2, halves away from zero."""
    total: Ints = a + b
    return _rounded_quotient(total, 1, 2)


def reciprocal_of_one_plus(a: Ints) -> Ints:
    """1 / (1 + a) for a in [0, 1], no integer bits."""
    half = half_sum(a, INT32_MAX).within(2**30, INT32_MAX)
    x = doubling_high_mul(half, -1010580540) + 1515870810
    for _ in range(3):
        error = _in_32_bits(2**29 - doubling_high_mul(half, x))
        x = wrap32(x + rescale(doubling_high_mul(x, error), 2))
    return rescale(x, 1)


def reciprocal(x: Ints, integer_digits: int) -> tuple[Ints, Ints]:
    """(1/x scaled into [1/2, 1) without integer bits, bits over one) for positive 32-bit x."""
    headroom = leading_zeros(x)
    scaled = (x * power_of_two(headroom)).within(2**31, 2**32 - 1)
    return reciprocal_of_one_plus(scaled - 2**31), integer_digits - headroom


def log_from_one(x: Ints, in_bits: int, out_bits: int) -> Ints:
    """Natural logarithm of x >= 1 with `in_bits` integer bits; the result has `out_bits`."""
    accumulator = out_bits + 1
    sqrt_half, fourth_root = 1518500250, 1805811301
    quarter = 2 ** (29 - accumulator)
    one = 2 ** (31 - accumulator)
    headroom = leading_zeros(x) - 1
    r_a = grow(doubling_high_mul(grow(x, headroom), sqrt_half), 1)
    power_a = _clip32(_grow_by(in_bits - headroom - 1, one) + quarter)
    headroom_b = leading_zeros(doubling_high_mul(x, sqrt_half)) - 1
    r_b = grow(x, headroom_b)
    power_b = _clip32(_grow_by(in_bits - headroom_b, one) - quarter)
    r, power = r_a.minimum(r_b), power_a.maximum(power_b)
    p, q = half_sum(r, fourth_root), wrap32((r - fourth_root) * 2)
    square = doubling_high_mul(q, q)
    cube = doubling_high_mul(doubling_high_mul(q, square), 117049297)
    numerator = _in_32_bits(doubling_high_mul(q, r) + cube)
    inner = wrap32(q + 1057819769 + doubling_high_mul(square, 127690142))
    denominator = doubling_high_mul(p, inner) + doubling_high_mul(q, 638450708)
    inverse = reciprocal_of_one_plus(denominator.within(0, INT32_MAX))
    scaled = rescale(numerator, -accumulator)
    total = doubling_high_mul(power, 1488522236) + doubling_high_mul(scaled, inverse)
    return rescale(total, accumulator - out_bits)


def _in_32_bits(x: Ints) -> Ints:
    """What the algorithm keeps in 32 bits, whatever its operands alone would allow."""
    return x.within(INT32_MIN, INT32_MAX)


def _clip32(x: Ints) -> Ints:
    return x.clipped(INT32_MIN, INT32_MAX)


def grow(x: Ints, exponent: Ints | int) -> Ints:
    """X << exponent, saturated beyond the symmetric threshold."""
    if isinstance(exponent, int):
        return _grow_by(x, 2**exponent)
    power = power_of_two(exponent.within(0, 31))
    within = x.within(-(2**31), 2**31 - 1)
    return _clip32(within * power)


def _grow_by(x: Ints, power: int) -> Ints:
    return _clip32(x * power)


def inverse_sqrt(x: Ints) -> tuple[Ints, Ints]:
    """(multiplier, shift) of 1 / sqrt(x), for `multiply_by`; x is whole, 0 counts as 1."""
    small, quarters = x.maximum(2), whole(x.graph, 0)
    while small.high >= 2**29:
        large = small.compared("GreaterEqual", 2**29)
        quarters = (quarters + 1).where(large, quarters)
        rest = small.within(0, 2**29 - 1)
        small = small.divided(4).where(large, rest)
    pairs = (leading_zeros(small) - 1).divided(2) - 1
    shift = quarters + 11 - pairs
    value = (small * pairs.mapped(lambda p: np.int64(1) << (2 * p))).within(0, 2**30).divided(2)
    half = rounding_shift(value, 1)
    root = whole(x.graph, np.full(x.shape, 2**28))
    for _ in range(5):
        cube = rescale(doubling_high_mul(doubling_high_mul(root, root), root), 6)
        root = rescale(doubling_high_mul(root, 2**28 + 2**27) - doubling_high_mul(half, cube), 3)
    root = doubling_high_mul(root, 1518500250)
    root = root * shift.mapped(lambda s: np.int64(1) << np.maximum(-s, 0))
    one = x.compared("LessEqual", 1)
    back = shift.mapped(lambda s: -np.maximum(s, 0))
    return (
        whole(x.graph, INT32_MAX).where(one, root.within(INT32_MIN, INT32_MAX)),
        whole(x.graph, 0).where(one, back),
    )
