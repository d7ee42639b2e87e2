"""Integer graphs before and after their layers are fitted, on inputs that were not used for it."""

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.calibrate.sequential import refine
from edgepack.ir import DType
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import INTEGER_SCHEMES, QuantizeOptions
from edgepack.run.reference import ReferenceRuntime

CASES = {
    "convolutions": """
        x: float32[1, 12, 12, 3] = input()
        w = random(16, 3, 3, 3)
        b = random(16)
        c = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation="relu")
        d = random(1, 3, 3, 32)
        e = random(32)
        m = DepthwiseConv2d(c, d, e, stride=(2, 2), pad=((0, 1), (0, 1)), activation="relu6")
        p = random(8, 1, 1, 32)
        y = Conv2d(m, p)
        output(y)""",
    "groups": """
        x: float32[1, 10, 10, 8] = input()
        w = random(12, 3, 3, 4)
        b = random(12)
        c = Conv2d(x, w, b, groups=2, activation="relu")
        v = random(8, 3, 3, 12)
        y = Conv2d(c, v)
        output(y)""",
    "residual and dense": """
        x: float32[1, 8, 8, 8] = input()
        w = random(8, 3, 3, 8)
        b = random(8)
        c = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation="relu")
        a = Add(c, x)
        m = ReduceMean(a, axes=(1, 2))
        v = random(10, 8)
        y = FullyConnected(m, v)
        output(y)""",
}


def inputs(graph, count, seed):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((graph.inputs[0].shape[-1],) * 2)
    return [
        [(rng.standard_normal(graph.inputs[0].shape) @ mixing).astype(np.float32)]
        for _ in range(count)
    ]


def quantized(graph, scheme, samples):
    result = graph.copy()
    options = QuantizeOptions(INTEGER_SCHEMES[scheme], integer_io=False)
    quantize_nearest(result, collect(graph, samples), options)
    return result


def noise(graph, real, samples):
    pairs = ((ReferenceRuntime(g).run(s)[0] for g in (graph, real)) for s in samples)
    return sum(float(np.square(found - true).sum()) for found, true in pairs)


# What is left of the noise on inputs that were not used; 8-bit noise is mostly the activations'.
BOUNDS = {
    ("convolutions", "int8"): 0.96,
    ("convolutions", "w4a8"): 0.7,
    ("groups", "int8"): 0.98,
    ("groups", "w4a8"): 0.7,
    ("residual and dense", "w4a8"): 0.55,
}


@pytest.mark.parametrize(("case", "scheme"), BOUNDS)
def test_outputs_err_less(case, scheme):
    real = parse(CASES[case])
    drawn = inputs(real, 96, 0)
    samples, unseen = drawn[:32], drawn[32:]
    graph = quantized(real, scheme, samples)
    before = noise(graph, real, unseen)
    layers = sum(node.op in ("Conv2d", "DepthwiseConv2d", "FullyConnected") for node in real.nodes)
    assert refine(graph, real, samples) == layers
    check(graph)
    assert noise(graph, real, unseen) < BOUNDS[case, scheme] * before


def test_without_rounding_only_biases_change():
    real = parse(CASES["convolutions"])
    samples = inputs(real, 8, 1)
    graph = quantized(real, "int8", samples)
    weights = [node.input(1) for node in graph.nodes if node.op.endswith("Conv2d")]
    biases = [node.optional(2) for node in graph.nodes if node.op.endswith("Conv2d")]
    refine(graph, real, samples, rounding=False)
    after = [node for node in graph.nodes if node.op.endswith("Conv2d")]
    assert [node.input(1) for node in after] == weights
    assert [node.optional(2) for node in after] != biases


def test_a_shifted_mean_is_put_back():
    real = parse(CASES["residual and dense"])
    samples = inputs(real, 16, 2)
    graph = quantized(real, "int8", samples)
    (conv,) = graph.nodes_of("Conv2d")
    bias = conv.input(2)
    wrong = graph.constant(bias.const + np.int32(0.3 / bias.quant.scale.min()), "off", bias.quant)
    conv.set_input(2, wrong)
    off = noise(graph, real, samples)
    refine(graph, real, samples, rounding=False)
    assert noise(graph, real, samples) < 0.1 * off


def test_the_same_seed_gives_the_same_integers():
    real = parse(CASES["groups"])
    samples = inputs(real, 8, 3)
    found = []
    for _ in range(2):
        graph = quantized(real, "w4a8", samples)
        refine(graph, real, samples, seed=7)
        found.append([v.const.tobytes() for v in graph.constants()])
    assert found[0] == found[1]
    assert all(v.dtype is DType.INT4 for v in graph.constants() if v.rank == 4)


@pytest.mark.parametrize(("scheme", "clips"), {"int8": False, "w4a8": True}.items())
def test_only_few_bits_clip_a_weight_whose_input_the_samples_do_not_show(scheme, clips):
    real = parse(CASES["residual and dense"])
    (conv,) = real.nodes_of("Conv2d")
    w = conv.input(1).const.copy()
    w[..., 0] *= 3
    conv.set_input(1, real.constant(w, "large"))
    samples = inputs(real, 8, 4)
    graph = quantized(real, scheme, samples)
    for (x,) in samples:
        x[..., 0] *= 0.01
    (layer,) = graph.nodes_of("Conv2d")
    before = layer.input(1).quant.scale
    refine(graph, real, samples)
    (layer,) = graph.nodes_of("Conv2d")
    assert (layer.input(1).quant.scale < before).any() == clips
