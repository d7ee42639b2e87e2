"""Layers in factors: at full rank nothing changes, below it the error is what was said."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edgepack.compress.factorize import (
    Layer,
    Split,
    choose,
    elements_of,
    error_of,
    factors,
    rank_for_energy,
    saves,
    splits,
)
from edgepack.compress.split import split_layer
from edgepack.compress.vbmf import vbmf_rank
from edgepack.ir import Graph
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.run.reference import ReferenceRuntime

CONV = """
    x: float32[1, 9, 8, 6] = input()
    w = random(10, 3, 3, 6)
    b = random(10)
    y = Conv2d(x, w, b, stride=(2, 1), pad=((1, 1), (0, 1)), dilation=(1, 2), activation="relu")
    output(y)
"""
DENSE = """
    x: float32[1, 3, 4] = input()
    w = random(7, 12)
    b = random(7)
    y = FullyConnected(x, w, b, activation="relu6", flatten=True)
    output(y)
"""


def layer_of(graph: Graph, seed=None) -> Layer:
    """The first layer; with a seed on inputs that have a covariance."""
    w = graph.nodes[0].input(1).const
    flat = w.reshape(len(w), -1).astype(np.float64)
    gram = np.eye(flat.shape[1])
    if seed is not None:
        x = np.random.default_rng(seed).standard_normal((flat.shape[1] * 3, flat.shape[1]))
        x *= np.geomspace(1, 0.1, flat.shape[1])
        gram = x.T @ x / len(x)
    return Layer(flat, 9 if w.ndim == 4 else 1, gram, gram)


def run(graph: Graph, x):
    return ReferenceRuntime(graph).run([x])[0]


@pytest.mark.parametrize("text", [CONV, DENSE], ids=["conv", "dense"])
@pytest.mark.parametrize("form", ["svd", "tucker"])
def test_full_rank_is_the_identity(text, form):
    graph = parse(text)
    layer = layer_of(graph, seed=1)
    if form == "tucker" and layer.positions == 1:
        pytest.skip("a dense layer has no window")
    x = np.random.default_rng(0).standard_normal(graph.inputs[0].shape).astype(np.float32)
    wanted = run(graph, x)
    assert (wanted > 0).mean() > 0.2
    node = graph.nodes[0]
    found = factors(layer, Split(0, 0.0, form, layer.full_rank, layer.channels))
    np.testing.assert_allclose(found.product, layer.w, atol=1e-9)
    split_layer(graph, node, found, node.input(2).const)
    graph.sort()
    check(graph)
    assert len(graph.nodes) == (3 if form == "tucker" else 2)
    np.testing.assert_allclose(run(graph, x), wanted, atol=2e-4)


@pytest.mark.parametrize("form", ["svd", "tucker", "cp"])
@given(st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=8, deadline=None)
def test_the_new_layers_are_the_product(form, rank, reduced):
    graph = parse(CONV)
    layer = layer_of(graph, seed=rank)
    found = factors(layer, Split(0, 0.0, form, min(rank, 9 * reduced), reduced))
    x = np.random.default_rng(rank).standard_normal(graph.inputs[0].shape).astype(np.float32)
    whole = graph.copy()
    node = whole.nodes[0]
    product = found.product.reshape(node.input(1).shape).astype(np.float32)
    node.set_input(1, whole.constant(product, "product"))
    split_layer(graph, graph.nodes[0], found, node.input(2).const)
    graph.sort()
    check(graph)
    size = sum(n.input(1).size for n in graph.nodes)
    assert size == elements_of(layer, form, len(found.rows), reduced)
    wanted = run(whole, x)
    np.testing.assert_allclose(run(graph, x), wanted, atol=2e-4 * (1 + np.abs(wanted).max()))


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_svd_is_the_best_of_its_rank_on_these_inputs(seed):
    layer = layer_of(parse(DENSE), seed)
    rng = np.random.default_rng(seed)
    for rank in (1, 3, 5):
        best = error_of(layer, factors(layer, Split(0, 0.0, "svd", rank)))
        rows = factors(layer, Split(0, 0.0, "svd", rank)).rows
        other = rows + 0.1 * rng.standard_normal(rows.shape) * np.abs(rows).mean()
        last = np.linalg.lstsq(
            (other @ layer.gram @ other.T), (other @ layer.gram @ layer.w.T), rcond=None
        )[0].T
        lost = layer.w - last @ other
        power = np.einsum("on,nm,om->", layer.w, layer.gram, layer.w)
        assert best <= np.einsum("on,nm,om->", lost, layer.gram, lost) / power + 1e-3


def test_errors_are_those_that_were_told_and_fall_with_the_rank():
    layer = layer_of(parse(CONV), seed=3)
    for form in ("svd", "tucker"):
        found = [s for s in splits(layer, (form,)) if s.form == form]
        assert found
        for split in found:
            assert error_of(layer, factors(layer, split)) == pytest.approx(split.error, abs=5e-3)
            assert saves(layer, split)
            assert split.elements < layer.w.size


def test_errors_that_the_model_throws_away_cost_nothing():
    plain = layer_of(parse(DENSE), seed=0)
    effects = np.eye(7)[:2]  # only the first two outputs are looked at
    seen = Layer(plain.w, 1, plain.gram, plain.gram, effects)
    lost = [np.abs((la.w - factors(la, Split(0, 0.0, "svd", 2)).product)[:2]).max()
            for la in (plain, seen)]  # fmt: skip
    assert lost[1] < 0.1 * lost[0]


def test_the_budget_is_kept_with_the_least_loss():
    candidates = {
        "a": [Split(100, 0.0), Split(60, 0.01), Split(30, 0.4)],
        "b": [Split(100, 0.0), Split(50, 0.2), Split(20, 0.3)],
    }
    chosen = choose(candidates, 170)
    assert chosen["a"].elements == 60
    assert sum(s.elements for s in chosen.values()) <= 170
    assert sum(s.elements for s in choose(candidates, 0).values()) == 50


def test_ranks_without_a_threshold():
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((40, 6)) @ rng.standard_normal((6, 90))
    assert vbmf_rank(clean + 0.3 * rng.standard_normal(clean.shape)) == 6
    assert vbmf_rank(np.zeros((4, 4))) == 1
    w = np.diag([3.0, 2.0, 1.0])
    assert [rank_for_energy(Layer(w, 1, np.eye(3), np.eye(3)), s) for s in (0.5, 0.9, 1.0)] == [
        1, 2, 3,
    ]  # fmt: skip
