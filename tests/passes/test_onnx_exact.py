"""Spelled-out integers: ONNX Runtime's bits are the reference kernels', operator by operator."""

from __future__ import annotations

import zlib

import numpy as np
import onnx
import pytest

from edgepack.calibrate.collect import collect
from edgepack.errors import Unsupported
from edgepack.ir import Array, Graph, QuantParams
from edgepack.ir.text import parse
from edgepack.kernels.registry import QUANTIZED
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.onnx_exact import spell_exactly
from edgepack.passes.onnx_exact.ints import Ints, from_value
from edgepack.passes.onnx_exact.spelling import SPELLINGS
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import INTEGER_SCHEMES, QuantizeOptions
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx
from tests.quantized_op_cases import (
    QUANTIZED_CASES,
    QuantizedCase,
    above_zero_point,
    binary,
    unary,
)


def spelled(graph: Graph) -> Graph:
    exact = graph.copy()
    spell_exactly(exact)
    return exact


def exact_file(graph: Graph) -> bytes:
    exact = spelled(graph)
    legalize_onnx(exact, spelled=True)
    return write_onnx(exact)


def assert_same_bits(got: list[Array], want: list[Array]) -> None:
    for g, w in zip(got, want, strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_array_equal(g, w)


def extremes(graph: Graph) -> list[list[Array]]:
    """All inputs at the lowest, and at the highest integers."""
    ends = [v.dtype.limits if v.dtype.is_integer else (0, 1) for v in graph.inputs]
    return [
        [np.full(v.shape, end[i], v.dtype.numpy) for v, end in zip(graph.inputs, ends, strict=True)]
        for i in range(2)
    ]


_IMAGE = "int8[2, 5, 6, 4] @ q(0.03, 7)"
_IMAGE16 = "int16[1, 4, 6, 8] @ q(0.0003, 0)"

# What the shared cases leave out: they are those that TensorFlow Lite Micro can run.
MORE: dict[str, QuantizedCase] = {
    "concat/rescaled": QuantizedCase(
        binary("Concat", _IMAGE, _IMAGE.replace("0.03, 7", "0.05, -3"), "q(0.04, 1)", "axis=3")),
    "convtranspose2d/all": QuantizedCase(
        f"x: {_IMAGE} = input()\nw: int8[6, 3, 2, 2] @ q(0.01, 0) = random()\n"
        "y: q(0.05, 1) = ConvTranspose2d(x, w, stride=(3, 2), dilation=(1, 2), groups=2, "
        "pad=((1, 0), (0, 2)), output_pad=(1, 0), activation='relu')\noutput(y)"),
    "convtranspose2d/stride_beyond_kernel": QuantizedCase(
        f"x: {_IMAGE} = input()\nw: int8[3, 1, 2, 4] @ q(0.01, 0) = random()\n"
        "y: q(0.05, 1) = ConvTranspose2d(x, w, stride=(3, 3))\noutput(y)"),
    "conv2d/int4": QuantizedCase(
        f"x: {_IMAGE} = input()\nw: int4[3, 3, 2, 4] @ q(0.1, 0) = random()\n"
        "y: q(0.05, 1) = Conv2d(x, w, pad=((0, 2), (1, 0)))\noutput(y)"),
    "conv2d/overflow": QuantizedCase(
        f"x: {_IMAGE} = input()\nw: int8[3, 1, 1, 4] @ q(0.1, 0) = random()\n"
        "b: int32[3] @ q(0.003, 0) = const([2147483647, -2147483648, 2147480000])\n"
        "y: q(0.00001, 1) = Conv2d(x, w, b)\noutput(y)"),
    "averagepool2d/padding_counts": QuantizedCase(
        unary("AveragePool2d", _IMAGE, "q(0.03, 7)",
              "kernel=(3, 2), pad=((1, 1), (0, 1)), count_include_pad=True")),
    "div/any_sign": QuantizedCase(
        binary("Div", _IMAGE, "int8[4] @ q(0.02, -128)", "q(0.5, 3)"), feed=above_zero_point),
    "mul/multiplier_above_one": QuantizedCase(
        binary("Mul", _IMAGE16, _IMAGE16, "q(0.00000001, 0)")),
    "softmax/channels_first": QuantizedCase(
        unary("Softmax", _IMAGE, "q(0.00390625, -128)", "axis=1")),
    "softmax/int16_channels_first": QuantizedCase(
        unary("Softmax", _IMAGE16, "q(0.000030517578125, 0)", "axis=1")),
    "softmax/one_class": QuantizedCase(
        unary("Softmax", "int8[3, 1] @ q(0.1, 3)", "q(0.00390625, -128)")),
    "pad/int16": QuantizedCase(
        unary("Pad", _IMAGE16, "q(0.0003, 0)",
              "pads=((0, 0), (1, 2), (0, 1), (0, 0)), value=0.5")),
    "depthtospace/int16": QuantizedCase(unary("DepthToSpace", _IMAGE16, "q(0.0003, 0)", "block=2")),
    "spacetodepth/int16": QuantizedCase(unary("SpaceToDepth", _IMAGE16, "q(0.0003, 0)", "block=2")),
    "spacetobatch/int16": QuantizedCase(
        unary("SpaceToBatch", _IMAGE16, "q(0.0003, 0)", "block=(2, 3), pad=((1, 1), (0, 0))")),
    "resizebilinear/int16": QuantizedCase(
        unary("ResizeBilinear", _IMAGE16, "q(0.0003, 0)", "size=(7, 9)")),
    "maximum/int16": QuantizedCase(binary("Maximum", _IMAGE16, _IMAGE16, "q(0.0003, 0)")),
    "reducemax/int16": QuantizedCase(unary("ReduceMax", _IMAGE16, "q(0.0003, 0)", "axes=(1, 2)")),
    "leakyrelu/int16_above_one": QuantizedCase(
        unary("LeakyRelu", _IMAGE16, "q(0.0000003, 0)", "alpha=0.1")),
    "quantize/channels": QuantizedCase(
        "x: float32[3, 5] = input()\n"
        "y: q([0.1, 0.02, 0.5, 0.3, 0.001], axis=1) = Quantize(x, to='int8')\noutput(y)"),
    "matmul/batches": QuantizedCase(
        binary("MatMul", "int8[3, 1, 5, 12] @ q(0.03, -7)", "int8[2, 12, 4] @ q(0.02, 9)",
               "q(0.04, 3)")),
}  # fmt: skip
ALL = {**QUANTIZED_CASES, **MORE}


@pytest.mark.parametrize("name", ALL)
def test_the_bits_of_the_kernel(name: str) -> None:
    case = ALL[name]
    graph = case.graph()
    data = exact_file(graph)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    reference, exact = ReferenceRuntime(graph), OrtRuntime(data)
    inputs = [case.inputs(seed) for seed in range(3)]
    inputs += [] if case.feed else extremes(graph)
    for arrays in inputs:
        assert_same_bits(exact.run(arrays), reference.run(arrays))


@pytest.mark.parametrize("name", ALL)
def test_nothing_quantized_and_no_float_layer_is_left(name: str) -> None:
    graph = spelled(ALL[name].graph())
    assert all(v.quant is None for v in graph.values())
    legalize_onnx(graph)
    kinds = {node.op_type for node in onnx.load_from_string(write_onnx(graph)).graph.node}
    assert not kinds & {"Conv", "Gemm", "QuantizeLinear", "DequantizeLinear", "Softmax"}


def test_every_quantized_kernel_is_spelled() -> None:
    missing = sorted(set(QUANTIZED) - set(SPELLINGS))
    assert not missing, f"write a spelling under @spells in passes/onnx_exact/ of {missing}"
    assert set(SPELLINGS) <= set(QUANTIZED)


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_numbers_keep_within_their_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides which clamps and wraps are left out is true of every value that is made."""
    made: list[Ints] = []
    plain = Ints.__post_init__

    def remember(self: Ints) -> None:
        plain(self)
        made.append(self)

    monkeypatch.setattr(Ints, "__post_init__", remember)
    case = ALL[name]
    graph = spelled(case.graph())
    alive = {id(v) for v in graph.values()}
    limits = [n for n in made if id(n.value) in alive and not n.value.is_const]
    graph.outputs = [n.value for n in limits]
    for arrays in [case.inputs(0)] + ([] if case.feed else extremes(graph)):
        for numbers, array in zip(limits, ReferenceRuntime(graph).run(arrays), strict=True):
            within = numbers.low <= array.min() and array.max() <= numbers.high
            assert within or _is_chosen_away(numbers), numbers


def _is_chosen_away(numbers: Ints) -> bool:
    """A Where takes other elements instead of those beyond the limits."""
    return any(user.op == "Where" for user in numbers.value.users)


@pytest.mark.parametrize("bits", [8, 31, 32, 33, 40, 62])
def test_clamps_and_comparisons_of_wide_numbers(bits: int) -> None:
    """ONNX Runtime's own Clip, Min and Max of int64 are wrong from 33 bits on (x86, 1.31)."""
    graph = parse("x: int64[64, 67] = input()\ny: int64[64, 67] = input()\noutput(x)")
    x, y = (from_value(graph, v).within(-(2**bits), 2**bits - 1) for v in graph.inputs)
    graph.outputs = [v.value for v in (x.clipped(-100, 1000), x.maximum(y), x.minimum(y))]
    rng = np.random.default_rng(bits)
    a, b = (rng.integers(-(2**bits), 2**bits, (64, 67)) for _ in range(2))
    got = OrtRuntime(write_onnx(graph)).run([a, b])
    assert_same_bits(got, [a.clip(-100, 1000), np.maximum(a, b), np.minimum(a, b)])


# -- whole networks --------------------------------------------------------------------------------

NETWORK = """
x: float32[1, 12, 12, 3] = input()
w1 = random(8, 3, 3, 3)
b1 = random(8)
c1 = Conv2d(x, w1, b1, stride=(2, 2), pad=((0, 1), (0, 1)), activation="relu")
w2 = random(1, 3, 3, 8)
c2 = DepthwiseConv2d(c1, w2, b1, pad=((1, 1), (1, 1)), activation="relu6")
w3 = random(8, 1, 1, 8)
c3 = Conv2d(c2, w3, b1)
s = Add(c3, c1, activation="relu")
g = ReduceMean(s, axes=(1, 2), keepdims=True)
w5 = random(8, 1, 1, 8)
k = Conv2d(g, w5)
gate = Sigmoid(k)
m = Mul(s, gate)
p = MaxPool2d(m, kernel=(2, 2), stride=(2, 2))
f = Reshape(p, shape=(1, 72))
w4 = random(10, 72)
d = FullyConnected(f, w4)
y = Softmax(d)
output(y)
"""


@pytest.mark.parametrize("scheme", INTEGER_SCHEMES)
def test_a_network_in_every_scheme(scheme: str) -> None:
    graph = parse(NETWORK)
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((1, 12, 12, 3)).astype(np.float32) for _ in range(24)]
    legalize_tflite(graph)
    seen = collect(graph, [[x] for x in inputs])
    quantize_nearest(graph, seen, QuantizeOptions(precision=INTEGER_SCHEMES[scheme]))
    reference, exact = ReferenceRuntime(graph), OrtRuntime(exact_file(graph))
    (x,) = graph.inputs
    for array in inputs:
        fed = [array if x.quant is None else x.quant.quantize(array, x.dtype)]
        assert_same_bits(exact.run(fed), reference.run(fed))


