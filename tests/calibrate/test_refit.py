"""Layers that are fitted to what is left of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from equivalence import inputs_for
from pruning_nets import COUPLED, net

from edgepack.calibrate.pruning_moments import compensate, input_moments
from edgepack.calibrate.pruning_noise import OutputNoise
from edgepack.calibrate.refit import refit
from edgepack.calibrate.standing_in import stand_in
from edgepack.compress.coupling import Keep
from edgepack.compress.frame import Context
from edgepack.compress.removal import Channels, remove
from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.profiles import load_target

TWINS = net("""
    w2 = random(8, 1, 1, 8)
    z = Conv2d(a, w2, activation="relu")
""")


def samples(graph: Graph, count: int) -> list[list[np.ndarray]]:
    return [inputs_for(graph, seed) for seed in range(count)]


def with_copies(text: str) -> Graph:
    """The net, with the last four channels of `a` equal to the first four."""
    graph = parse(text)
    node = next(n for n in graph.nodes if n.name == "a")
    for index in (1, 2):
        data = node.input(index).const
        node.set_input(index, graph.constant(np.concatenate([data[:4], data[:4]]), "twin"))
    return graph


@pytest.mark.parametrize("step", ["compensate", "refit"])
def test_what_others_know_is_made_good(step: str) -> None:
    """Channels with a copy can go: the outputs stay, for inputs never seen too."""
    channels = Channels(with_copies(TWINS))
    some = samples(channels.graph, 10)
    (group, _) = channels.groups
    gone = set(group.labels[4:])
    pruned = channels.graph.copy()
    remove(pruned, channels, gone)
    meter = OutputNoise(channels.graph, samples(channels.graph, 20)[10:])
    cut = meter.of(pruned)
    if step == "compensate":
        seen = input_moments(channels.graph, some, {"z"})
        compensate(pruned, channels, gone, seen)
    else:
        assert refit(pruned, channels, Keep(channels.coupling, gone), some) >= 1
    assert cut > 0.1
    assert meter.of(pruned) < 1e-3 * cut


@pytest.mark.parametrize(
    "name",
    ["a residual addition", "a depthwise layer", "a grouped layer", "squeeze and excite",
     "a concatenation", "a flattened picture", "a transposed layer"],
)  # fmt: skip
def test_fitting_lowers_the_error(name: str) -> None:
    channels = Channels(parse(COUPLED[name]))
    some = samples(channels.graph, 40)
    gone = {label for g in channels.groups for label in g.labels[: max(1, len(g.labels) // 4)]}
    pruned = channels.graph.copy()
    remove(pruned, channels, gone)
    meter = OutputNoise(channels.graph, samples(channels.graph, 60)[40:])
    cut = meter.of(pruned)
    refit(pruned, channels, Keep(channels.coupling, gone), some)
    assert meter.of(pruned) < cut


def test_nothing_gone_is_nothing_to_fit() -> None:
    channels = Channels(parse(COUPLED["a residual addition"]))
    twin = channels.graph.copy()
    assert refit(twin, channels, Keep(channels.coupling, ()), samples(twin, 4)) == 0


def test_without_data_there_is_a_stand_in_and_a_way_back() -> None:
    from edgepack.calibrate.standing_in import true_weights
    from edgepack.ir.graph import ChannelMoments

    graph = parse(COUPLED["a chain"])
    graph.source.batch_moments["a"] = ChannelMoments(np.full(8, 0.5), np.full(8, 2.0))
    context = Context(load_target("raspberry-pi-4"), lambda: iter(()), False)
    twin, corrections = stand_in(graph, context)
    assert set(corrections) == {"a"}
    back, channels = graph.copy(), Channels(twin)
    true_weights(back, twin, corrections, Keep(channels.coupling, ()), channels)
    for one, other in zip(graph.nodes, back.nodes, strict=True):
        for a, b in zip(one.present_inputs[1:], other.present_inputs[1:], strict=False):
            np.testing.assert_allclose(a.const, b.const, rtol=1e-4, atol=1e-4)
