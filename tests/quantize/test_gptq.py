"""Rounding by columns against rounding to nearest, judged by the outputs."""

import numpy as np
import pytest

from edgepack.quantize.gptq import best_target, clipped_scale, round_columns


def layer(seed, groups=2, rows=5, n=12, samples=200):
    """Weights, scales and inputs [groups, samples, n] that depend on one another."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((groups, rows, n))
    mixing = rng.standard_normal((groups, n, n)) * np.linspace(1, 0.05, n)[:, None]
    x = rng.standard_normal((groups, samples, n)) @ mixing
    return w, np.abs(w).max(axis=2), x


def moments(x, other=None):
    other = x if other is None else other
    return np.swapaxes(x, 1, 2) @ other / x.shape[1]


def noise(w, stored, scale, x):
    error = w - stored * scale[:, :, None]
    return float(np.square(x @ np.swapaxes(error, 1, 2)).sum())


@pytest.mark.parametrize("top", [7, 127])
def test_outputs_err_less_than_with_the_nearest_integers(top):
    before = after = 0.0
    for seed in range(10):
        w, largest, x = layer(seed)
        scale = largest / top
        nearest = np.clip(np.rint(w / scale[:, :, None]), -top, top)
        rounded = round_columns(w, moments(x), scale, top)
        assert np.abs(rounded).max() <= top
        assert np.array_equal(rounded, np.rint(rounded))
        before += noise(w, nearest, scale, x)
        after += noise(w, rounded, scale, x)
    assert after < 0.5 * before


def test_inputs_that_have_nothing_to_do_with_one_another_leave_the_nearest():
    w, largest, _ = layer(0)
    scale = largest / 7
    gram = np.broadcast_to(np.diag(np.linspace(1, 2, w.shape[2])), (2, 12, 12))
    rounded = round_columns(w, gram, scale, 7)
    np.testing.assert_array_equal(rounded, np.rint(w / scale[:, :, None]))


def test_groups_do_not_meet():
    w, largest, x = layer(3)
    together = round_columns(w, moments(x), largest / 7, 7)
    for group in range(2):
        one = slice(group, group + 1)
        alone = round_columns(w[one], moments(x[one]), largest[one] / 7, 7)
        np.testing.assert_array_equal(together[one], alone)


def test_more_columns_than_a_block_has():
    w, largest, x = layer(1, groups=1, n=300, samples=500)
    scale = largest / 7
    nearest = np.clip(np.rint(w / scale[:, :, None]), -7, 7)
    rounded = round_columns(w, moments(x), scale, 7)
    assert noise(w, rounded, scale, x) < 0.7 * noise(w, nearest, scale, x)


def test_inputs_that_never_change_are_no_obstacle():
    w, largest, x = layer(2)
    x[:, :, 3:] = 0
    rounded = round_columns(w, moments(x), largest / 127, 127)
    assert np.isfinite(rounded).all()
    assert np.isfinite(round_columns(w, moments(x * 0), largest / 127, 127)).all()


@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_the_target_makes_up_for_what_quantizing_did_to_the_inputs(factor):
    w, _, x = layer(4, samples=2000)
    q = x * factor
    target = best_target(w, moments(q), moments(x, q))
    real, found = x @ np.swapaxes(w, 1, 2), q @ np.swapaxes(target, 1, 2)
    left = np.square(real - found).sum() / np.square(real - q @ np.swapaxes(w, 1, 2)).sum().clip(1)
    assert left < 0.2


def test_a_scale_clips_the_weight_that_no_input_reaches():
    w, _, x = layer(5)
    w[:, :, 0], x[:, :, 0] = 10.0, 0.0
    scale = np.abs(w).max(axis=2) / 7
    smaller = clipped_scale(w, moments(x), scale, 7)
    assert (smaller <= scale).all()
    assert (smaller < 0.8 * scale).all()
