"""Packed constants: what is unpacked is what was packed, and damage is told."""

from contextlib import suppress

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edgepack.ir import DType, QuantParams, Value
from edgepack.schema import decode
from edgepack.schema.decode_huffman import huffman_codes

SHAPES = {  # shape, axis of the scales
    "conv": ((6, 3, 3, 5), 0),
    "depthwise": ((1, 3, 3, 6), 3),
    "dense": ((7, 9), None),
    "one element": ((1, 1), None),
}


def weights(shape, axis, seed, entries, dtype=DType.INT8, zeros=0.3):
    rng = np.random.default_rng(seed)
    low, high = (-127, 127) if dtype is DType.INT8 else (-30000, 30000)
    data = rng.choice(rng.integers(low, high, entries), shape).astype(dtype.numpy)
    data[rng.random(shape) < zeros] = 0
    quant = QuantParams.per_tensor(0.1)
    if axis is not None:
        quant = QuantParams.per_channel(np.full(shape[axis], 0.1), axis)
    return Value("w", shape, dtype, quant, data)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coding", decode.CODINGS)
@given(st.integers(0, 99), st.integers(1, 100), st.sampled_from([DType.INT8, DType.INT16]))
@settings(max_examples=15, deadline=None)
def test_unpacked_is_what_was_packed(coding, shape, seed, entries, dtype):
    value = weights(*SHAPES[shape], seed, entries, dtype)
    packed = decode.pack(value, coding)
    assert packed.ancillary[0] == decode.CODINGS.index(coding)
    np.testing.assert_array_equal(
        decode.unpack(packed.encoded, packed.ancillary, value), value.const
    )


def test_zero_points_stand_where_a_bit_is_clear():
    value = weights((3, 4), None, 0, 5, zeros=0.0)
    value.quant = QuantParams.per_channel(np.full(3, 0.1), 0, [5, -3, 0])
    value.const[:, 1] = [5, -3, 0]
    packed = decode.pack(value, "prune")
    np.testing.assert_array_equal(
        decode.unpack(packed.encoded, packed.ancillary, value), value.const
    )
    assert packed.ancillary.size - 16 == (value.const != np.array([[5], [-3], [0]])).sum()


def test_one_table_serves_channels_that_differ_by_their_scale_only():
    value = weights((64, 1, 1, 64), 0, 0, 15)
    packed = decode.pack(value, "lut")
    assert packed.ancillary[6] == 0  # the distance from table to table
    assert packed.nbytes == 16 + len(np.unique(value.const)) + 64 * 64 // 2


def test_channels_have_tables_of_their_own_where_that_takes_less():
    rng = np.random.default_rng(0)
    tables = rng.integers(-127, 127, (4, 4)).astype(np.int8)
    data = np.stack([rng.choice(t, 900) for t in tables]).reshape(4, 10, 10, 9)
    value = Value("w", data.shape, DType.INT8, QuantParams.per_channel(np.ones(4), 0), data)
    packed = decode.pack(value, "lut")
    assert packed.ancillary[6] == 4
    assert packed.nbytes == 16 + 16 + 900
    np.testing.assert_array_equal(decode.unpack(packed.encoded, packed.ancillary, value), data)


def test_codes_are_as_short_as_entropy_allows():
    counts = np.array([1000, 500, 250, 125, 60, 30, 20, 15])
    codes = huffman_codes(counts)
    bits = sum(len(code) * n for code, n in zip(codes, counts, strict=True))
    share = counts / counts.sum()
    entropy = -(share * np.log2(share)).sum() * counts.sum()
    assert entropy <= bits < entropy * 1.02
    assert not any(a != b and b.startswith(a) for a in codes for b in codes)


REFUSED = {
    "too many values for a table": (weights((20, 20), None, 0, 400), "lut", "128 different"),
    "channels in the middle": (weights((2, 6, 3, 2), 1, 0, 4), "lut", "neither the first"),
    "no codes for int32": (
        Value("b", (2,), DType.INT32, None, np.zeros(2, np.int32)), "huffman", "int8 and int16",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_coding_cannot_hold(case):
    value, coding, reason = REFUSED[case]
    with pytest.raises(ValueError, match=reason):
        decode.pack(value, coding)


@pytest.mark.parametrize("coding", decode.CODINGS)
@given(st.integers(0, 999), st.integers(0, 39), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_damage_is_told_or_harmless(coding, seed, place, byte):
    value = weights((5, 8), None, seed, 12)
    packed = decode.pack(value, coding)
    both = [packed.encoded.copy(), packed.ancillary.copy()]
    both[seed % 2][place % both[seed % 2].size] = byte
    if seed % 3 == 0:
        both[0] = both[0][: both[0].size // 2]
    with suppress(ValueError):  # other values, or an error that readers turn into a message
        assert decode.unpack(*both, value).shape == value.shape