MIXED = """
x: float32[2, 8] = input()
w: int8[6, 8] @ q([0.01, 0.02, 0.03, 0.01, 0.02, 0.03], axis=0) = random()
f = FullyConnected(x, w)
q: q(0.05, 3) = Quantize(f, to="int8")
v: int8[4, 6] @ q(0.02, 0) = random()
y: q(0.06, 3) = FullyConnected(q, v, activation="relu")
d = Dequantize(y)
e = Tanh(d)
output(e)
"""


def test_real_operators_stay_as_they_are() -> None:
    graph = parse(MIXED)
    exact = spelled(graph)
    assert [n.op for n in exact.nodes if n.op in ("FullyConnected", "Tanh")] == [
        "FullyConnected",
        "Tanh",
    ]
    assert [v.name for v in exact.values() if v.quant is not None] == ["w"]
    x = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)
    (got,), (want,) = OrtRuntime(exact_file(graph)).run([x]), ReferenceRuntime(graph).run([x])
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["conv2d/int16", "fullyconnected/int16", "matmul/int16"])
def test_factors_that_the_kernel_has_no_shift_for(name: str) -> None:
    graph = QUANTIZED_CASES[name].graph()
    graph.outputs[0].quant = QuantParams.per_tensor(1e-12)
    with pytest.raises(Unsupported, match="too small for 64-bit sums"):
        spell_exactly(graph)


