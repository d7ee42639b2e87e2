"""Few values for weights: what they are, what they cost, and that zeros stay."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edgepack.api.lower import canonical, lower
from edgepack.api.options import ExportOptions
from edgepack.calibrate.cluster import cluster_weights
from edgepack.compress.levels import fit_levels, fit_table
from edgepack.compress.packing import pack_weights, stored_for
from edgepack.ir import DType
from edgepack.ir.check import check
from edgepack.profiles import load_target
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite
from tests.small_models import TARGET, net

X = np.random.default_rng(0).random((24, 8, 8, 3), np.float32)


def int8_net():
    """The small classifier as int8, with its sixteen samples as the graph takes them."""
    graph = lower(canonical(net()), load_target(TARGET), ExportOptions(calibration=X)).graph
    return graph, [[x[None]] for x in X]


def layers_of(graph):
    return [n for n in graph.nodes if n.op in ("Conv2d", "FullyConnected")]


def squared_error(values, mass, levels):
    return (mass * np.square(values[:, None] - np.asarray(levels)).min(axis=1)).sum()


@given(st.lists(st.integers(-12, 12), min_size=1, max_size=7), st.integers(1, 3), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_levels_are_the_best_there_are(points, entries, seed):
    values = np.array(points, np.float64)
    mass = np.random.default_rng(seed).uniform(0.1, 2, len(values))
    found = fit_levels(values, mass, entries, zero=False)
    span = range(int(values.min()), int(values.max()) + 1)
    best = min(
        squared_error(values, mass, tried)
        for tried in itertools.combinations_with_replacement(span, entries)
    )
    assert squared_error(values, mass, found) <= best + 1e-9


def test_zero_is_a_level_where_it_is_asked_for():
    values = np.random.default_rng(0).uniform(5, 100, 50)
    levels = fit_levels(values, np.ones(50), 4, zero=True)
    assert 0 in levels
    assert len(levels) == 4


def test_refitted_scales_err_less():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((1, 6, 40)) * rng.uniform(0.1, 3, (1, 6, 1))
    weight = rng.uniform(0.5, 2, (1, 40))
    scale = np.abs(w).max(axis=2) / 127
    errors = []
    for refit in (False, True):
        levels, s = fit_table(w, weight, scale, 8, zero=False, refit=refit)
        stored = levels[np.abs((w / s[:, :, None])[..., None] - levels).argmin(axis=-1)]
        errors.append((weight * np.square(stored * s[:, :, None] - w)).sum())
    assert errors[1] < errors[0]


@pytest.mark.parametrize("entries", [2, 3, 8, 16, 100])
def test_layers_have_few_values_and_the_graph_stays_legal(entries):
    graph, samples = int8_net()
    names = [n.name for n in layers_of(graph)]
    found = cluster_weights(graph, dict.fromkeys(names, entries), samples)
    check(graph)
    assert dict(found.refused) == {}
    for node in layers_of(graph):
        assert found.values[node.name] == len(np.unique(node.input(1).const)) <= entries
        assert node.input(1).dtype is DType.INT8


def sqnr(graph, other, samples):
    outputs = []
    for g in (graph, other):
        runtime = LiteRTRuntime(write_tflite(g))
        quant = g.inputs[0].quant
        fed = (s[0] if quant is None else quant.quantize(s[0], g.inputs[0].dtype) for s in samples)
        outputs.append(np.stack([runtime.run([x])[0].astype(np.float64) for x in fed]))
    noise = np.square(outputs[0] - outputs[1]).sum()
    return np.inf if noise == 0 else 10 * np.log10(np.square(outputs[0]).sum() / noise)


def test_more_values_err_less_and_as_many_as_there_are_change_nothing():
    graph, samples = int8_net()
    names = [n.name for n in layers_of(graph)]
    decibels = []
    for entries in (4, 16, 128, 256):
        twin = graph.copy()
        cluster_weights(twin, dict.fromkeys(names, entries), samples)
        decibels.append(sqnr(graph, twin, samples))
    assert decibels == sorted(decibels)
    assert decibels[-1] > 40


def test_pruned_weights_stay_zero():
    graph, samples = int8_net()
    masks = {}
    for node in layers_of(graph):
        data = node.input(1).const.copy()
        data[np.abs(data) < 40] = 0
        masks[node.name] = data == 0
        node.set_input(1, graph.constant(data, node.input(1).name, node.input(1).quant))
    cluster_weights(graph, dict.fromkeys(masks, 8), samples)
    for node in layers_of(graph):
        assert not node.input(1).const[masks[node.name]].any()


def test_other_weights_are_refused_with_the_reason():
    graph, samples = int8_net()
    conv = graph.nodes_of("Conv2d")[0]
    conv.input(1).dtype = DType.INT4
    conv.set_input(
        1, graph.constant(np.zeros(conv.input(1).shape, np.int8), "w", conv.input(1).quant)
    )
    conv.input(1).dtype = DType.INT4
    found = cluster_weights(graph, {conv.name: 4}, samples)
    assert "int4" in found.refused[conv.name]


def test_only_what_saves_is_packed():
    graph, samples = int8_net()
    names = [n.name for n in layers_of(graph)]
    cluster_weights(graph, dict.fromkeys(names, 4), samples)
    outcome = pack_weights(graph, ("lut",))
    packed = [n.name for n in layers_of(graph) if n.input(1).packed]
    assert len(outcome.changed) == len(packed)
    assert len(packed) + len(outcome.refused) == len(names)
    elsewhere = stored_for(load_target("raspberry-pi-4"), graph)
    assert not any(v.packed for v in elsewhere.constants())
