"""Outputs of very different parts: each keeps its own scale, up to the output in float."""

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.calibrate.prepare import prepare
from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.tails import find_tails, levelled_values
from edgepack.run.reference import ReferenceRuntime
from edgepack.validation.interface import Interface
from tests.noise import sqnr_db

BOXES = """
    x: float32[1, 4, 4, 8] = input()
    w = random(4, 1, 1, 8)
    v = random(6, 1, 1, 8)
    b = Conv2d(x, w)
    k = full(160.0, 1)
    p = Mul(b, k)
    s = Sigmoid(b)
    c = Concat(p, s, axis=3)
    r = Reshape(c, shape=(1, 16, 8))
    y = Transpose(r, perm=(0, 2, 1))
    output(y)"""
UNITS = """
    x: float32[1, 8] = input()
    w = random(4, 8)
    b = random(4)
    y = FullyConnected(x, w, b)
    output(y)"""
GROWS = """
    x: float32[1, 8] = input()
    w = random(4, 8)
    a = FullyConnected(x, w)
    y = Exp(a)
    output(y)"""
SIZES = np.float32([1e-3, 1.0, 50.0, 4000.0])


def made(text, units=False):
    graph = parse(text)
    legalize_tflite(graph)
    if units:
        layer = graph.nodes_of("FullyConnected")[0]
        layer.set_input(1, graph.constant(layer.input(1).const * SIZES[:, None]))
        layer.set_input(2, graph.constant(layer.input(2).const * SIZES))
    return graph, samples_of(graph)


def samples_of(graph):
    rng = np.random.default_rng(0)
    shape = graph.inputs[0].shape
    return [[rng.standard_normal(shape).astype(np.float32)] for _ in range(30)]


def outputs(graph, samples):
    runtime, interface = ReferenceRuntime(graph), Interface.of(graph)
    feeds = (interface.encoded({"x": sample[0]}, "graph") for sample in samples)
    return np.concatenate([runtime.run(feed)[0] for feed in feeds])


CASES = {
    "boxes and scores": (BOXES, False, ["Concat", "Reshape", "Transpose"], 25.0),
    "channels in different units": (UNITS, True, ["Mul"], 30.0),
    "an exponential": (GROWS, False, ["Exp"], 20.0),
}


@pytest.mark.parametrize("case", CASES)
def test_every_part_keeps_its_bits(case):
    text, units, ops, least = CASES[case]
    graph, samples = made(text, units)
    expected = outputs(graph, samples)
    prepared = prepare(graph, samples, samples, takes_float=lambda node: True)
    named = {node.name: node.op for node in graph.nodes}
    assert sorted(named[name] for name in prepared.layers) == sorted(ops)
    assert len(prepared.notes) == 1
    assert sqnr_db(expected, outputs(graph, samples)) > 120  # float32's own rounding
    result = graph.copy()
    options = QuantizeOptions(layers=prepared.layers)
    quantize_nearest(result, prepared.seen, options)
    assert [v.name for v in result.outputs] == ["y"]
    found = outputs(result, samples)
    axis = 1
    for part in range(expected.shape[axis]):
        pair = (np.take(a, part, axis=axis) for a in (expected, found))
        assert sqnr_db(*([a] for a in pair)) > least


@pytest.mark.parametrize("case", CASES)
def test_without_float_kernels_there_is_a_warning_with_the_remedy(case):
    text, units, _, _ = CASES[case]
    graph, samples = made(text, units)
    size = len(graph)
    prepared = prepare(graph, samples, samples)
    assert not prepared.layers
    assert len(graph) == size
    assert "--io float" in prepared.warnings[0]


DECLINES = {
    "parts alike": BOXES.replace("160.0", "0.5"),
    "channels alike": UNITS,
    "not at the end": BOXES.replace("output(y)", "z = Relu(y)\n    output(z)"),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case):
    graph, samples = made(DECLINES[case])
    assert find_tails(graph, collect(graph, samples, channels=levelled_values(graph))) == []
