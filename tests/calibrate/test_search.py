"""Of all ways to the integers the best on samples set aside is kept."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.calibrate.effort import quantize_with_effort
from edgepack.calibrate.end_to_end import before_ends, can_tune
from edgepack.calibrate.search import moved
from edgepack.ir import Array, DType, Graph
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.progress import shown_by
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.plan import QuantPlan, plan_quantization
from edgepack.run.reference import ReferenceRuntime

pytest.importorskip("torch")

NET = """
    x: float32[1, 8, 8, 3] = input()
    w0 = random(8, 3, 3, 3)
    a = Conv2d(x, w0, pad=((1, 1), (1, 1)), activation="relu")
    w1 = random(8, 3, 3, 8)
    b = Conv2d(a, w1, pad=((1, 1), (1, 1)), activation="relu")
    m = ReduceMean(b, axes=(1, 2))
    w4 = random(5, 8)
    l = FullyConnected(m, w4)
    y = Softmax(l)
    output(y)
"""
W4A8 = QuantizeOptions(precision=Precision(DType.INT8, DType.INT4))


def _samples(count: int, seed: int) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal((1, 8, 8, 3), np.float32)] for _ in range(count)]


def _quantized(effort: int, options: QuantizeOptions = W4A8) -> tuple[Graph, QuantPlan]:
    graph = parse(NET)
    seen = collect(graph, _samples(16, 0), threads=1)
    plan = quantize_with_effort(
        graph, seen, options, lambda node, precision: True, _samples(32, 1), effort=effort,
        threads=1,
    )  # fmt: skip
    check(graph)
    return graph, plan


def _logits(graph: Graph, x: Array) -> Array:
    (entry,) = graph.inputs
    part = graph.copy()
    part.outputs = before_ends(part)
    part.remove_dead()
    given = x if entry.quant is None else entry.quant.quantize(x, entry.dtype)
    (y,), quant = ReferenceRuntime(part).run([given]), part.outputs[0].quant
    return y if quant is None else quant.dequantize(y)


def _noise(graph: Graph) -> float:
    """Of the logits, on samples that nothing has seen."""
    real = parse(NET)
    return sum(
        float(np.square(_logits(graph, x) - _logits(real, x)).sum()) for (x,) in _samples(16, 2)
    )


@pytest.fixture(scope="module")
def best() -> tuple[Graph, QuantPlan]:
    """What effort 3 gives."""
    return _quantized(3)


def test_more_effort_is_better(best: tuple[Graph, QuantPlan]) -> None:
    assert _noise(best[0]) < 0.8 * _noise(_quantized(0)[0])


def test_the_note_says_what_was_kept(best: tuple[Graph, QuantPlan]) -> None:
    (note,) = best[1].notes
    assert "the best on samples set aside" in note


def test_gives_the_same_again(best: tuple[Graph, QuantPlan]) -> None:
    again, _ = _quantized(3)
    for one, other in zip(best[0].constants(), again.constants(), strict=True):
        np.testing.assert_array_equal(one.const, other.const)
        assert one.quant == other.quant


def test_eight_bits_are_not_rounded_by_gradients() -> None:
    heard: set[str] = set()
    with shown_by(lambda done, total, what: heard.add(what)):
        _quantized(3, QuantizeOptions())
    assert "rounding layers" not in heard
    assert {"fitting layers", "tuning scales and biases"} <= heard


def test_what_ends_a_graph_hides_no_errors() -> None:
    graph, _ = _quantized(0)
    assert [v.name for v in before_ends(graph)] == ["l"]
    assert [v.name for v in before_ends(parse(NET))] == ["l"]


def test_gradients_must_reach_back() -> None:
    graph = parse("x: float32[1, 4] = input()\ny = Round(x)\nz = Relu(y)\noutput(z)")
    assert not can_tune(graph, graph.outputs)
    assert can_tune(parse(NET), parse(NET).outputs)


def test_a_plan_moves_to_a_copy_with_what_is_shared() -> None:
    graph = parse(NET)
    plan = plan_quantization(graph, collect(graph, _samples(4, 0), threads=1), W4A8)
    twin = graph.copy()
    other = moved(plan, graph, twin)
    assert set(other.precision) == set(twin.nodes)
    assert {v.name: s for v, s in other.own.items()} == {v.name: s for v, s in plan.own.items()}
    assert set(other.own) <= set(twin.values())
