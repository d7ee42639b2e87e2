"""Zeros: as many as asked, where the pattern has them, and made good for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.sparse import Pattern, by_magnitude, by_reconstruction

RNG = np.random.default_rng(0)
W = RNG.standard_normal((2, 6, 48))
_FACTORS = RNG.standard_normal((2, 600, 12)) @ RNG.standard_normal((12, 48))
_X = _FACTORS + 0.3 * RNG.standard_normal(_FACTORS.shape)  # inputs that depend on one another
GRAM = np.einsum("gri,grj->gij", _X, _X) / 600


def error(w: np.ndarray) -> float:
    off = W - w
    return float(np.einsum("gri,gij,grj->", off, GRAM, off))


@pytest.mark.parametrize("make", ["reconstruction", "magnitude"])
@settings(max_examples=25, deadline=None)
@given(kept=st.integers(1, 3), out_of=st.sampled_from([4, 6, 8]))
def test_so_many_of_so_many(make: str, kept: int, out_of: int) -> None:
    pattern = Pattern(kept, out_of)
    w = by_magnitude(W, 0, pattern) if make == "magnitude" else by_reconstruction(
        W, GRAM, 0, pattern
    )  # fmt: skip
    counts = (w.reshape(2, 6, -1, out_of) != 0).sum(axis=-1)
    assert np.all(counts == kept)


@pytest.mark.parametrize("pattern", [Pattern(), Pattern(block=4)])
@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 0.9])
def test_a_share(pattern: Pattern, ratio: float) -> None:
    for w in (by_magnitude(W, ratio, pattern), by_reconstruction(W, GRAM, ratio, pattern)):
        assert np.mean(w == 0) == pytest.approx(ratio, abs=0.02)
        blocks = (w == 0).reshape(2, 6, -1, pattern.block)
        assert np.all(blocks.all(axis=-1) == blocks.any(axis=-1))
    if not ratio:
        np.testing.assert_array_equal(by_reconstruction(W, GRAM, ratio, pattern), W)


@pytest.mark.parametrize("pattern", [Pattern(), Pattern(2, 4), Pattern(block=4)])
def test_making_good_gains(pattern: Pattern) -> None:
    simple = by_magnitude(W, 0.5, pattern)
    assert error(by_reconstruction(W, GRAM, 0.5, pattern)) < 0.7 * error(simple)


@pytest.mark.parametrize("text", ["4:2", "4:4", "0:4", "block", "block1", "2-4", ""])
def test_no_pattern(text: str) -> None:
    assert Pattern.parse(text) is None


def test_patterns() -> None:
    assert Pattern.parse("any") == Pattern()
    assert Pattern.parse("2:4") == Pattern(2, 4)
    assert Pattern.parse("block4") == Pattern(block=4)
