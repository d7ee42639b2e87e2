"""The QDQ form: integers as near to the reference as rounding allows, and kernels that fuse."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgepack.ir import DType, Graph
from edgepack.ir.text import parse
from edgepack.run.reference import ReferenceRuntime
from tests.op_cases import HYBRID_CASES
from tests.quantized_op_cases import QUANTIZED_CASES
from tests.writers.test_onnx import exported, run_onnx

# ONNX Runtime requantizes in float, the reference in fixed point: one step apart at most.
LSB = 1
_FIXED_POINT_16 = "TFLite's 16-bit kernel works with tables and shifts, ONNX Runtime with reals"
WIDER = {
    "softmax/int16": (11, _FIXED_POINT_16),
    "softmax/int16_wide": (74, _FIXED_POINT_16),
    "resizebilinear/int16": (134, "TFLite's weights have 10 bits"),
    "tanh/int16_any_scale": (2, _FIXED_POINT_16),
    "squareddifference/int16": (4, _FIXED_POINT_16),
    "svdf/int8_state": (2, "the reference rounds the newest features and their sum"),
}


@pytest.mark.parametrize("name", QUANTIZED_CASES)
def test_integers_are_those_of_the_reference(name: str) -> None:
    case = QUANTIZED_CASES[name]
    graph = case.graph()
    data = exported(graph)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    allowed = WIDER.get(name, (LSB, ""))[0]
    for seed in range(2):
        inputs = case.inputs(seed)
        expected = ReferenceRuntime(graph).run(inputs)
        for want, got in zip(expected, run_onnx(data, inputs), strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            steps = np.abs(got.astype(np.float64) - want.astype(np.float64))
            assert steps.max(initial=0) <= allowed


@pytest.mark.parametrize("name", HYBRID_CASES)
def test_integer_weights_of_real_operators_are_dequantized(name: str) -> None:
    case = HYBRID_CASES[name]
    graph, inputs = case.graph(), case.inputs()
    data = exported(graph)
    (want,), (got,) = ReferenceRuntime(graph).run(inputs), run_onnx(data, inputs)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    stored = {t.data_type for t in onnx.load_from_string(data).graph.initializer}
    assert onnx.TensorProto.UINT8 in stored


# -- what fuses ------------------------------------------------------------------------------------

_W = "[0.01, 0.02, 0.015, 0.012, 0.01, 0.02, 0.015, 0.012]"
_B = "[0.0002, 0.0004, 0.0003, 0.00024, 0.0002, 0.0004, 0.0003, 0.00024]"
RESIDUAL = f"""
x: float32[1, 8, 8, 8] = input()
q: q(0.02, 3) = Quantize(x, to="int8")
w1: int8[8, 3, 3, 8] @ q({_W}, axis=0) = random()
b1: int32[8] @ q({_B}, axis=0) = random()
a: q(0.02, -128) = Conv2d(q, w1, b1, pad=((1, 1), (1, 1)), activation="relu")
w2: int8[1, 3, 3, 8] @ q({_W}, axis=3) = random()
b2: int32[8] @ q({_B}, axis=0) = random()
b: q(0.023529412, -128) = DepthwiseConv2d(a, w2, b2, pad=((1, 1), (1, 1)), activation="relu6")
w3: int8[8, 1, 1, 8] @ q({_W}, axis=0) = random()
c: q(0.05, 7) = Conv2d(b, w3)
d: q(0.06, -20) = Add(a, c)
e: q(0.06, -20) = MaxPool2d(d, kernel=(2, 2), stride=(2, 2))
f: q(0.06, -20) = Concat(e, e, axis=3)
g: q(0.05, -20) = ReduceMean(f, axes=(1, 2))
w4: int8[5, 16] @ q(0.01, 0) = random()
b4: int32[5] @ q(0.0005, 0) = random()
h: q(0.1, 2) = FullyConnected(g, w4, b4)
s: q(0.00390625, -128) = Softmax(h)
y = Dequantize(s)
l = Dequantize(h)
output(y, l)
"""


def optimized(data: bytes, folder: Path) -> Counter[str]:
    """The operators that ONNX Runtime really runs."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)


