"""Evening out channels: the function stays, and what shared one scale gets its bits back."""

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.smooth import smooth, smoothed_values
from edgepack.run.reference import ReferenceRuntime
from tests.noise import sqnr_db

NORM = """
    x: float32[1, 6, 16] = input()
    g = random(16)
    b = random(16)
    n = LayerNorm(x, g, b)
    w = random(8, 16)
    v = random(4, 16)
    y = FullyConnected(n, w)
    z = FullyConnected(n, v)
    output(y, z)"""
PARTS = """
    x: float32[1, 6, 6, 4] = input()
    w = random(8, 3, 3, 4)
    b = random(8)
    s = Conv2d(x, w, b, activation="relu")
    m = MaxPool2d(s, kernel=(2, 2), stride=(2, 2))
    t = Conv2d(x, w, b)
    p = AveragePool2d(t, kernel=(2, 2), stride=(2, 2))
    c = Concat(m, p, axis=3)
    d = Pad(c, pads=((0, 0), (0, 1), (0, 1), (0, 0)))
    v = random(4, 1, 1, 16)
    y = Conv2d(d, v)
    output(y)"""
APPLIES = {
    "normalization": (NORM, "n", [("Mul", -1, 1, 3, 40.0), ("Add", -1, 1, 3, 40.0)]),
    "concatenation": (PARTS, "c", [
        ("Conv2d", 0, 1, ..., 0.01), ("Conv2d", 0, 2, ..., 0.01),
        ("Conv2d", -1, 1, slice(0, 8), 100.0),
    ]),
}  # fmt: skip
DECLINES = {
    "another reader": NORM.replace("output(y, z)", "a = Add(n, x)\n    output(y, z, a)"),
    "an output": NORM.replace("output(y, z)", "output(y, z, n)"),
    "a clamp that is not homogeneous": PARTS.replace('"relu"', '"relu6"'),
    "a part that is read elsewhere too": PARTS.replace("output(y)", "output(y, p)"),
    "a grouped layer": PARTS.replace("random(4, 1, 1, 16)", "random(4, 1, 1, 8)").replace(
        "Conv2d(d, v)", "Conv2d(d, v, groups=2)"
    ),
}


def uneven(text, changes):
    """The graph with constants of its first nodes of an operator scaled."""
    graph = parse(text)
    legalize_tflite(graph)
    for op, which, index, channels, factor in changes:
        node = graph.nodes_of(op)[which]
        data = node.input(index).const.copy()
        data[channels if channels is ... else (..., channels)] *= factor
        node.set_input(index, graph.constant(data))
    return graph


def samples_of(graph):
    rng = np.random.default_rng(0)
    return [[rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs]
            for _ in range(20)]  # fmt: skip


def outputs(graph, samples):
    runtime = ReferenceRuntime(graph)
    return [y for sample in samples for y in runtime.run(sample)]


def quantized(graph, samples):
    result = graph.copy()
    quantize_nearest(result, collect(graph, samples), QuantizeOptions(integer_io=False))
    return result


@pytest.mark.parametrize("case", APPLIES)
def test_float_stays_and_int8_gets_better(case):
    text, name, changes = APPLIES[case]
    graph = uneven(text, changes)
    samples = samples_of(graph)
    before = outputs(graph, samples)
    rough = sqnr_db(before, outputs(quantized(graph, samples), samples))
    changed = smooth(graph, collect(graph, samples, channels=smoothed_values(graph)))
    assert changed == (name,)
    assert sqnr_db(before, outputs(graph, samples)) > 110  # float32's own rounding
    assert sqnr_db(before, outputs(quantized(graph, samples), samples)) > rough + 3


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case):
    graph = parse(DECLINES[case])
    legalize_tflite(graph)
    assert not smoothed_values(graph)


def test_leaves_even_channels_alone():
    graph = parse(PARTS)
    legalize_tflite(graph)
    samples = samples_of(graph)
    assert smooth(graph, collect(graph, samples, channels=smoothed_values(graph))) == ()
