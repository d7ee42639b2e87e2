"""Quantization parameters and element types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.ir import DType, QuantParams

WRONG = {
    "two dimensions": (np.ones((1, 1), np.float32), np.zeros((1, 1), np.int64), None, "equal 1-D"),
    "lengths differ": (np.ones(2, np.float32), np.zeros(1, np.int64), 0, "equal 1-D"),
    "empty": (np.ones(0, np.float32), np.zeros(0, np.int64), 0, "equal 1-D"),
    "zero scale": (np.zeros(1, np.float32), np.zeros(1, np.int64), None, "greater than zero"),
    "negative scale": (-np.ones(1, np.float32), np.zeros(1, np.int64), None, "greater than zero"),
    "infinite scale": (np.full(1, np.inf, np.float32), np.zeros(1, np.int64), None, "finite"),
    "not a number": (np.full(1, np.nan, np.float32), np.zeros(1, np.int64), None, "finite"),
    "several without an axis": (np.ones(2, np.float32), np.zeros(2, np.int64), None, "one scale"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_parameters_are_refused(case: str) -> None:
    scale, zero_point, axis, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        QuantParams(scale, zero_point, axis)


@given(
    st.floats(2**-20, 2**10, width=32),
    st.integers(-128, 127),
    st.sampled_from([DType.INT8, DType.INT4]),
)
def test_integers_survive_dequantizing_and_quantizing(
    scale: float, zero_point: int, dtype: DType
) -> None:
    low, high = dtype.limits
    quant = QuantParams.per_tensor(scale, max(low, min(high, zero_point)))
    integers = np.arange(low, high + 1, dtype=np.int8)
    np.testing.assert_array_equal(quant.quantize(quant.dequantize(integers), dtype), integers)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20))
def test_quantizing_errs_by_half_a_step_at_most_inside_the_range(numbers: list[float]) -> None:
    quant, real = QuantParams.per_tensor(1.0, 3), np.array(numbers, np.float32)
    error = np.abs(quant.dequantize(quant.quantize(real, DType.INT8)) - real)
    assert (error <= 0.5).all()


def test_ties_go_to_the_even_integer_and_overflow_saturates() -> None:
    quant = QuantParams.per_tensor(1.0)
    real = np.array([0.5, 1.5, -0.5, -2.5, 1e9, -1e9])
    np.testing.assert_array_equal(quant.quantize(real, DType.INT8), [0, 2, 0, -2, 127, -128])


def test_channels_have_their_own_scales() -> None:
    quant = QuantParams.per_channel([1.0, 0.5], 1)
    integers = np.array([[2, 2], [4, 4]], np.int8)
    real = quant.dequantize(integers)
    np.testing.assert_array_equal(real, [[2, 1], [4, 2]])
    assert real.dtype == np.float32
    np.testing.assert_array_equal(quant.quantize(real, DType.INT8), integers)
    np.testing.assert_array_equal(quant.moved(0).dequantize(integers), [[2, 2], [2, 2]])


def test_scalars_are_quantized_too() -> None:
    quant = QuantParams.per_tensor(0.5, 1)
    assert quant.quantize(np.float32(1.0).reshape(()), DType.INT8) == 3
    assert quant.dequantize(np.array(3, np.int8)) == 1.0


def test_equal_parameters_are_equal_and_hash_alike() -> None:
    one, same = QuantParams.per_channel([0.1, 0.2], 0), QuantParams.per_channel([0.1, 0.2], 0)
    others = [
        QuantParams.per_channel([0.1, 0.2], 1), QuantParams.per_channel([0.1, 0.3], 0),
        QuantParams.per_channel([0.1, 0.2], 0, [0, 1]), QuantParams.per_tensor(0.1),
    ]  # fmt: skip
    assert one == same
    assert hash(one) == hash(same)
    assert all(one != other for other in others)
    assert one != "q"


@pytest.mark.parametrize(
    ("dtype", "bits", "limits"),
    [(DType.INT4, 4, (-8, 7)), (DType.INT8, 8, (-128, 127)), (DType.UINT8, 8, (0, 255)),
     (DType.INT16, 16, (-32768, 32767)), (DType.UINT64, 64, (0, 2**64 - 1))],
)  # fmt: skip
def test_integer_types(dtype: DType, bits: int, limits: tuple[int, int]) -> None:
    assert (dtype.bits, dtype.limits) == (bits, limits)
    assert dtype.is_integer
    assert not dtype.is_float


def test_bool_is_neither_whole_nor_real() -> None:
    assert not DType.BOOL.is_integer
    assert not DType.BOOL.is_float


def test_every_type_that_numpy_has_is_found_by_its_array() -> None:
    held = {DType.INT4: DType.INT8, DType.BFLOAT16: DType.UINT16}
    for dtype in DType:
        found = DType.of(np.zeros(1, dtype.numpy))
        assert found is held.get(dtype, dtype)
    with pytest.raises(ValueError, match="str"):
        DType.of(np.array(["a"]))
