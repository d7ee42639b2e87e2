"""Which channels go: the closed forms against trying everything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.compress.selection import (
    Reader,
    cheapest_path,
    compensated,
    damped,
    distances_from_others,
    path_by,
    shrunk_to_fit,
)

RNG = np.random.default_rng(0)


def reader(channels: int, k: int, rows: int = 5, samples: int = 200) -> Reader:
    """Correlated inputs of `channels` with `k` columns each."""
    n = channels * k
    x = RNG.standard_normal((samples, n)) @ RNG.standard_normal((n, n))
    columns = np.arange(n).reshape(k, channels).T
    return Reader(RNG.standard_normal((rows, n)), np.cov(x.T), columns)


def loss_without(one: Reader, gone: list[int]) -> float:
    """Relative error when the others make good as well as they can."""
    columns = one.columns[gone].reshape(-1)
    kept = np.setdiff1d(np.arange(one.gram.shape[0]), columns)
    off = one.weights.copy()
    off[:, kept] -= compensated(one.weights, one.gram, kept)
    power = np.sum((one.weights @ one.gram) * one.weights)
    return float(np.sum((off @ damped(one.gram)) * off) / power)


@pytest.mark.parametrize("k", [1, 3])
def test_the_loss_is_that_of_the_best_weights(k: int) -> None:
    one = reader(6, k)
    path = cheapest_path([one], 6)
    assert sorted(path.order.tolist()) == list(range(6))
    for count in range(1, 6):
        assert path.loss[count] == pytest.approx(loss_without(one, path.gone(count)), rel=1e-6)


def test_the_first_to_go_is_the_cheapest_of_all() -> None:
    one = reader(7, 2)
    costs = [loss_without(one, [c]) for c in range(7)]
    assert cheapest_path([one], 7).order[0] == int(np.argmin(costs))


def test_two_readers_have_a_say() -> None:
    ones = [reader(6, 1), reader(6, 2)]
    path = cheapest_path(ones, 6)
    assert path.order[0] == min(range(6), key=lambda c: sum(loss_without(o, [c]) for o in ones))
    assert path.loss[2] == pytest.approx(sum(loss_without(o, path.gone(2)) for o in ones))


def test_a_copy_costs_nothing_and_greed_is_near_the_best() -> None:
    one = reader(6, 1, samples=400)
    x = RNG.standard_normal((400, 6)) @ np.diag([3, 2, 1, 1, 1, 1])
    x[:, 5] = x[:, 0]
    one = Reader(one.weights, np.cov(x.T), one.columns)
    path = cheapest_path([one], 6)
    assert path.loss[1] < 1e-3
    assert int(path.order[0]) in (0, 5)
    best = min(loss_without(one, list(some)) for some in combinations(range(6), 3))
    assert path.loss[3] <= 1.5 * best + 1e-3


def test_a_reader_that_does_not_read_a_channel() -> None:
    one = reader(4, 1)
    columns = one.columns.copy()
    columns[2] = -1
    path = cheapest_path([Reader(one.weights, one.gram, columns)], 4)
    assert path.order[0] == 2
    assert path.loss[1] == 0


def test_dependences_that_few_samples_show_are_dropped() -> None:
    """Independent inputs: with ten samples of 40 columns the covariance is chance."""
    w = RNG.standard_normal((3, 40))
    few, others = (np.cov(RNG.standard_normal((count, 40)).T) for count in (10, 1000))
    found = shrunk_to_fit(w, few, others)
    off = ~np.eye(40, dtype=bool)
    assert np.abs(found[off]).max() < 0.5 * np.abs(few[off]).max()
    many = np.cov(RNG.standard_normal((100_000, 40)).T)
    assert np.abs(shrunk_to_fit(w, many, others) - many).max() < 0.05


def test_the_filter_amid_the_others_is_the_nearest() -> None:
    filters = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 9.0]])
    assert np.argsort(distances_from_others(filters))[0] == 0
    brute = [sum(np.linalg.norm(a - b) for b in filters) for a in filters]
    np.testing.assert_allclose(distances_from_others(filters), brute, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=2, max_size=12))
def test_a_path_by_scores(scores: list[float]) -> None:
    path = path_by(np.array(scores))
    assert np.all(np.diff(path.loss) >= 0)
    assert [scores[i] for i in path.order] == sorted(scores)
