"""Networks of 1-D convolutions, from ONNX to the operators of a TFLite file."""

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

from edgepack.passes.layout import to_layout
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.pipeline import optimize
from edgepack.readers.onnx import read_onnx
from edgepack.readers.options import ReadOptions
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.writers.tflite import write_tflite

LAYER = """
c{i} = Conv <pads = [1, 1]> ({x}, w{i})
n{i} = BatchNormalization (c{i}, g, b, m, v)
r{i} = Relu (n{i})
"""
HEAD = """
p = GlobalAveragePool ({x})
f = Flatten (p)
y = Gemm <transB = 1> (f, fw, fb)
"""


def layer(i, x):
    return LAYER.format(i=i, x=x)


PLAIN = layer(0, "x") + layer(1, "r0") + layer(2, "r1") + HEAD.format(x="r2")
BRANCHED = (
    layer(0, "x") + "q = MaxPool <kernel_shape = [2], strides = [2]> (r0)\n" + layer(1, "q")
    + layer(2, "r1") + "a = Add (r2, q)\nk = Relu (a)\nz = Concat <axis = 1> (k, r1)\n"
    "s = Sigmoid (z)\nd = Conv <group = 16, pads = [1, 1]> (s, wd)\n" + HEAD.format(x="d")
)  # fmt: skip


def model(body, batch, features):
    rng = np.random.default_rng(0)
    constants = {
        "w0": rng.normal(size=(8, 4, 3)), "w1": rng.normal(size=(8, 8, 3)),
        "w2": rng.normal(size=(8, 8, 3)), "wd": rng.normal(size=(16, 1, 3)),
        "g": rng.normal(size=8), "b": rng.normal(size=8), "m": rng.normal(size=8),
        "v": rng.uniform(0.5, 2, 8), "fw": rng.normal(size=(5, features)), "fb": rng.normal(size=5),
    }  # fmt: skip
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[{batch},4,32] x) => (float[] y)'
    proto = onnx.parser.parse_model(f"{text} {{ {body} }}")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    for name, data in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(data.astype(np.float32), name))
    return proto


def converted(proto):
    graph = read_onnx(proto, ReadOptions())
    to_layout(graph, "NHWC")
    optimize(graph)
    legalize_tflite(graph)
    return write_tflite(graph)


def builtins(data):
    parsed = schema.ModelT.InitFromPackedBuf(data, 0)
    codes = [parsed.operatorCodes[op.opcodeIndex] for op in parsed.subgraphs[0].operators]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    return [names[code.builtinCode] for code in codes]


CASES = {
    "plain": (PLAIN, 8, ["RESHAPE", *["CONV_2D"] * 3, "MEAN", "FULLY_CONNECTED"]),
    "residual, concatenation and pooling": (
        BRANCHED, 16,
        ["RESHAPE", "CONV_2D", "MAX_POOL_2D", "CONV_2D", "CONV_2D", "ADD", "CONCATENATION",
         "LOGISTIC", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_no_reshape_stands_between_layers(case, batch):
    body, features, expected = CASES[case]
    proto = model(body, batch, features)
    data = converted(proto)
    assert builtins(data) == expected
    x = np.random.default_rng(1).normal(size=(batch, 4, 32)).astype(np.float32)
    want = OrtRuntime(proto.SerializeToString()).run([x])[0]
    got = LiteRTRuntime(data).run([x.transpose(0, 2, 1)])[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())
