"""The shift told from the mean input is the mean of the shifts of all samples."""

import numpy as np
import pytest

from edgepack import kernels
from edgepack.calibrate.collect import collect
from edgepack.ir import DType
from edgepack.ir.text import parse
from edgepack.quantize.bias import bias_shift
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.weights import quantize_weights, weight_params

CASES = {
    "convolution with borders": """
        x: float32[1, 5, 5, 6] = input()
        w = random(4, 3, 3, 6)
        y = Conv2d(x, w, pad=((1, 1), (1, 1)), activation="relu")
        output(y)""",
    "grouped convolution with steps": """
        x: float32[1, 7, 6, 6] = input()
        w = random(4, 2, 3, 3)
        y = Conv2d(x, w, stride=(1, 2), groups=2)
        output(y)""",
    "depthwise with two channels of each": """
        x: float32[1, 5, 5, 3] = input()
        w = random(1, 3, 3, 6)
        y = DepthwiseConv2d(x, w, pad=((1, 1), (1, 1)))
        output(y)""",
    "transposed convolution": """
        x: float32[1, 4, 4, 3] = input()
        w = random(5, 2, 2, 3)
        y = ConvTranspose2d(x, w, stride=(2, 2))
        output(y)""",
    "depthwise": """
        x: float32[1, 5, 5, 6] = input()
        w = random(1, 3, 3, 6)
        y = DepthwiseConv2d(x, w, stride=(2, 2))
        output(y)""",
    "dense": """
        x: float32[1, 40] = input()
        w = random(3, 40)
        y = FullyConnected(x, w)
        output(y)""",
}


def samples_of(graph):
    rng = np.random.default_rng(0)
    return [[(rng.random(v.shape) * 3).astype(np.float32) for v in graph.inputs] for _ in range(30)]


@pytest.mark.parametrize("case", CASES)
def test_shift_is_the_mean_difference(case):
    graph = parse(CASES[case])
    (node,) = graph.nodes
    node.attrs["activation"] = "none"
    w = node.input(1).const
    params = weight_params(w, DType.INT8, None)
    stored = quantize_weights(w, params, DType.INT8)
    inputs = [x for (x,) in samples_of(graph)]
    apart = [
        kernels.call(node, [x, params.dequantize(stored)])[0] - kernels.call(node, [x, w])[0]
        for x in inputs
    ]
    wanted = np.mean(apart, axis=0).reshape(-1, node.output.shape[-1]).mean(axis=0)
    found = bias_shift(node, stored, params, np.mean(inputs, axis=0))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    assert np.abs(found).max() > 1e-3  # there is something to correct


@pytest.mark.parametrize("case", CASES)
def test_the_shift_ends_up_in_the_bias(case):
    graph = parse(CASES[case])
    seen = collect(graph, samples_of(graph))
    corrected, plain = graph.copy(), graph.copy()
    quantize_nearest(corrected, seen, QuantizeOptions())
    quantize_nearest(plain, seen, QuantizeOptions(correct_bias=False))
    assert plain.nodes[0].optional(2) is None
    bias, weight = corrected.nodes[0].input(2), corrected.nodes[0].input(1)
    wanted = bias_shift(graph.nodes[0], weight.const, weight.quant, seen["x"].mean)
    step = bias.quant.scale
    assert (np.abs(bias.real + wanted) <= step).all()
