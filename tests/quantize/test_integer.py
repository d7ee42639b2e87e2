"""Integer graphs against the float ones they came from, and against the runtime's own rules."""

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.errors import BadData
from edgepack.ir import DType
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import QuantizeOptions
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.interface import Interface
from edgepack.writers.tflite import write_tflite
from tests.noise import sqnr_db

CASES = {
    "convolutions": """
        x: float32[1, 8, 8, 3] = input()
        w = random(8, 3, 3, 3)
        b = random(8)
        c = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation="relu")
        d = random(1, 3, 3, 8)
        y = DepthwiseConv2d(c, d, b, stride=(2, 2))
        output(y)""",
    "residual": """
        x: float32[1, 6, 6, 4] = input()
        w = random(4, 1, 1, 4)
        c = Conv2d(x, w)
        y = Add(c, x, activation="relu")
        output(y)""",
    "concat of different ranges": """
        x: float32[1, 4, 4, 4] = input()
        s = Sigmoid(x)
        r = Relu(x)
        y = Concat(s, r, x, axis=3)
        output(y)""",
    "pool, pad and reshape share parameters": """
        x: float32[1, 6, 6, 4] = input()
        m = MaxPool2d(x, kernel=(2, 2), stride=(2, 2))
        p = Pad(m, pads=((0, 0), (1, 0), (1, 0), (0, 0)))
        y = Reshape(p, shape=(1, 64))
        output(y)""",
    "a clamp with two readers before it": """
        x: float32[1, 6, 6, 4] = input()
        w = random(8, 3, 3, 4)
        c = Conv2d(x, w)
        r = Relu6(c)
        y = Concat(r, c, axis=3)
        output(y)""",
    "classifier": """
        x: float32[1, 16] = input()
        w = random(10, 16)
        b = random(10)
        l = FullyConnected(x, w, b)
        y = Softmax(l)
        output(y)""",
    "constants in arithmetic": """
        x: float32[1, 4, 4, 4] = input()
        k = random(4)
        a = Mul(x, k)
        y = Sub(a, k)
        output(y)""",
    "two outputs, one read on": """
        x: float32[1, 16] = input()
        w = random(8, 16)
        h = FullyConnected(x, w, activation="relu")
        v = random(4, 8)
        y = FullyConnected(h, v)
        output(h, y)""",
    "a float operator in between": """
        x: float32[1, 16] = input()
        w = random(16, 16)
        h = FullyConnected(x, w)
        c = Cos(h)
        y = Add(c, h)
        output(y)""",
}
SQNR = 24.0  # dB; eight bits give 30 to 45 on such values, a wrong scale or zero point below 10


def quantized(text, io=DType.FLOAT32, **options):
    graph = parse(text)
    rng = np.random.default_rng(0)
    samples = [
        [rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs] for _ in range(40)
    ]
    seen = collect(graph, samples)
    result = graph.copy()
    quantize_nearest(result, seen, QuantizeOptions(integer_io=io is DType.INT8, **options))
    check(result)
    return graph, result, samples


def outputs(graph, samples):
    interface = Interface.of(graph)
    names = [v.name for v in graph.inputs]
    found = []
    for sample in samples:
        feeds = interface.encoded(dict(zip(names, sample, strict=True)), "graph")
        found.extend(interface.decoded(ReferenceRuntime(graph).run(feeds), "graph"))
    return found


@pytest.mark.parametrize("io", [DType.FLOAT32, DType.INT8])
@pytest.mark.parametrize("case", CASES)
def test_integers_stay_close_to_float(case, io):
    graph, result, samples = quantized(CASES[case], io)
    assert sqnr_db(outputs(graph, samples), outputs(result, samples)) > SQNR


@pytest.mark.parametrize("case", CASES)
def test_litert_gives_what_the_reference_gives(case):
    _, result, samples = quantized(CASES[case], DType.INT8)
    interface = Interface.of(result)
    names = [v.name for v in result.inputs]
    litert = LiteRTRuntime(write_tflite(result), reference_kernels=True)
    for sample in samples[:5]:
        feeds = interface.encoded(dict(zip(names, sample, strict=True)), "graph")
        for a, b in zip(ReferenceRuntime(result).run(feeds), litert.run(feeds), strict=True):
            # LiteRT's reference requantizes in one rounding where TFLite Micro takes two
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


@pytest.mark.parametrize("case", CASES)
def test_tflm_gives_the_reference_s_bits(case):
    pytest.importorskip("tflite_micro")
    _, result, samples = quantized(CASES[case], DType.INT8)
    interface = Interface.of(result)
    names = [v.name for v in result.inputs]
    reference = ReferenceRuntime(result)
    micro = TflmRuntime(write_tflite(result), reference.inputs, reference.outputs)
    for sample in samples[:5]:
        feeds = interface.encoded(dict(zip(names, sample, strict=True)), "graph")
        for a, b in zip(reference.run(feeds), micro.run(feeds), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", CASES)
def test_names_of_inputs_and_outputs_stay(case):
    for io in (DType.FLOAT32, DType.INT8):
        graph, result, _ = quantized(CASES[case], io)
        assert [v.name for v in result.inputs] == [v.name for v in graph.inputs]
        assert [v.name for v in result.outputs] == [v.name for v in graph.outputs]


def test_same_rule_shares_parameters():
    _, result, _ = quantized(CASES["pool, pad and reshape share parameters"], DType.INT8)
    assert len({v.quant for v in result.values()}) == 1


def test_only_float_operators_are_fenced():
    _, result, _ = quantized(CASES["a float operator in between"], DType.INT8)
    assert [n.op for n in result.nodes].count("Dequantize") == 1
    assert [n.op for n in result.nodes].count("Quantize") == 1


def test_nodes_without_a_kernel_stay_float():
    graph = parse(CASES["residual"])
    seen = collect(graph, [[np.ones((1, 6, 6, 4), np.float32)]])
    options = QuantizeOptions()
    quantize_nearest(graph, seen, options, lambda node, precision: node.op != "Add")
    check(graph)
    (add,) = graph.nodes_of("Add")
    assert add.output.dtype is DType.FLOAT32


def test_values_that_calibration_did_not_see_are_named():
    graph = parse(CASES["residual"])
    with pytest.raises(BadData, match="no data at x"):
        quantize_nearest(graph, {}, QuantizeOptions())