# A cell's scale is a power of two, and some inputs must stand for positive numbers.
RESCALED = [n for n, case in ALL.items() if not (n.startswith(("lstm", "svdf")) or case.feed)]


@pytest.mark.parametrize("name", RESCALED)
def test_any_scales_and_zero_points(name: str) -> None:
    """Multipliers above and below one, limits inside and outside the type."""
    case = ALL[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for seed in range(3):
        graph = case.graph()
        _rescale(graph, rng)
        inputs = case.inputs(seed)
        assert_same_bits(
            ReferenceRuntime(spelled(graph)).run(inputs), ReferenceRuntime(graph).run(inputs)
        )


def _rescale(graph: Graph, rng: np.random.Generator) -> None:
    """New parameters; values that shared theirs still do, and what was symmetric stays so."""
    new: dict[QuantParams, QuantParams] = {}
    for value in graph.values():
        old = value.quant
        if old is None:
            continue
        if old not in new:
            scale = (old.scale * 10 ** rng.uniform(-1, 1)).astype(np.float32)
            zero = old.zero_point
            if zero.any():
                zero = np.full_like(zero, rng.integers(*value.dtype.limits, endpoint=True))
            new[old] = QuantParams(scale, zero, old.axis)
        value.quant = new[old]


def test_all_that_cannot_be_spelled_is_listed() -> None:
    graph = parse(
        "x: int8[1, 4, 4, 2] @ q(0.1, 3) = input()\nw: int8[3, 1, 1, 2] @ q(0.1, 0) = input()\n"
        "v: int8[5, 3] @ q(0.1, 0) = input()\nc: q(0.1, 3) = Conv2d(x, w)\n"
        "y: q(0.1, 3) = FullyConnected(c, v)\noutput(y)"
    )
    with pytest.raises(Unsupported) as caught:
        spell_exactly(graph)
    assert [f.op for f in caught.value.findings] == ["Conv2d", "FullyConnected"]
