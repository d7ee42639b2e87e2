"""Fixed point as graphs, number by number against `kernels.fixed_point`: halves, ends, overflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepack.ir import DType, Graph
from edgepack.kernels import fixed_point as fp
from edgepack.passes.onnx_exact import fixed_point as spelled
from edgepack.passes.onnx_exact.ints import Ints, from_value
from edgepack.run.ort import OrtRuntime
from edgepack.writers.onnx import write_onnx

ENDS = (fp.INT32_MIN, fp.INT32_MAX)


def numbers(low: int = ENDS[0], high: int = ENDS[1]) -> Any:
    """All magnitudes, the neighbours of the powers of two and of their halves, both ends."""
    rng = np.random.default_rng(0)
    powers = [1 << k for k in range(40)]
    near = [s * (p + d) for p in powers for d in (-1, 0, 1) for s in (-1, 1)]
    halves = [s * (p + p // 2 + d) for p in powers for d in (-1, 0, 1) for s in (-1, 1)]
    spread = (rng.integers(low, high, 500, endpoint=True) >> rng.integers(0, 31, 500)).tolist()
    found = {low, high, *near, *halves, *spread}
    return np.array(sorted(n for n in found if low <= n <= high), np.int64)


def assert_same(function: Callable[[Ints], Ints | tuple[Ints, ...]], x: Any, expected: Any) -> None:
    """`function` of x as ONNX Runtime computes it."""
    graph = Graph()
    value = graph.add_input("x", x.shape, DType.INT64)
    made = function(from_value(graph, value).within(int(x.min()), int(x.max())))
    results = made if isinstance(made, tuple) else (made,)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    graph.outputs = [r.value for r in results]
    for numbers_, got, want in zip(
        results, OrtRuntime(write_onnx(graph)).run([x]), wanted, strict=True
    ):
        np.testing.assert_array_equal(got, np.broadcast_to(want, got.shape))
        assert numbers_.low <= got.min() <= got.max() <= numbers_.high


@pytest.mark.parametrize("factor", [1, 2**30, 2**30 + 1, ENDS[1], -(2**30), ENDS[0], 1518500250])
def test_doubling_high_mul(factor: int) -> None:
    x = numbers()
    expected = fp.doubling_high_mul(x, factor)
    assert_same(lambda v: spelled.doubling_high_mul(v, factor), x, expected)


@pytest.mark.parametrize("bits", [0, 1, 2, 7, 20, 31])
def test_rounding_shift(bits: int) -> None:
    x = numbers()
    assert_same(lambda v: spelled.rounding_shift(v, bits), x, fp.rounding_shift(x, bits))


@pytest.mark.parametrize("number", [-(2**31), -3, 0, 5, 2**30 + 2**29, 2**31 - 1])
def test_rounding_shift_by_computed_bits(number: int) -> None:
    bits = np.arange(32)
    expected = fp.rounding_shift(np.full(32, number), bits)
    assert_same(lambda v: spelled.rounding_shift_by((v * 0) + number, v), bits, expected)


REALS = (3e-10, 0.0007, 0.25, 0.4999999999, 0.5, 0.99999, 1.0, 1.7, 37.0, 1e6)


@pytest.mark.parametrize("real", REALS)
def test_multiply(real: float) -> None:
    x = numbers()
    scaling = fp.quantize_multiplier(real)
    assert_same(lambda v: spelled.multiply(v, *scaling), x, fp.multiply(x, *scaling))


def test_multiply_per_channel() -> None:
    x = np.repeat(numbers()[:, None], len(REALS), axis=1)
    scaling = fp.quantize_multiplier(np.array(REALS))
    assert_same(lambda v: spelled.multiply(v, *scaling), x, fp.multiply(x, *scaling))


@pytest.mark.parametrize("real", [3e-7, 0.0007, 0.25, 0.5, 0.99999, 1.7])
def test_multiply_wide(real: float) -> None:
    x = numbers(-(2**39), 2**39)
    scaling = fp.quantize_multiplier(real)
    assert_same(lambda v: spelled.multiply_wide(v, *scaling), x, fp.multiply_wide(x, *scaling))


def test_wrap32() -> None:
    x = numbers(-(2**39), 2**39)
    assert_same(spelled.wrap32, x, fp.wrap32(x))


@pytest.mark.parametrize("exponent", [-12, -1, 0, 1, 9])
def test_rescale(exponent: int) -> None:
    x = numbers()
    assert_same(lambda v: spelled.rescale(v, exponent), x, fp.rescale(x, exponent))


def test_leading_zeros() -> None:
    x = numbers(0, 2**32 - 1)
    assert_same(spelled.leading_zeros, x, fp.leading_zeros(x))


def test_reciprocals() -> None:
    x = numbers(1, 2**31 - 1)
    assert_same(lambda v: spelled.reciprocal(v, 12), x, fp.reciprocal(x, 12))
    x = numbers(0, 2**31 - 1)
    assert_same(spelled.reciprocal_of_one_plus, x, fp.reciprocal_of_one_plus(x))


def test_log_from_one() -> None:
    x = numbers(2**19, 2**31 - 1)
    assert_same(lambda v: spelled.log_from_one(v, 12, 5), x, fp.log_from_one(x, 12, 5))


@pytest.mark.parametrize("high", [1, 300, 2**29, 2**31 - 1])
def test_inverse_sqrt(high: int) -> None:
    x = numbers(0, high)
    assert_same(spelled.inverse_sqrt, x, fp.inverse_sqrt(x))


def test_multiply_by_computed_factors() -> None:
    x = numbers(0, 2**29)
    root, shift = fp.inverse_sqrt(x)

    def function(v: Ints) -> Ints:
        factor, exponent = spelled.inverse_sqrt(v)
        return spelled.multiply_by((v * 0) + 1234567, factor, exponent + 7)

    assert_same(function, x, fp.multiply(np.full(x.shape, 1234567), root, shift + 7))
