"""What samples show of each value, and what nodes compute in."""

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.ir import DType, QuantParams
from edgepack.ir.text import parse
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import INTEGER_SCHEMES, QuantizeOptions
from edgepack.validation.layers import ValueFacts, layer_facts, layer_infos, node_scheme

NET = """
    x: float32[1, 6, 6, 4] = input()
    w = random(8, 3, 3, 4)
    b = random(8)
    c = Conv2d(x, w, b, activation="relu")
    s = MaxPool2d(c, kernel=(2, 2), stride=(2, 2))
    output(s)"""
UNIT = QuantParams.per_tensor(1.0, 0)


def test_what_is_further_than_half_a_step_outside_counts_as_clipped():
    facts = ValueFacts(UNIT, DType.INT8)
    real = np.array([[-129.0, -128.4, 0.0, 127.4]], np.float32)
    facts.add(real, UNIT.quantize(real, DType.INT8))
    assert facts.saturation == 0.25
    assert facts.range == (-129.0, np.float32(127.4))


def test_a_channel_that_never_changes_is_dead():
    facts = ValueFacts(UNIT, DType.INT8)
    real = np.stack([np.arange(8), np.full(8, 3)], axis=-1).astype(np.float32)
    facts.add(real, UNIT.quantize(real, DType.INT8))
    assert facts.dead_channels == 1


def test_one_sample_of_a_vector_does_not_tell_of_dead_channels():
    facts = ValueFacts(UNIT, DType.INT8)
    real = np.ones((1, 5), np.float32)
    facts.add(real, real.astype(np.int8))
    assert facts.dead_channels is None


def test_values_that_stay_real_are_never_saturated():
    facts = ValueFacts(None, DType.FLOAT32)
    real = np.full((1, 5), 1e9, np.float32)
    facts.add(real, real)
    assert facts.saturation is None
    assert facts.sqnr_db is None


@pytest.mark.parametrize("scheme", INTEGER_SCHEMES)
def test_layers_of_every_integer_scheme_have_all_figures(scheme):
    real = parse(NET)
    rng = np.random.default_rng(1)
    data = [[rng.normal(size=(1, 6, 6, 4)).astype(np.float32)] for _ in range(4)]
    graph = real.copy()
    quantize_nearest(graph, collect(real, data), QuantizeOptions(precision=INTEGER_SCHEMES[scheme]))
    (given,) = graph.inputs
    pairs = [(inputs, [given.quant.quantize(inputs[0], given.dtype)]) for inputs in data]
    infos = layer_infos(graph, layer_facts(real, graph, pairs), {})
    conv = infos[0]
    assert conv.scheme == ("int8" if scheme == "mixed" else scheme)
    assert conv.sqnr_db is not None
    assert conv.sqnr_db > 10
    assert conv.range is not None
    assert conv.range[0] == 0.0
    assert conv.saturation == 0.0
    assert conv.dead_channels == 0


SCHEMES = {
    "float": ("x: float32[1, 4] = input()\ny = Relu(x)\noutput(y)", "float"),
    "indices": (
        "x: float32[1, 4] = input()\ny = ArgMax(x, axis=1)\noutput(y)",
        "float",
    ),
    "converts": (
        'x: float32[1, 4] = input()\ny = Quantize(x, to="int8")\noutput(y)',
        None,
    ),
}


@pytest.mark.parametrize(("text", "expected"), SCHEMES.values(), ids=SCHEMES)
def test_what_a_node_computes_in(text, expected):
    assert node_scheme(parse(text).nodes[0]) == expected
