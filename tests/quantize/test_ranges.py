import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.ir import DType
from edgepack.quantize.ranges import Range, choose_range
from edgepack.quantize.statistics import SAMPLE_SIZE, Statistics

finite = st.floats(-1e6, 1e6, width=32)


@given(finite, finite, st.sampled_from([DType.INT8, DType.UINT8]))
def test_zero_is_exact_and_the_range_is_covered(a, b, dtype):
    low, high = min(a, b), max(a, b)
    params = Range(low, high, "min-max").params(dtype)
    scale, zero = float(params.scale[0]), int(params.zero_point[0])
    bottom, top = dtype.limits
    assert bottom <= zero <= top
    reach = scale * 1.01  # one step: the zero point is rounded to a whole number
    assert (bottom - zero) * scale <= min(low, 0) + reach
    assert (top - zero) * scale >= max(high, 0) - reach


def test_int16_is_symmetric():
    params = Range(-3.0, 1.0, "min-max").params(DType.INT16)
    assert params.zero_point[0] == 0
    assert params.scale[0] == pytest.approx(3.0 / 32767)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
def test_a_value_that_is_always_zero_has_a_scale_that_xnnpack_takes(dtype):
    # the layer that makes it has an input and weights of ordinary scales: 0.02 * 0.01 / scale < 256
    assert Range(0.0, 0.0, "min-max").params(dtype).scale[0] > 0.02 * 0.01 / 256


def seen_of(*arrays):
    seen = Statistics()
    for array in arrays:
        seen.update(np.asarray(array, np.float32), keep_mean=True)
    return seen


def test_statistics_know_extremes_and_mean():
    seen = seen_of([[1, 2]], [[3, -4]])
    assert (seen.low, seen.high, seen.count) == (-4, 3, 4)
    assert seen.extremes == [(1, 2), (-4, 3)]
    np.testing.assert_array_equal(seen.mean, [[2, -1]])


def test_the_sample_is_bounded_and_spread_over_all_arrays():
    seen = Statistics()
    for index in range(400):
        seen.update(np.full(1000, index, np.float32))
    assert SAMPLE_SIZE // 4 < seen.sample.size <= SAMPLE_SIZE
    assert abs(float(seen.sample.mean()) - 199.5) < 20


def test_only_the_percentile_cuts_an_outlier_away():
    rng = np.random.default_rng(0)
    dense = [rng.normal(size=20_000) for _ in range(200)]
    dense[7][5] = 400.0  # one element in four million
    auto = choose_range(seen_of(*dense), DType.INT8)
    assert auto.high > 0.8 * 400  # it decides too much to be cut away
    assert choose_range(seen_of(*dense), DType.INT8, "percentile").high < 10


METHODS = {"min-max": 5.0, "percentile": 5.0, "mse": 5.0, "auto": 5.0, "kl": 5.0, "octav": 5.0}


@pytest.mark.parametrize("method", METHODS)
def test_uniform_values_keep_their_range(method):
    seen = seen_of(*np.random.default_rng(1).uniform(0, 5, (20, 4000)))
    found = choose_range(seen, DType.INT8, method)
    assert found.low == pytest.approx(0, abs=0.01)
    assert found.high == pytest.approx(METHODS[method], rel=0.026)  # one step of the search


def clipping_error(x, r):
    params = r.params(DType.INT8)
    return np.square(params.dequantize(params.quantize(x, DType.INT8)) - x).mean()


@pytest.mark.parametrize("draw", ["normal", "laplace", "exponential"])
def test_octav_has_the_smallest_mean_squared_error(draw):
    x = getattr(np.random.default_rng(3), draw)(size=8000).astype(np.float32)
    seen = seen_of(x)
    found = choose_range(seen, DType.INT8, "octav")
    least = min(
        clipping_error(x, Range(found.low * k, found.high * k, "")) for k in np.linspace(0.5, 2, 61)
    )
    assert clipping_error(x, found) < 1.03 * least
    assert clipping_error(x, found) < clipping_error(x, Range(seen.low, seen.high, ""))


def test_kl_clips_a_long_tail_and_keeps_the_body():
    x = np.random.default_rng(4).laplace(size=(40, 5000)).astype(np.float32)
    found = choose_range(seen_of(*x), DType.INT8, "kl")
    assert found.method == "kl"
    assert 2 < found.high < 0.9 * x.max()


@pytest.mark.parametrize("method", ["auto", "kl", "octav"])
def test_values_of_zeros_and_one_other_keep_it(method):
    seen = seen_of(*np.zeros((3, 100)), 2.0 * (np.arange(100) == 7))
    found = choose_range(seen, DType.INT8, method)
    assert found.low <= 0
    assert found.high == pytest.approx(2.0, rel=0.02)


def test_union_holds_both():
    union = Range(-1, 2, "min-max").united(Range(0, 3, "mse"))
    assert (union.low, union.high, union.method) == (-1, 3, "union")


def test_percentiles_of_a_value_that_is_nearly_always_zero_do_not_collapse():
    seen = Statistics()
    for index in range(20):
        array = np.zeros(100_000, np.float32)
        array[index] = 3.0
        seen.update(array)
    assert choose_range(seen, DType.INT8, "percentile").high == 3.0
