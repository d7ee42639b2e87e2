"""Rounding found by gradients keeps outputs better than rounding to nearest, and repeatably so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgepack.calibrate.adaround import Schedule
from edgepack.calibrate.collect import collect
from edgepack.calibrate.end_to_end import TuneSchedule, replace_params
from edgepack.calibrate.reconstruct import Method, Reconstruction, reconstruct
from edgepack.errors import BadData, MissingDependency
from edgepack.ir import Array, DType, Graph, QuantParams
from edgepack.ir.text import parse
from edgepack.quantize.integer import quantize_integer
from edgepack.quantize.layers import WeightTable, nearest_weights
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.plan import QuantPlan, plan_quantization
from edgepack.run.reference import ReferenceRuntime

pytest.importorskip("torch")

RESIDUAL = """
    x: float32[1, 8, 8, 3] = input()
    w0 = random(16, 3, 3, 3)
    b0 = random(16)
    a = Conv2d(x, w0, b0, pad=((1, 1), (1, 1)), activation="relu")
    w1 = random(1, 3, 3, 16)
    b = DepthwiseConv2d(a, w1, pad=((1, 1), (1, 1)), activation="relu")
    w2 = random(16, 1, 1, 16)
    b2 = random(16)
    c = Conv2d(b, w2, b2)
    d = Add(a, c, activation="relu")
    s = DepthToSpace(d, block=2)
    p = MaxPool2d(s, kernel=(2, 2), stride=(2, 2))
    w3 = random(6, 3, 3, 2)
    e = Conv2d(p, w3, stride=(2, 2), groups=2)
    m = ReduceMean(e, axes=(1, 2))
    w4 = random(5, 6)
    y = FullyConnected(m, w4)
    output(y)
"""
W4A8 = QuantizeOptions(precision=Precision(DType.INT8, DType.INT4), integer_io=False)
LAYERS = Schedule(steps=100, rows=1024, batch=256)
TUNING = TuneSchedule(steps=60)


def _samples(graph: Graph, count: int, seed: int) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal(v.shape, np.float32) for v in graph.inputs] for _ in range(count)]


def _planned(graph: Graph, options: QuantizeOptions = W4A8) -> tuple[QuantPlan, WeightTable]:
    seen = collect(graph, _samples(graph, 16, 0), threads=1)
    plan = plan_quantization(graph, seen, options)
    return plan, nearest_weights(graph, plan, seen, options)


def _noise(graph: Graph, samples: Sequence[Sequence[Array]], methods: Sequence[Method]) -> float:
    """Power of the output's error against float after these methods; none: rounding to nearest."""
    plan, weights = _planned(graph)
    real = ReferenceRuntime(graph)
    wanted = [real.run(sample) for sample in samples]
    for method in methods:
        found = _reconstructed(graph, plan, weights, method)
        plan, weights = found.plan, found.weights
    quantize_integer(graph, plan, weights, W4A8)
    integer = ReferenceRuntime(graph)
    got = [integer.run(sample) for sample in samples]
    return float(np.square(np.array(got) - np.array(wanted)).mean())


def _reconstructed(
    graph: Graph, plan: QuantPlan, weights: WeightTable, method: Method
) -> Reconstruction:
    return reconstruct(
        graph,
        plan,
        weights,
        _samples(graph, 32, 1),
        method=method,
        threads=1,
        layers=LAYERS,
        tuning=TUNING,
    )


@pytest.mark.parametrize("method", ["layers", "tune"])
def test_each_method_helps_on_samples_it_has_not_seen(method: Method) -> None:
    fresh = _samples(parse(RESIDUAL), 16, 2)
    nearest, found = (_noise(parse(RESIDUAL), fresh, methods) for methods in ([], [method]))
    assert found < 0.9 * nearest


@pytest.mark.parametrize("method", ["layers", "tune"])
def test_gives_the_same_again_and_changes_nothing_it_was_given(method: Method) -> None:
    graph = parse(RESIDUAL)
    plan, weights = _planned(graph)
    own, stored = dict(plan.own), {name: w.stored.copy() for name, w in weights.items()}
    first, second = (_reconstructed(graph, plan, weights, method) for _ in range(2))
    assert plan.own == own
    assert first.plan.own == second.plan.own
    for name, layer in first.weights.items():
        np.testing.assert_array_equal(layer.stored, second.weights[name].stored)
        np.testing.assert_array_equal(layer.bias, second.weights[name].bias)
        np.testing.assert_array_equal(weights[name].stored, stored[name])


def test_integers_are_neighbours_of_the_real_weights() -> None:
    graph = parse(RESIDUAL)
    found = _reconstructed(graph, *_planned(graph), "layers")
    for node in graph.nodes:
        if node.name in found.weights:
            layer = found.weights[node.name]
            exact = node.input(1).const
            up = layer.params.dequantize(layer.stored + 1)
            down = layer.params.dequantize(layer.stored - 1)
            assert np.abs(layer.stored).max() <= 7
            assert ((down - 1e-5 <= exact) & (exact <= up + 1e-5)).all()


def test_values_that_share_parameters_still_do_after_the_search() -> None:
    graph = parse(RESIDUAL)
    found = _reconstructed(graph, *_planned(graph), "tune")
    own, values = found.plan.own, {v.name: v for v in graph.values()}
    assert own[values["d"]] == own[values["s"]] == own[values["p"]]


def test_a_learned_scale_reaches_all_values_that_share_it_and_no_other() -> None:
    graph = parse(RESIDUAL)
    plan, _ = _planned(graph)
    values, before = {v.name: v for v in graph.values()}, dict(plan.own)
    old = before[values["d"]].params
    assert old is not None
    new = QuantParams.per_tensor(0.123, -128)
    replace_params(plan, old, new)
    changed = {v.name for v, storage in plan.own.items() if storage != before[v]}
    assert changed == {"d", "s", "p"}
    assert all(plan.own[values[name]].params == new for name in changed)
    assert plan.methods["d"] == "learned"


def test_a_graph_that_gradients_cannot_pass_keeps_what_it_has() -> None:
    graph = parse("""
        x: float32[1, 4, 4, 2] = input()
        w = random(4, 1, 1, 2)
        a = Conv2d(x, w)
        r = Round(a)
        v = random(3, 1, 1, 4)
        y = Conv2d(r, v)
        output(y)
    """)
    plan, weights = _planned(graph)
    found = _reconstructed(graph, plan, weights, "tune")
    assert set(found.weights) == set(weights)


def test_needs_samples() -> None:
    graph = parse(RESIDUAL)
    plan, weights = _planned(graph)
    with pytest.raises(BadData, match="nothing to reconstruct from"):
        reconstruct(graph, plan, weights, [])


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    graph = parse(RESIDUAL)
    plan, weights = _planned(graph)
    with pytest.raises(MissingDependency, match=r"edgepack\[torch\]"):
        reconstruct(graph, plan, weights, _samples(graph, 1, 0))
