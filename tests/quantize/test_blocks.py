"""4-bit weights with a scale for every 32: the same in both files, nearer to the real ones."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from edgepack.errors import BadModel
from edgepack.ir import DType, QuantParams
from edgepack.ir.dtypes import bfloat16_bits, bfloat16_real
from edgepack.ir.text import parse
from edgepack.kernels.call import is_hybrid
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.quantize.float_weights import quantize_dynamic
from edgepack.quantize.weights import block_params
from edgepack.readers.tflite import read_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite
from tests.noise import sqnr_db

PLAIN = "x: float32[4, 128] = input()\nw = random(96, 128)\ny = FullyConnected(x, w)\noutput(y)"
TEXTS = {
    "without bias": PLAIN,
    "bias and relu": PLAIN.replace("x, w)", 'x, w, b, activation="relu")').replace(
        "y =", "b = random(96)\ny ="),
}  # fmt: skip
X = np.random.default_rng(0).standard_normal((4, 128)).astype(np.float32)


def narrowed(text, blocks=True):
    graph = parse(text)
    assert quantize_dynamic(graph, DType.INT4, blocks=blocks) == 1
    return graph


def portable(graph):
    copy = graph.copy()
    legalize_onnx(copy)
    return write_onnx(copy)


@pytest.mark.parametrize("case", TEXTS)
def test_files_compute_with_the_same_numbers(case):
    graph = narrowed(TEXTS[case])
    (node,) = graph.nodes_of("FullyConnected")
    assert (node.input(1).quant.block, node.input(1).quant.scale.size) == (32, 96 * 4)
    assert not is_hybrid(node)
    want = ReferenceRuntime(graph).run([X])
    file = write_tflite(graph)
    again = read_tflite(file)
    np.testing.assert_array_equal(again.nodes[0].input(1).const, node.input(1).const)
    assert again.nodes[0].input(1).quant == node.input(1).quant
    for runtime in (LiteRTRuntime(file), OrtRuntime(portable(graph))):
        assert sqnr_db(want, runtime.run([X])) > 40  # activations have 8 bits in both


@pytest.mark.parametrize(("level", "least"), [(0, 120), (4, 40)])
def test_what_onnx_runtime_adds_is_the_rounding_of_activations(level, least, tmp_path):
    graph = narrowed(TEXTS["bias and relu"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", str(level))
    session = onnxruntime.InferenceSession(
        portable(graph), options, providers=["CPUExecutionProvider"]
    )
    got = session.run(None, {"x": X})
    assert sqnr_db(ReferenceRuntime(graph).run([X]), got) > least
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert "MatMulNBits" in operators


def test_blocks_are_nearer_than_channels():
    want = ReferenceRuntime(parse(PLAIN)).run([X])
    near, far = (
        sqnr_db(want, ReferenceRuntime(narrowed(PLAIN, b)).run([X])) for b in (True, False)
    )
    assert near > far + 1.5


def test_scales_are_numbers_of_both_16_bit_types():
    w = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    w[0], w[1], w[2, :32] = 1e-9, 2e5, 0
    params = block_params(w, 32)
    np.testing.assert_array_equal(params.scale.astype(np.float16).astype(np.float32), params.scale)
    np.testing.assert_array_equal(bfloat16_real(bfloat16_bits(params.scale)), params.scale)
    real = params.dequantize(params.quantize(w, DType.INT4))
    steps = np.repeat(params.scale, 32).reshape(w.shape)
    assert (np.abs(real - w) <= 0.5001 * steps).all()


def test_inputs_that_blocks_do_not_divide_keep_a_scale_per_channel():
    graph = narrowed(PLAIN.replace("128", "120"))
    assert graph.nodes[0].input(1).quant.axis == 0


def test_a_file_with_too_few_scales_is_damaged():
    graph = narrowed(PLAIN)
    weight = graph.nodes[0].input(1)
    weight.quant = QuantParams.per_block(weight.quant.scale, 64)
    with pytest.raises(BadModel, match="blocks of 64"):
        read_tflite(write_tflite(graph))


def test_what_blocks_cannot_do():
    params = QuantParams.per_block(np.ones(8), 32)
    assert params.reshaped((4, 64), (2, 2, 64)) == params
    assert params.reshaped((4, 64), (16, 16)) is None
    with pytest.raises(ValueError, match="transposed"):
        params.transposed((1, 0))
    with pytest.raises(ValueError, match="axis"):
        QuantParams(params.scale, params.zero_point, 0, 32)