def test_a_network_fuses_to_integer_kernels(tmp_path: Path) -> None:
    kernels = optimized(exported(parse(RESIDUAL)), tmp_path)
    assert kernels["QLinearConv"] == 3
    assert kernels["QLinearAdd"] == kernels["QGemm"] == kernels["QLinearSoftmax"] == 1
    assert kernels["QLinearGlobalAveragePool"] == 1
    # at the ends alone, where the file's inputs and outputs are real
    assert (kernels["QuantizeLinear"], kernels["DequantizeLinear"]) == (1, 2)
    assert not {"Conv", "Add", "Gemm", "Relu", "Clip"} & kernels.keys()


def test_a_network_agrees_end_to_end() -> None:
    graph = parse(RESIDUAL)
    data = exported(graph)
    for seed in range(5):
        x = np.random.default_rng(seed).standard_normal((1, 8, 8, 8)).astype(np.float32)
        (_, want), (_, got) = ReferenceRuntime(graph).run([x]), run_onnx(data, [x])
        # each of the layers in a row may be a step off; a step of the logits is 0.1
        assert np.abs(got - want).max() <= 2 * 0.1 + 1e-6


def _operators(graph: Graph) -> Counter[str]:
    return Counter(n.op_type for n in onnx.load_from_string(exported(graph)).graph.node)


def _conv(output: str, activation: str) -> Graph:
    return parse(
        "x: int8[1, 4, 4, 2] @ q(0.02, 3) = input()\nw: int8[3, 1, 1, 2] @ q(0.01, 0) = random()\n"
        f"y: {output} = Conv2d(x, w, activation='{activation}')\noutput(y)"
    )


@pytest.mark.parametrize(
    ("output", "activation", "clips"),
    [
        ("q(0.02, -128)", "relu", 0),
        ("q(0.02, -127)", "relu", 1),
        ("q(0.023529412, -128)", "relu6", 0),
        ("q(0.03, -128)", "relu6", 1),
        ("q(0.02, 0)", "none", 0),
    ],
)
def test_a_clamp_is_written_only_where_the_range_does_not_end_there(
    output: str, activation: str, clips: int
) -> None:
    kinds = _operators(_conv(output, activation))
    assert kinds["Clip"] == clips
    assert not kinds["Relu"]


def test_integer_inputs_and_outputs_stay_integers() -> None:
    model = onnx.load_from_string(exported(_conv("q(0.02, 0)", "none")))
    kinds = [v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)]
    assert kinds == [onnx.TensorProto.INT8] * 2


def test_parameters_belong_to_one_tensor_each() -> None:
    model = onnx.load_from_string(exported(parse(RESIDUAL)))
    owners: dict[str, set[str]] = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            stored = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
            for name in node.input[1:]:
                owners.setdefault(name, set()).add(stored)
    assert all(len(stored) == 1 for stored in owners.values())


@pytest.mark.parametrize("name", ["conv2d/int16", "conv2d/int4"])
def test_sixteen_and_four_bits_need_operator_set_21(name: str) -> None:
    model = onnx.load_from_string(exported(QUANTIZED_CASES[name].graph()))
    assert (model.opset_import[0].version, model.ir_version) == (21, 10)


@pytest.mark.parametrize("name", ["conv2d/int4_odd_relu", "fullyconnected/int4_odd"])
def test_four_bits_are_stored_two_in_a_byte(name: str) -> None:
    graph = QUANTIZED_CASES[name].graph()
    (weights,) = (v for v in graph.constants() if v.dtype is DType.INT4)
    model = onnx.load_from_string(exported(graph))
    stored = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT4]
    (packed,) = (t for t in stored if np.prod(t.dims) == weights.size)
    assert len(packed.raw_data) == (weights.size + 1) // 2
    values = numpy_helper.to_array(packed).astype(np.int8)
    np.testing.assert_array_equal(values.reshape(-1), weights.const.reshape(-1))
