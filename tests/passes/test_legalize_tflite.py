import numpy as np
import pytest
from equivalence import inputs_for, ops

from edgepack.ir.check import check
from edgepack.ir.dtypes import DType
from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite

X = "x: float32[1, 7, 6, 4] = input()\n"
W = "w = random(6, 3, 3, 4)\nb = random(6)\n"
G = "w = random(6, 3, 3, 2)\nb = random(6)\n"


def tensor(dtype, *shape):
    return f"x: {dtype}[{', '.join(map(str, shape))}] = input()\n"


def two(dtype, *shape):
    return tensor(dtype, *shape) + tensor(dtype, *shape).replace("x:", "z:")


DEEP = tensor("float32", 2, 2, 2, 2, 2, 2, 2)

REAL = {
    "conv: padding of its own": X + W + "y = Conv2d(x, w, b, pad=((2, 0), (1, 1)))",
    "conv: SAME": X + W + "y = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation='relu6')",
    "conv: strides pad before": X + W + "y = Conv2d(x, w, stride=(2, 2), pad=((1, 1), (1, 1)))",
    "conv: groups": X + G + "y = Conv2d(x, w, b, groups=2, pad=((1, 0), (0, 0)))",
    "depthwise": X + "w = random(1, 3, 3, 8)\ny = DepthwiseConv2d(x, w, pad=((0, 1), (2, 0)))",
    "max pool": X + "y = MaxPool2d(x, kernel=(3, 3), stride=(2, 2), pad=((1, 1), (1, 1)))",
    "max pool of its own": X + "y = MaxPool2d(x, kernel=(3, 2), pad=((2, 1), (0, 0)))",
    "average pool": X + "y = AveragePool2d(x, kernel=(3, 3), pad=((1, 1), (1, 1)))",
    "average pool that counts": (
        X + "y = AveragePool2d(x, kernel=(3, 3), pad=((1, 1), (1, 1)), count_include_pad=True)"
    ),
    "average pool, padded in part": (
        X + "y = AveragePool2d(x, kernel=(3, 2), stride=(2, 1), pad=((2, 0), (1, 0)), "
        "activation='relu')"
    ),
    "transposed: full": X + W + "y = ConvTranspose2d(x, w, b, stride=(2, 2))",
    "transposed: cut": X + W + "y = ConvTranspose2d(x, w, b, stride=(2, 2), pad=((1, 1), (1, 1)))",
    "transposed: cut and more": (
        X + W + "y = ConvTranspose2d(x, w, stride=(2, 2), pad=((1, 1), (1, 0)), output_pad=(1, 0))"
    ),
    "transposed: beyond the full result": (
        X + W + "y = ConvTranspose2d(x, w, b, stride=(3, 3), output_pad=(2, 1), activation='relu')"
    ),
    "transposed: dilated": X + W + "y = ConvTranspose2d(x, w, b, dilation=(2, 1))",
    "transposed: groups": (
        X + G + "y = ConvTranspose2d(x, w, b, groups=2, stride=(2, 1), pad=((1, 1), (0, 0)))"
    ),
    "clip": X + "y = Clip(x, min=-0.5, max=2.5)",
    "clip from below": X + "y = Clip(x, min=-0.5, max=1e999)",
    "clip as a name": X + "y = Clip(x, min=0.0, max=6.0)",
    "clip of nothing": X + "y = Clip(x, min=-1e999, max=1e999)",
    "clip of whole numbers": tensor("int64", 4, 5) + "y = Clip(x, min=3, max=50)",
    "relu of whole numbers": tensor("int32", 4, 5) + "y = Relu(x)",
    "erf": X + "y = Erf(x)",
    "layer norm": X + "g = random(4)\nc = random(4)\ny = LayerNorm(x, g, c)",
    "layer norm over two": X + "g = random(6, 4)\ny = LayerNorm(x, g, axis=2)",
    "rms norm": X + "g = random(4)\ny = RmsNorm(x, g, axis=3)",
    "batch norm": X + "g = random(6)\nv = full(2.0, 6)\ny = BatchNorm(x, g, g, g, v, axis=2)",
    "batch norm, computed": (
        X + "v: float32[4] = input()\na = Abs(v)\ny = BatchNorm(x, v, v, v, a)"
    ),
    "softmax along another axis": X + "y = Softmax(x, axis=1)",
    "log softmax along another axis": X + "y = LogSoftmax(x, axis=2)",
    "softmax of a number": "x: float32[1] = input()\ns = Reshape(x, shape=())\ny = Softmax(s)",
    "reverse": X + "y = Reverse(x, axes=(1, 3))",
    "pad: edge": X + "y = Pad(x, pads=((0, 0), (2, 1), (0, 3), (0, 0)), mode='edge')",
    "pad: reflect": X + "y = Pad(x, pads=((0, 0), (2, 1), (0, 3), (0, 0)), mode='reflect')",
    "pad: symmetric twice around": (
        X + "y = Pad(x, pads=((0, 0), (0, 0), (0, 0), (9, 0)), mode='symmetric')"
    ),
    "pad: a number": X + "y = Pad(x, pads=((0, 0), (2, 1), (0, 3), (0, 0)), value=1.5)",
    "prelu that grows": "x: float32[1, 4] = input()\na = random(3, 1)\ny = PRelu(x, a)",
    "atan2 broadcasts": X + "r = random(4)\ny = Atan2(x, r)",
    "one hot": tensor("int32", 4) + "y = OneHot(x, depth=3, axis=-2)",
    "rank 7: reduction": DEEP + "y = ReduceMean(x, axes=(0, 2, 3), keepdims=True)",
    "rank 7: concat": DEEP + "y = Concat(x, x, axis=3)",
    "rank 7: split": DEEP + "a, b = Split(x, axis=3, sizes=(1, 1))\ny = Sub(a, b)",
    "rank 6: slice": tensor("float32", *(3,) * 6) + (
        "y = Slice(x, begin=(0, 1, 0, 0, 2, 0), size=(3, 2, 3, 3, 2, 3), "
        "stride=(1, 1, 1, 1, -1, 1))"
    ),
    "an input as output": X + "s = Relu(x)\noutput(x, s)",
    "an output twice": X + "y = Relu(x)\noutput(y, y)",
    "a constant as output": X + "r = Relu(x)\ny = const([1, 2, 3])\noutput(r, y)",
    "no elements": X + "y = Slice(x, begin=(0, 0, 0, 0), size=(1, 0, 6, 4), stride=(1, 1, 1, 1))",
}  # fmt: skip

