"""Channels that are removed: the graph is legal, and computes what it did with them silenced."""

from __future__ import annotations

import numpy as np
import pytest
from equivalence import assert_equal_outputs, inputs_for
from hypothesis import given, settings
from hypothesis import strategies as st
from pruning_nets import COUPLED, STOPPED

from edgepack.compress.coupling import Keep
from edgepack.compress.removal import Channels, remove
from edgepack.ir import Graph
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.run.reference import ReferenceRuntime


def silenced(channels: Channels, gone: set[int]) -> Graph:
    """A copy whose layers have zeros where they read what is gone."""
    graph, keep = channels.graph.copy(), Keep(channels.coupling, gone)
    for node, twin in zip(channels.graph.nodes, graph.nodes, strict=True):
        if node.op in ("Conv2d", "ConvTranspose2d", "FullyConnected"):
            mask = keep.along(channels.columns(node))
            mask = mask.reshape(node.attrs.get("groups", 1), -1)[0]
            twin.set_input(1, graph.constant(node.input(1).const * mask.astype(np.float32), "w"))
    return graph


def pruned(channels: Channels, gone: set[int]) -> Graph:
    graph = channels.graph.copy()
    remove(graph, channels, gone)
    check(graph)
    return graph


def assert_as_silenced(channels: Channels, gone: set[int]) -> None:
    inputs = inputs_for(channels.graph)
    wanted = ReferenceRuntime(silenced(channels, gone)).run(inputs)
    assert_equal_outputs(wanted, ReferenceRuntime(pruned(channels, gone)).run(inputs))


@pytest.mark.parametrize("text", COUPLED.values(), ids=COUPLED.keys())
def test_some_channels_of_every_group(text: str) -> None:
    channels = Channels(parse(text))
    assert channels.groups
    gone = {label for group in channels.groups for label in group.labels[: len(group.labels) // 2]}
    before, after = channels.graph.nodes, pruned(channels, gone).nodes
    assert [n.op for n in before] == [n.op for n in after]
    assert sum(v.size for n in after for v in n.outputs) < sum(
        v.size for n in before for v in n.outputs
    )
    assert_as_silenced(channels, gone)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(list(COUPLED)))
def test_any_channels(data: st.DataObject, name: str) -> None:
    channels = Channels(parse(COUPLED[name]))
    gone: set[int] = set()
    for group in channels.groups:
        most = len(group.labels) - 1
        gone |= data.draw(st.sets(st.sampled_from(group.labels), max_size=most))
    assert_as_silenced(channels, gone)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), name=st.sampled_from(list(COUPLED)))
def test_one_removal_after_another(data: st.DataObject, name: str) -> None:
    graph = parse(COUPLED[name])
    for _ in range(3):
        channels = Channels(graph)
        if not channels.groups:
            break
        group = data.draw(st.sampled_from(channels.groups))
        graph = pruned(channels, set(group.labels[:1]))
    ReferenceRuntime(graph).run(inputs_for(graph))


@pytest.mark.parametrize("text", COUPLED.values(), ids=COUPLED.keys())
def test_nothing_removed_is_the_same_graph(text: str) -> None:
    channels = Channels(parse(text))
    graph = pruned(channels, set())
    for a, b in zip(channels.graph.values(), graph.values(), strict=True):
        assert (a.name, a.shape) == (b.name, b.shape)
        assert a.data is b.data


@pytest.mark.parametrize(("text", "why"), STOPPED.values(), ids=STOPPED.keys())
def test_what_stops_a_group(text: str, why: str) -> None:
    channels = Channels(parse(text))
    assert channels.group_of("a") is None
    node = next(n for n in channels.graph.nodes if n.name == "a")
    assert why in channels.why_not(node)


def test_channels_that_go_together() -> None:
    """The residual stream is one group, made by both layers; the shortcut's padding goes along."""
    channels = Channels(parse(COUPLED["a residual addition"]))
    (group,) = channels.groups
    assert [n.name for n in group.makers] == ["a", "c"]
    assert [n.name for n in group.readers] == ["c", "y"]
    channels = Channels(parse(COUPLED["a shortcut with padded channels"]))
    assert [(g.name, len(g.labels)) for g in channels.groups] == [("a", 8), ("c", 8)]


def test_statistics_of_channels_are_kept_in_step() -> None:
    from edgepack.ir.graph import ChannelMoments

    graph = parse(COUPLED["a chain"])
    graph.source.batch_moments["a"] = ChannelMoments(np.arange(8.0), np.arange(8.0) + 1)
    channels = Channels(graph)
    group = channels.group_of("a")
    assert group is not None
    after = pruned(channels, {group.labels[2]}).source.batch_moments["a"]
    assert after.mean.tolist() == [0, 1, 3, 4, 5, 6, 7]
