"""Sharing out a budget: it is kept, and nearly as well as by trying everything."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from pruning_nets import COUPLED

from edgepack.compress.allocation import Levels, allocate, cost_model, uniform
from edgepack.compress.removal import Channels, remove
from edgepack.compress.rounding import channel_multiple, multiple_for
from edgepack.ir import node_macs
from edgepack.ir.text import parse
from edgepack.profiles import load_target


def macs(channels: Channels, gone: set[int]) -> int:
    graph = channels.graph.copy()
    remove(graph, channels, gone)
    return sum(map(node_macs, graph.nodes))


@pytest.mark.parametrize("text", COUPLED.values(), ids=COUPLED.keys())
def test_the_cost_is_that_of_the_graph_without(text: str) -> None:
    channels = Channels(parse(text))
    cost, kept = cost_model(channels), []
    gone: set[int] = set()
    for group in channels.groups:
        lost = group.labels[: len(group.labels) // 2]
        gone |= set(lost)
        kept.append(1 - len(lost) / len(group.labels))
    assert cost(np.array(kept)) == pytest.approx(macs(channels, gone), rel=1e-9)
    assert cost(np.ones(len(kept))) == pytest.approx(macs(channels, set()), rel=1e-9)


TWO = """
    x: float32[1, 6, 6, 3] = input()
    w = random(8, 3, 3, 3)
    a = Conv2d(x, w, activation="relu")
    v = random(8, 3, 3, 8)
    b = Conv2d(a, v, activation="relu")
    u = random(4, 1, 1, 8)
    y = Conv2d(b, u)
    output(y)
"""


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_nearly_the_least_noise(share: float) -> None:
    cost = cost_model(Channels(parse(TWO)))
    noises = [np.linspace(0, 1, 8) ** 2, 3 * np.linspace(0, 1, 8) ** 2]
    groups = [Levels(8, tuple(range(8)), tuple(map(float, noise))) for noise in noises]
    budget = cost(np.ones(2)) * (1 - share)
    found = allocate(groups, cost, budget)
    assert found is not None
    possible = [p for p in product(range(8), range(8)) if cost(1 - np.array(p) / 8) <= budget]
    best = min(noises[0][a] + noises[1][b] for a, b in possible)
    assert tuple(found) in possible
    assert noises[0][found[0]] + noises[1][found[1]] <= 1.3 * best
    even = uniform(groups, cost, budget)
    assert even is not None
    assert even[0] == even[1]
    assert tuple(even) in possible


def test_what_cannot_be_reached() -> None:
    cost = cost_model(Channels(parse(TWO)))
    groups = [Levels(8, (0, 1), (0.0, 1.0))] * 2
    assert allocate(groups, cost, 1.0) is None
    assert uniform(groups, cost, 1.0) is None


@pytest.mark.parametrize(
    ("target", "liked"),
    [("raspberry-pi-4", 8), ("nucleo-l4r5zi", 4), ("corstone-300", 16), ("esp32-s3", 4)],
)
def test_what_kernels_like(target: str, liked: int) -> None:
    assert channel_multiple(load_target(target)) == liked


def test_narrow_layers_have_smaller_steps() -> None:
    assert [multiple_for(n, 8) for n in (8, 16, 32, 64, 96, 144, 6, 7)] == [1, 2, 4, 8, 8, 8, 1, 1]