TYPES = {
    "float16": tensor("float16", 3, 4) + "a = Sigmoid(x)\ny = Mul(a, x)",
    "float64": tensor("float64", 3, 4) + "y = Exp(x)",
    "uint8 wraps": two("uint8", 3, 4) + "y = Add(x, z)",
    "int8 wraps": two("int8", 3, 4) + "y = Mul(x, z)",
    "int16": two("int16", 3, 4) + "y = Sub(x, z)",
    "uint16": two("uint16", 3, 4) + "y = Maximum(x, z)",
    "uint32": two("uint32", 3, 4) + "y = Minimum(x, z)",
    "uint64 wraps": two("uint64", 3, 4) + "y = Sub(x, z)",
    "uint64 ordered": two("uint64", 3, 4) + "y = Less(x, z)",
    "int64 without a kernel": two("int64", 3, 4)
    + "o: int64[1] = const([1])\nd = Add(z, o)\ny = FloorDiv(x, d)",
    "bool": tensor("bool", 3, 4) + "y = ReduceMax(x, axes=(1,))",
    "compared": two("uint8", 3, 4) + "y = Less(x, z)",
    "a mask": two("bool", 3, 4) + "y = Equal(x, z)",
    "int16 with a zero point": "x: int16[3, 4] @ q(0.5, -7) = input()\ny = Dequantize(x)",
    "int32 per channel": (
        "x: int32[3, 2] @ q([0.5, 0.25], axis=1) = input()\na = Dequantize(x)\n"
        "b = Dequantize(x)\ny = Add(a, b)"
    ),
    "an index": tensor("int64", 3, 4) + "y = ArgMax(x, axis=1)",
    "real to unsigned": tensor("float32", 3, 4) + "a = Abs(x)\ny = Cast(a, to='uint8')",
    "gathered": tensor("uint16", 3, 4) + "i: int32[2] = const([2, 0])\ny = Gather(x, i)",
    "short indices": tensor("float32", 3, 4) + "i: int16[2] = const([2, 0])\ny = Gather(x, i)",
    "scattered": "x: int64[2, 1] = input()\nu = random(2, 4)\ny = ScatterNd(x, u, shape=(100, 4))",
    "products of whole numbers": two("int32", 4, 4) + "y = MatMul(x, z)",
    "pool of whole numbers": tensor("int32", 1, 4, 4, 2) + "y = MaxPool2d(x, kernel=(2, 2))",
}


