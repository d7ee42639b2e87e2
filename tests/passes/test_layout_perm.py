"""Permutations against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.passes.layout_perm import (
    compose,
    induced,
    inverse,
    moves_only_ones,
    through_reshape,
    widened,
)

SHAPES = st.lists(st.sampled_from([1, 1, 2, 3, 4, 6]), min_size=1, max_size=4)


def _array(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


def test_compose_and_inverse() -> None:
    x, p, q = _array((2, 3, 4)), (2, 0, 1), (1, 0, 2)
    np.testing.assert_array_equal(x.transpose(p).transpose(q), x.transpose(compose(p, q)))
    np.testing.assert_array_equal(x.transpose(p).transpose(inverse(p)), x)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SHAPES, st.integers(0, 99))
def test_moves_only_ones_says_when_memory_stays(dims: list[int], seed: int) -> None:
    perm = tuple(int(i) for i in np.random.default_rng(seed).permutation(len(dims)))
    x = _array(tuple(dims))
    stays = np.array_equal(x.transpose(perm).reshape(-1), x.reshape(-1))
    assert moves_only_ones(x.shape, perm) == stays


@pytest.mark.parametrize("perm", [(0, 3, 1, 2), (0, 2, 3, 1), (3, 1, 0, 2)])
@pytest.mark.parametrize("dropped", [(1,), (2, 3), (0, 1, 2), ()])
def test_induced_is_what_a_reduction_leaves(
    perm: tuple[int, ...], dropped: tuple[int, ...]
) -> None:
    x = _array((2, 3, 4, 5))
    direct = x.transpose(perm).sum(axis=dropped)
    before = x.sum(axis=tuple(perm[a] for a in dropped))
    np.testing.assert_array_equal(direct, before.transpose(induced(perm, dropped)))


@pytest.mark.parametrize("perm", [(0, 1), (1, 0)])
@pytest.mark.parametrize("dropped", [(2, 3), (0, 2), (1, 3)])
def test_widened_undoes_induced(perm: tuple[int, ...], dropped: tuple[int, ...]) -> None:
    assert induced(widened(perm, 4, dropped), dropped) == perm


_NCHW = (0, 3, 1, 2)  # the NCHW view of NHWC

_RESHAPES = {
    "split_channels": ((1, 8, 3, 5), _NCHW, (1, 2, 4, 3, 5), True),
    "merge_pixels": ((1, 8, 3, 5), _NCHW, (1, 8, 15), True),
    "drop_ones": ((2, 8, 1, 1), _NCHW, (2, 8), True),
    "add_ones": ((2, 8, 3, 5), _NCHW, (2, 1, 8, 3, 5), True),
    "flatten": ((1, 8, 3, 5), _NCHW, (1, 120), False),
    "merge_channels_and_rows": ((1, 8, 3, 5), _NCHW, (1, 24, 5), False),
    "no_common_factors": ((1, 4, 6, 5), _NCHW, (1, 6, 4, 5), False),
    "empty": ((0, 4, 6, 5), _NCHW, (0, 24, 5), False),
}


@pytest.mark.parametrize("name", _RESHAPES)
def test_through_reshape(name: str) -> None:
    shape, perm, target, possible = _RESHAPES[name]
    found = through_reshape(shape, perm, target)
    assert (found is not None) == possible
    if found is not None:
        view = _array(shape)  # v = v'.transpose(perm)
        before = view.transpose(inverse(perm))
        want_shape = tuple(target[i] for i in inverse(found))
        moved = before.reshape(want_shape).transpose(found)
        np.testing.assert_array_equal(moved, view.reshape(target))
