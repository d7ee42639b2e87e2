"""TFLite's fixed-point arithmetic, vectorized: the same bits as its reference kernels on a CPU.

A real multiplier is held as a 31-bit integer and a power of two. Integers stand in int64 arrays;
where the C++ has 32 bits, results are wrapped or saturated as there. Numbers with n integer bits in
32 (gemmlowp's FixedPoint) are plain raw values here: value = raw / 2**(31 - n).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1


def wrap32(x: Any) -> Ints:
    """The value that an int32 holds after overflow."""
    return ((np.asarray(x, np.int64) + 2**31) & 0xFFFFFFFF) - 2**31


def round_half_away(x: Any) -> npt.NDArray[np.float64]:
    """C's round(): halves go away from zero. Exact for float32 values and for |x| < 2**52."""
    real = np.asarray(x, np.float64)
    return np.trunc(real + np.copysign(0.5, real))


def trunc_divide(x: Any, divisor: Any) -> Ints:
    """C's integer division, toward zero; `divisor` is positive."""
    x = np.asarray(x, np.int64)
    quotient: Ints = np.where(x >= 0, x // divisor, -(-x // divisor))
    return quotient


def quantize_multiplier(real: Any) -> tuple[Ints, Ints]:
    """(multiplier, shift) with real = multiplier * 2**(shift - 31), multiplier in [2**30, 2**31).

    Zero, and what is below 2**-32, become (0, 0).
    """
    fraction, shift = np.frexp(np.asarray(real, np.float64))
    multiplier = round_half_away(fraction * 2.0**31).astype(np.int64)
    shift = shift.astype(np.int64)
    carry = multiplier == 2**31
    multiplier, shift = np.where(carry, 2**30, multiplier), np.where(carry, shift + 1, shift)
    tiny = (shift < -31) | (multiplier == 0)
    return np.where(tiny, 0, multiplier), np.where(tiny, 0, shift)


def doubling_high_mul(a: Any, b: Any) -> Ints:
    """Rounded high 32 bits of 2ab, halves away from zero; saturates at -1 * -1."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    rounded = trunc_divide(product + np.where(product >= 0, 2**30, 1 - 2**30), 2**31)
    return np.minimum(rounded, INT32_MAX)


def rounding_shift(x: Any, exponent: Any) -> Ints:
    """X / 2**exponent, halves away from zero."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    shifted: Ints = (x >> exponent) + ((x & mask) > threshold)
    return shifted


def multiply(x: Any, multiplier: Any, shift: Any) -> Ints:
    """X * multiplier * 2**(shift - 31) in 32 bits, rounded twice (high half, then shift)."""
    shift = np.asarray(shift, np.int64)
    left = wrap32(np.asarray(x, np.int64) << np.maximum(shift, 0))
    return rounding_shift(doubling_high_mul(left, multiplier), np.maximum(-shift, 0))


def multiply_wide(x: Any, multiplier: Any, shift: Any) -> Ints:
    """`multiply` for sums of up to 48 bits: a 16-bit multiplier and one rounding."""
    multiplier = np.asarray(multiplier, np.int64)
    reduced = np.where(multiplier < 0x7FFF0000, (multiplier + 2**15) >> 16, 0x7FFF)
    total = 15 - np.asarray(shift, np.int64)
    return wrap32((np.asarray(x, np.int64) * reduced + (np.int64(1) << (total - 1))) >> total)


def leading_zeros(x: Any) -> Ints:
    """Leading zero bits of a uint32."""
    _, bits = np.frexp(np.asarray(x, np.float64))
    return 32 - bits.astype(np.int64)


# -- numbers with a fixed binary point -------------------------------------------------------------


def rescale(x: Any, exponent: int) -> Ints:
    """X * 2**exponent: rounded when it shrinks, saturated to 32 bits when it grows."""
    x = np.asarray(x, np.int64)
    if exponent < 0:
        return rounding_shift(x, -exponent)
    return _clip32(x << exponent)


def half_sum(a: Any, b: Any) -> Ints:
    """(a + b) / 2, halves away from zero."""
    total = np.asarray(a, np.int64) + np.asarray(b, np.int64)
    return trunc_divide(total + np.where(total >= 0, 1, -1), 2)


def _exp_small(a: Ints) -> Ints:
    """Exp of a in [-1/4, 0), no integer bits: a Taylor series around -1/8."""
    x = a + 2**28
    x2 = doubling_high_mul(x, x)
    x3, x4 = doubling_high_mul(x2, x), doubling_high_mul(x2, x2)
    thirds = doubling_high_mul(rounding_shift(x4, 2) + x3, 715827883)
    tail = rounding_shift(thirds + x2, 1)
    return wrap32(1895147668 + doubling_high_mul(1895147668, x + tail))


# exp(-2**k) for k = -2 .. 4, no integer bits
_EXP_POWERS: Final = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_negative(a: Any, integer_bits: int) -> Ints:
    """Exp of a <= 0 that has `integer_bits` (at most 5); the result has none."""
    a = np.asarray(a, np.int64)
    fraction = 31 - integer_bits
    quarter = np.int64(1) << (fraction - 2)
    remainder_small = (a & (quarter - 1)) - quarter
    result = _exp_small(rescale(remainder_small, integer_bits))
    rest = remainder_small - a
    for exponent, power in zip(range(-2, integer_bits), _EXP_POWERS, strict=False):
        bit = (rest >> (fraction + exponent)) & 1
        result = np.where(bit == 1, doubling_high_mul(result, power), result)
    return np.where(a == 0, INT32_MAX, result)


def _newton_reciprocal(half_denominator: Ints) -> Ints:
    """1 / half_denominator with 2 integer bits, for a half denominator in [1/2, 1]."""
    x = 1515870810 + doubling_high_mul(half_denominator, -1010580540)
    for _ in range(3):
        error = 2**29 - doubling_high_mul(half_denominator, x)
        x = wrap32(x + rescale(doubling_high_mul(x, error), 2))
    return x


def reciprocal_of_one_plus(a: Any) -> Ints:
    """1 / (1 + a) for a in [0, 1], no integer bits."""
    return rescale(_newton_reciprocal(half_sum(a, INT32_MAX)), 1)


def logistic(a: Any, integer_bits: int) -> Ints:
    """1 / (1 + exp(-a)); the result has no integer bits."""
    a = np.asarray(a, np.int64)
    positive = reciprocal_of_one_plus(exp_negative(-np.abs(a), integer_bits))
    return np.where(a == 0, 2**30, np.where(a > 0, positive, INT32_MAX - positive))


def tanh(a: Any, integer_bits: int) -> Ints:
    """Hyperbolic tangent; the result has no integer bits."""
    a = np.asarray(a, np.int64)
    e = exp_negative(-np.abs(a), integer_bits + 1)  # the same raw value with one more bit is 2a
    ratio = rescale(_newton_reciprocal(half_sum(e, INT32_MAX)) - 2**29, 2)
    return np.where(a == 0, 0, np.where(a < 0, -ratio, ratio))


def reciprocal(x: Any, integer_digits: int) -> tuple[Ints, Ints]:
    """(1/x scaled into [1/2, 1) without integer bits, bits over one) for positive 32-bit x."""
    x = np.asarray(x, np.int64)
    headroom = leading_zeros(x)
    return reciprocal_of_one_plus((x << headroom) - 2**31), integer_digits - headroom


def log_from_one(x: Any, in_bits: int, out_bits: int) -> Ints:
    """Natural logarithm of x >= 1 with `in_bits` integer bits; the result has `out_bits`."""
    x = np.asarray(x, np.int64)
    accumulator = out_bits + 1
    sqrt_half, fourth_root = 1518500250, 1805811301
    quarter = rescale(536870912, -accumulator)
    headroom = leading_zeros(x) - 1
    r_a = _grow(doubling_high_mul(_grow(x, headroom), sqrt_half), 1)
    power_a = _clip32(_grow(in_bits - headroom - 1, 31 - accumulator) + quarter)
    headroom_b = leading_zeros(doubling_high_mul(x, sqrt_half)) - 1
    r_b = _grow(x, headroom_b)
    power_b = _clip32(_grow(in_bits - headroom_b, 31 - accumulator) - quarter)
    r, power = np.minimum(r_a, r_b), np.maximum(power_a, power_b)
    p = half_sum(r, fourth_root)
    q = wrap32(2 * (r - fourth_root))
    square = doubling_high_mul(q, q)
    numerator = doubling_high_mul(q, r) + doubling_high_mul(doubling_high_mul(q, square), 117049297)
    inner = wrap32(1057819769 + q + doubling_high_mul(127690142, square))
    denominator = doubling_high_mul(p, inner) + doubling_high_mul(638450708, q)
    inverse = reciprocal_of_one_plus(denominator)
    scaled = rescale(numerator, -accumulator)
    total = doubling_high_mul(power, 1488522236) + doubling_high_mul(scaled, inverse)
    return rescale(total, accumulator - out_bits)


def _clip32(x: Any) -> Ints:
    clipped: Ints = np.clip(np.asarray(x, np.int64), INT32_MIN, INT32_MAX)
    return clipped


def _grow(x: Any, exponent: Any) -> Ints:
    """X << exponent, saturated beyond the symmetric threshold."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    threshold = (np.int64(1) << (31 - exponent)) - 1
    grown = np.where(x > threshold, INT32_MAX, np.where(x < -threshold, INT32_MIN, x << exponent))
    return np.where(exponent == 0, x, grown)


def inverse_sqrt(x: Any) -> tuple[Ints, Ints]:
    """(multiplier, shift) of 1 / sqrt(x), as `multiply` takes them; x is whole, 0 counts as 1."""
    x = np.asarray(x, np.int64)
    small = np.maximum(x, 2)
    shift = np.full(x.shape, 11, np.int64)
    while (small >= 2**29).any():
        shift += small >= 2**29
        small = np.where(small >= 2**29, small // 4, small)
    pairs = (leading_zeros(small) - 1) // 2 - 1
    shift = shift - pairs
    value = (small << (2 * pairs)) >> 1  # 3 integer bits from here on
    half = rounding_shift(value, 1)
    root = np.full(x.shape, 2**28, np.int64)
    for _ in range(5):
        cube = rescale(doubling_high_mul(doubling_high_mul(root, root), root), 6)
        step = doubling_high_mul(2**28 + 2**27, root) - doubling_high_mul(half, cube)
        root = rescale(step, 3)
    root = doubling_high_mul(root, 1518500250)
    root = np.where(shift < 0, root << np.maximum(-shift, 0), root)
    one = x <= 1
    return np.where(one, INT32_MAX, root), np.where(one, 0, -np.maximum(shift, 0))
