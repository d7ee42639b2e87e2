"""What one thing alone does to the output, against quantizing just that and running the whole."""

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.calibrate.sensitivity import measure_sensitivity
from edgepack.ir import DType
from edgepack.ir.text import parse
from edgepack.quantize.mixed import BYTE, sqnr_of
from edgepack.quantize.options import QuantizeOptions
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite

NET = """
    x: float32[1, 6, 6, 4] = input()
    w1 = random(8, 3, 3, 4)
    b1 = random(8)
    c1 = Conv2d(x, w1, b1, pad=((1, 1), (1, 1)), activation="relu")
    w2 = random(1, 3, 3, 8)
    b2 = random(8)
    c2 = DepthwiseConv2d(c1, w2, b2, pad=((1, 1), (1, 1)))
    s = Add(c1, c2)
    p = MaxPool2d(s, kernel=(2, 2), stride=(2, 2))
    w3 = random(8, 1, 1, 8)
    c3 = Conv2d(p, w3, activation="relu")
    m = ReduceMean(c3, axes=(1, 2))
    w4 = random(6, 8)
    y = FullyConnected(m, w4)
    output(y)"""
OPTIONS = QuantizeOptions(correct_bias=False)


def samples(count=6):
    rng = np.random.default_rng(3)
    return [[rng.normal(size=(1, 6, 6, 4)).astype(np.float32)] for _ in range(count)]


def measured(graph, options=OPTIONS, data=None, **more):
    data = data or samples()
    return measure_sensitivity(graph, collect(graph, data), options, data, **more)


def run(graph, data):
    runtime = LiteRTRuntime(write_tflite(graph))
    return np.stack([runtime.run(inputs)[0] for inputs in data]).astype(np.float64)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT4])
@pytest.mark.parametrize("name", ["c1", "c2", "c3", "y"])
def test_weights_alone_are_as_in_a_run_of_the_whole(name, dtype):
    graph, data = parse(NET), samples()
    found = measured(graph).weights[name][dtype]
    changed = graph.copy()
    node = next(n for n in changed.nodes if n.name == name)
    w = node.input(1).const
    axis = 3 if node.op == "DepthwiseConv2d" else 0
    per_channel = node.op != "FullyConnected"
    others = tuple(i for i in range(w.ndim) if i != axis) if per_channel else None
    step = np.abs(w).max(axis=others, keepdims=True) / dtype.limits[1]
    node.set_input(1, changed.constant((np.rint(w / step) * step).astype(np.float32)))
    real, other = run(graph, data), run(changed, data)
    assert found == pytest.approx(np.square(real - other).sum() / np.square(real).sum(), rel=0.02)


def test_every_value_that_is_rounded_anew_has_a_figure_and_no_other():
    noise = measured(parse(NET))
    assert set(noise.values) == {"x", "c1", "c2", "s", "c3", "m", "y"}  # p repeats s
    assert all(n[DType.INT16] < n[DType.INT8] / 100 for n in noise.values.values())


def test_rounding_the_output_itself_is_what_its_steps_give():
    graph, data = parse(NET), samples()
    noise = measured(graph).values["y"][DType.INT8]
    real = run(graph, data)
    step = (real.max() - real.min()) / 255
    expected = step**2 / 12 * real.size / np.square(real).sum()
    assert noise == pytest.approx(expected, rel=0.5)


def test_noise_adds_up_to_that_of_the_whole():
    from edgepack.quantize.integer import quantize_nearest

    graph, data = parse(NET), samples(16)
    noise = measured(graph, data=data)
    total = sum(n[DType.INT8] for table in (noise.weights, noise.values) for n in table.values())
    quantized = graph.copy()
    quantize_nearest(quantized, collect(graph, data), OPTIONS)
    (given,), (out,) = quantized.inputs, quantized.outputs
    runtime = LiteRTRuntime(write_tflite(quantized))
    real = run(graph, data)
    other = np.stack(
        [out.quant.dequantize(runtime.run([given.quant.quantize(x, given.dtype)])[0])
         for (x,) in data]
    )  # fmt: skip
    whole = sqnr_of(np.square(real - other).sum() / np.square(real).sum())
    assert sqnr_of(total) == pytest.approx(whole, abs=2.0)


def outlier_net():
    """One channel of c3 has giant weights, its output is clamped: only the weights are bad."""
    graph = parse(NET.replace('c3 = Conv2d(p, w3, activation="relu")',
                              'c3 = Conv2d(p, w3, activation="relu6")'))  # fmt: skip
    node = next(n for n in graph.nodes if n.name == "c3")
    weights = node.input(1).const.copy()
    weights[0] *= 300
    node.set_input(1, graph.constant(weights))
    return graph


def test_a_layer_with_an_outlier_per_tensor_comes_first():
    graph = outlier_net()
    noise = measured(graph, QuantizeOptions(per_channel=False))
    alone = {node.name: noise.alone(node, BYTE) or 0.0 for node in graph.nodes}
    assert max(alone, key=alone.__getitem__) == "c3"
    per_channel = measured(graph, QuantizeOptions())
    assert noise.weights["c3"][DType.INT8] > 100 * per_channel.weights["c3"][DType.INT8]


def test_figures_are_the_same_every_time():
    assert measured(parse(NET)) == measured(parse(NET))


def test_types_without_a_kernel_have_no_figure():
    noise = measured(
        parse(NET),
        has_kernel=lambda node, p: p.weights is DType.INT8 and p.activations is DType.INT8,
    )
    assert all(set(n) == {DType.INT8} for n in (*noise.weights.values(), *noise.values.values()))
