"""The fixed-point functions against exact whole-number arithmetic and against real numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.kernels import fixed_point as fp

INT32 = st.integers(fp.INT32_MIN, fp.INT32_MAX)


def away(x: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    return math.floor(x + Fraction(1, 2)) if x >= 0 else -math.floor(-x + Fraction(1, 2))


@given(INT32, INT32)
def test_doubling_high_mul(a: int, b: int) -> None:
    # at exactly -1/2 the C++ rounds up: its nudge is one short of a half below zero
    exact = Fraction(2 * a * b, 2**32)
    want = math.ceil(exact - Fraction(1, 2)) if exact < 0 else math.floor(exact + Fraction(1, 2))
    assert int(fp.doubling_high_mul(a, b)) == min(want, fp.INT32_MAX)


@given(INT32, st.integers(0, 31))
def test_rounding_shift(x: int, exponent: int) -> None:
    assert int(fp.rounding_shift(x, exponent)) == away(Fraction(x, 2**exponent))


@given(INT32, st.integers(1, 2**20))
def test_trunc_divide(x: int, divisor: int) -> None:
    assert int(fp.trunc_divide(x, divisor)) == math.trunc(Fraction(x, divisor))


@given(st.floats(2.0**-30, 2.0**20))
def test_quantize_multiplier(real: float) -> None:
    multiplier, shift = (int(v) for v in fp.quantize_multiplier(real))
    assert 2**30 <= multiplier < 2**31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(real, rel=2.0**-31)


def test_quantize_multiplier_carries() -> None:
    assert tuple(map(int, fp.quantize_multiplier(1 - 2.0**-40))) == (2**30, 1)


@pytest.mark.parametrize("real", [0.0, 2.0**-40])
def test_quantize_multiplier_of_next_to_nothing(real: float) -> None:
    assert tuple(map(int, fp.quantize_multiplier(real))) == (0, 0)


@given(st.integers(-(2**24), 2**24), st.floats(2.0**-20, 0.99))
def test_multiply_is_near_the_real_product(x: int, real: float) -> None:
    got = int(fp.multiply(x, *fp.quantize_multiplier(real)))
    assert abs(got - x * real) <= 1.0  # half for each of two roundings, less than that in all


@given(st.integers(-(2**40), 2**40), st.floats(2.0**-14, 2.0**-10))
def test_multiply_wide_is_near_the_real_product(x: int, real: float) -> None:
    got = int(fp.multiply_wide(x, *fp.quantize_multiplier(real)))
    exact = x * real
    if abs(exact) < 2**31 - 2**20:
        assert abs(got - exact) <= 0.5 + abs(exact) * 2.0**-15  # the multiplier keeps 15 bits


def raws(low: float, high: float, integer_bits: int) -> np.ndarray:
    return (np.linspace(low, high, 4001) * 2.0 ** (31 - integer_bits)).astype(np.int64)


def test_exp() -> None:
    x = raws(-31.9, 0, 5)
    got = fp.exp_negative(x, 5) / 2.0**31
    np.testing.assert_allclose(got, np.exp(x / 2.0**26), atol=2e-7)  # a series of degree 4


@pytest.mark.parametrize(
    ("function", "real"),
    [(fp.logistic, lambda v: 1 / (1 + np.exp(-v))), (fp.tanh, np.tanh)],
    ids=["logistic", "tanh"],
)
def test_s_curves(function: object, real: object) -> None:
    x = raws(-7.9, 7.9, 4)
    got = function(x, 4) / 2.0**31  # type: ignore[operator]
    np.testing.assert_allclose(got, real(x / 2.0**27), atol=4e-7)  # type: ignore[operator]


def test_reciprocal() -> None:
    x = np.arange(1, 5000)
    scaled, over = fp.reciprocal(x, 31)
    np.testing.assert_allclose(scaled / 2.0**31 * 2.0**-over, 1 / x, rtol=1e-8)


def test_log() -> None:
    x = np.linspace(1, 4000, 3001)
    got = fp.log_from_one((x * 2.0**19).astype(np.int64), 12, 5) / 2.0**26
    np.testing.assert_allclose(got, np.log(x), atol=1e-6)


def test_inverse_sqrt() -> None:
    x = np.unique(np.geomspace(2, 2**30, 2000).astype(np.int64))
    multiplier, shift = fp.inverse_sqrt(x)
    np.testing.assert_allclose(multiplier * 2.0 ** (shift - 31.0), x**-0.5, rtol=2e-5)


@given(st.integers(0, 2**32 - 1))
def test_leading_zeros(x: int) -> None:
    assert int(fp.leading_zeros(x)) == 32 - x.bit_length()
