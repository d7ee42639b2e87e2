"""Histograms of a layer in float and as quantized."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.ir import DType, QuantParams
from edgepack.validation.histograms import histogram_of

NUMBERS = np.random.default_rng(0).normal(0, 3, (1, 40, 50)).astype(np.float32)
CASES = {
    "int8": (QuantParams.per_tensor(0.1, 3), DType.INT8),
    "int16": (QuantParams.per_tensor(0.001, 0), DType.INT16),
    "int8, clipping": (QuantParams.per_tensor(0.02, 0), DType.INT8),
    "few steps": (QuantParams.per_tensor(1.0, 0), DType.INT8),
}


@pytest.mark.parametrize("case", CASES)
def test_every_number_is_counted_once(case):
    quant, dtype = CASES[case]
    found = histogram_of(NUMBERS, quant.quantize(NUMBERS, dtype), quant)
    assert found is not None
    assert sum(found.float_) == sum(found.quantized) == NUMBERS.size
    assert len(found.float_) == len(found.quantized) <= 48
    assert found.low <= NUMBERS.min() + float(quant.scale[0])
    assert found.high >= NUMBERS.max() - float(quant.scale[0])


@pytest.mark.parametrize("case", ["int8", "int16", "few steps"])
def test_rounding_alone_moves_no_number_to_another_bin(case):
    quant, dtype = CASES[case]
    found = histogram_of(NUMBERS, quant.quantize(NUMBERS, dtype), quant)
    assert found.float_ == found.quantized


def test_clipped_numbers_pile_up_at_the_ends():
    quant, dtype = CASES["int8, clipping"]
    found = histogram_of(NUMBERS, quant.quantize(NUMBERS, dtype), quant)
    assert max(found.quantized) > 2 * max(found.float_)


def test_real_numbers_on_both_sides():
    found = histogram_of(NUMBERS, NUMBERS + 1, None)
    assert (found.low, found.high) == (NUMBERS.min(), (NUMBERS + 1).max())
    assert found.float_ != found.quantized


@pytest.mark.parametrize("numbers", [np.ones((1, 4)), np.full((1, 4), np.nan), np.empty((1, 0))])
def test_nothing_to_see(numbers):
    array = numbers.astype(np.float32)
    assert histogram_of(array, array, None) is None