def legalized(text):
    graph = parse(text if "output(" in text else text + "\noutput(y)")
    before = graph.copy()
    legalize_tflite(graph)
    check(graph)
    assert [(v.shape, v.dtype) for v in graph.outputs] == [
        (v.shape, v.dtype) for v in before.outputs
    ]
    assert [(v.name, v.dtype) for v in graph.inputs] == [(v.name, v.dtype) for v in before.inputs]
    return before, graph


@pytest.mark.parametrize("case", [*REAL, *TYPES])
def test_litert_agrees(case):
    before, graph = legalized({**REAL, **TYPES}[case])
    arrays = inputs_for(before)
    want = ReferenceRuntime(before).run(arrays)
    got = LiteRTRuntime(write_tflite(graph)).run(arrays)
    for a, b in zip(want, got, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(b, a)
        else:  # LiteRT adds in another order; float16 results were rounded once
            rtol = 2e-3 if a.dtype == np.float16 else 1e-5
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * (1 + np.abs(a).max(initial=0)))


@pytest.mark.parametrize("case", [*REAL, *TYPES])
def test_legal_forms_are_left_alone(case):
    _, graph = legalized({**REAL, **TYPES}[case])
    assert legalize_tflite(graph) == 0


def test_constant_indices_take_32_bits():
    _, graph = legalized(X + "i: int64[2] = const([2, 0])\ny = Gather(x, i, axis=1)")
    (gather,) = [n for n in graph.nodes if n.op == "Gather"]
    assert gather.input(1).dtype is DType.INT32  # TFLite Micro takes no others


def test_erf_is_accurate():
    from math import erf

    _, graph = legalized("x: float32[4001] = input()\ny = Erf(x)")
    x = np.linspace(-5, 5, 4001, dtype=np.float32)
    got = LiteRTRuntime(write_tflite(graph)).run([x])[0]
    assert np.abs(got - np.array([erf(float(v)) for v in x])).max() < 1e-6


def test_outputs_keep_their_names():
    _, graph = legalized(X + "r = Relu(x)\ny = const([1, 2, 3])\noutput(r, y)")
    assert [v.name for v in graph.outputs] == ["r", "y"]


QUANTIZED = {
    "conv": (
        "x: int8[1, 6, 6, 4] @ q(0.05, 3) = input()\n"
        "w: int8[4, 3, 3, 4] @ q([0.01, 0.02, 0.01, 0.03], axis=0) = random()\n"
        "y: q(0.2, -10) = Conv2d(x, w, pad=((2, 0), (1, 1)))",
        ["Pad", "Conv2d"],
    ),
    "max pool": (
        "x: int8[1, 6, 6, 4] @ q(0.05, 3) = input()\n"
        "y: q(0.05, 3) = MaxPool2d(x, kernel=(3, 3), pad=((2, 0), (1, 1)))",
        ["Pad", "MaxPool2d"],
    ),
    "clip": (
        "x: int8[1, 6] @ q(0.05, 3) = input()\ny: q(0.05, 3) = Clip(x, min=-1.0, max=2.0)",
        ["Maximum", "Minimum"],
    ),
    "softmax": (
        "x: int8[2, 3, 4] @ q(0.05, 3) = input()\ny: q(0.00390625, -128) = Softmax(x, axis=1)",
        ["Transpose", "Softmax", "Transpose"],
    ),
}


@pytest.mark.parametrize("case", QUANTIZED)
def test_integers_keep_their_parameters(case):
    text, expected = QUANTIZED[case]
    before, graph = legalized(text)
    assert ops(graph) == expected
    assert all(n.output.quant is not None for n in graph.nodes)
    arrays = inputs_for(before)
    got = LiteRTRuntime(write_tflite(graph), reference_kernels=True).run(arrays)[0]
    np.testing.assert_array_equal(got, ReferenceRuntime(graph).run(arrays)[0])
    if case != "softmax":  # the reference executor knows integer softmax along the last axis only
        np.testing.assert_array_equal(got, ReferenceRuntime(before).run(arrays)[0])


LACKING = {
    "GELU": ("Gelu(x)", 1e-5),
    "HARD_SWISH": ("HardSwish(x)", 1e-5),
    "LEAKY_RELU": ("LeakyRelu(x, alpha=0.2)", 1e-5),
    "ELU": ("Elu(x)", 1e-5),
    "SQUARED_DIFFERENCE": ("SquaredDifference(x, r)", 1e-5),
    "PRELU": ("PRelu(x, r)", 1e-5),
    "LOG_SOFTMAX": ("LogSoftmax(x)", 1e-5),
    "RELU_N1_TO_1": ("ReluN1To1(x)", 1e-5),
    "RELU_0_TO_1": ("Relu0To1(x)", 1e-5),
    "SIGN": ("Sign(x)", 1e-5),
    "TILE": ("Tile(x, multiples=(2, 3))", 1e-5),
    "LOCAL_RESPONSE_NORMALIZATION": ("Lrn(f, radius=1, alpha=0.5, beta=0.75)", 1e-5),
}


@pytest.mark.parametrize("builtin", LACKING)
def test_what_a_runtime_lacks_is_spelled_out(builtin):
    call, rtol = LACKING[builtin]
    text = "x: float32[3, 4] = input()\nr = random(4)\nf: float32[1, 2, 2, 4] = input()\n"
    text += f"y = {call}\noutput(y)"
    whole, graph = parse(text), parse(text)
    operator = whole.nodes[-1].op
    legalize_tflite(whole, lambda name, dtype: True)
    assert operator in ops(whole)
    before = graph.copy()
    legalize_tflite(graph, lambda name, dtype: name != builtin)
    assert operator not in ops(graph)
    arrays = inputs_for(before)
    want = ReferenceRuntime(before).run(arrays)[0]
    got = LiteRTRuntime(write_tflite(graph)).run(arrays)[0]
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def test_an_integer_kernel_is_enough():
    graph = parse("x: float32[3, 4] = input()\ny = HardSwish(x)\noutput(y)")
    legalize_tflite(graph, lambda name, dtype: dtype is DType.INT8)
    assert ops(graph) == ["HardSwish"]


def test_support_is_asked_by_type():
    graph = parse("x: float32[3, 4] = input()\ny = Gelu(x)\noutput(y)")
    asked = []
    legalize_tflite(graph, lambda name, dtype: asked.append((name, dtype)) is None)
    assert ("GELU", DType.FLOAT32) in asked
