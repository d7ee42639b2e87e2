"""Operator versions: no higher than needed, so that runtimes of some years ago load the files."""

from __future__ import annotations

import pytest

from edgepack.ir.text import parse
from edgepack.writers.tflite import write_tflite
from tests.op_cases import CASES
from tests.writers.test_tflite_file import operators
from tests.writers.test_tflite_ops import ILLEGAL

Q = "@ q(0.5, 0)"

# A graph's lines, and what its last operator must be written as; figures of TensorFlow's
# op_version.cc.
VERSIONS = {
    "conv float": ("x: float32[1, 4, 4, 2] = input(); w = random(3, 1, 1, 2); y = Conv2d(x, w)",
                   ("CONV_2D", 1)),
    "conv int8": (f"x: int8[1, 4, 4, 2] {Q} = input(); w: int8[3, 1, 1, 2] {Q} = random(); "
                  "y: q(1.0, 0) = Conv2d(x, w)", ("CONV_2D", 3)),
    "conv int16 activations": (
        f"x: int16[1, 4, 4, 2] {Q} = input(); w: int8[3, 1, 1, 2] {Q} = random(); "
        "y: q(1.0, 0) = Conv2d(x, w)", ("CONV_2D", 1)),
    "conv int4 weights": (
        f"x: int8[1, 4, 4, 2] {Q} = input(); w: int4[3, 1, 1, 2] {Q} = full(1, 3, 1, 1, 2); "
        "y: q(1.0, 0) = Conv2d(x, w)", ("CONV_2D", 7)),
    "conv grouped": ("x: float32[1, 4, 4, 4] = input(); w = random(6, 1, 1, 2); "
                     "y = Conv2d(x, w, groups=2)", ("CONV_2D", 6)),
    "conv hybrid": (f"x: float32[1, 4, 4, 2] = input(); w: int8[3, 1, 1, 2] {Q} = random(); "
                    "y = Conv2d(x, w)", ("CONV_2D", 2)),
    "conv hybrid per channel": (
        "x: float32[1, 4, 4, 2] = input(); "
        "w: int8[3, 1, 1, 2] @ q([0.1, 0.2, 0.3], axis=0) = random(); y = Conv2d(x, w)",
        ("CONV_2D", 5)),
    "depthwise float": ("x: float32[1, 4, 4, 2] = input(); w = random(1, 3, 3, 2); "
                        "y = DepthwiseConv2d(x, w)", ("DEPTHWISE_CONV_2D", 1)),
    "depthwise dilated": ("x: float32[1, 9, 9, 2] = input(); w = random(1, 3, 3, 2); "
                          "y = DepthwiseConv2d(x, w, dilation=(2, 2))", ("DEPTHWISE_CONV_2D", 2)),
    "depthwise int8": (f"x: int8[1, 4, 4, 2] {Q} = input(); w: int8[1, 3, 3, 2] {Q} = random(); "
                       "y: q(1.0, 0) = DepthwiseConv2d(x, w)", ("DEPTHWISE_CONV_2D", 3)),
    "dense float": ("x: float32[1, 4] = input(); w = random(2, 4); b = random(2); "
                    "y = FullyConnected(x, w, b)", ("FULLY_CONNECTED", 1)),
    "dense without bias": ("x: float32[1, 4] = input(); w = random(2, 4); "
                           "y = FullyConnected(x, w)", ("FULLY_CONNECTED", 6)),
    "dense of rank 3": ("x: float32[1, 3, 4] = input(); w = random(2, 4); b = random(2); "
                        "y = FullyConnected(x, w, b)", ("FULLY_CONNECTED", 5)),
    "dense int8": (f"x: int8[1, 4] {Q} = input(); w: int8[2, 4] {Q} = random(); "
                   "b: int32[2] @ q(0.25, 0) = const([1, 2]); "
                   "y: q(1.0, 0) = FullyConnected(x, w, b)", ("FULLY_CONNECTED", 4)),
    "dense hybrid": (f"x: float32[1, 4] = input(); w: int8[2, 4] {Q} = random(); b = random(2); "
                     "y = FullyConnected(x, w, b)", ("FULLY_CONNECTED", 9)),
    "add float": ("x: float32[4] = input(); y = Add(x, x)", ("ADD", 1)),
    "add int8": (f"x: int8[4] {Q} = input(); y: q(1.0, 0) = Add(x, x)", ("ADD", 2)),
    "add int16": (f"x: int16[4] {Q} = input(); y: q(1.0, 0) = Add(x, x)", ("ADD", 3)),
    "add int64": ("x: int64[4] = input(); y = Add(x, x)", ("ADD", 4)),
    "mul int8": (f"x: int8[4] {Q} = input(); y: q(0.5, 0) = Mul(x, x)", ("MUL", 2)),
    "mul with a gain of 1 or more": (f"x: int8[4] {Q} = input(); y: q(0.25, 0) = Mul(x, x)",
                                     ("MUL", 3)),
    "sub broadcast of rank 5": (
        "x: float32[1, 2, 2, 2, 2] = input(); c = random(2); y = Sub(x, c)", ("SUB", 3)),
    "div broadcast of rank 5": (
        "x: float32[1, 2, 2, 2, 2] = input(); c = random(2); y = Div(x, c)", ("DIV", 2)),
    "softmax int8": (f"x: int8[1, 4] {Q} = input(); y: q(0.00390625, -128) = Softmax(x)",
                     ("SOFTMAX", 2)),
    "transpose of rank 5": ("x: float32[1, 2, 1, 2, 2] = input(); "
                            "y = Transpose(x, perm=(4, 3, 2, 1, 0))", ("TRANSPOSE", 4)),
    "transpose of rank 6": ("x: float32[1, 2, 1, 2, 2, 1] = input(); "
                            "y = Transpose(x, perm=(5, 4, 3, 2, 1, 0))", ("TRANSPOSE", 6)),
    "dequantize float16": ("h: float16[2, 4] = random(); y = Dequantize(h)", ("DEQUANTIZE", 3)),
    "dequantize bfloat16": ("h: bfloat16[2, 4] = random(); y = Dequantize(h)", ("CAST", 7)),
    "dequantize per channel": ("h: int8[2, 4] @ q([0.1, 0.2], axis=0) = random(); "
                               "y = Dequantize(h)", ("DEQUANTIZE", 5)),
    "quantize int16": ("x: float32[4] = input(); y: q(0.5, 0) = Quantize(x, to='int16')",
                       ("QUANTIZE", 2)),
    "half-pixel resize": ("x: float32[1, 2, 2, 1] = input(); "
                          "y = ResizeBilinear(x, size=(4, 4), half_pixel=True)",
                          ("RESIZE_BILINEAR", 3)),
    "gather with batches": ("x: float32[2, 3] = input(); i: int32[2, 1] = input(); "
                            "y = Gather(x, i, axis=1, batch_dims=1)", ("GATHER", 5)),
    "broadcast to": ("x: float32[1] = input(); y = BroadcastTo(x, shape=(3,))",
                     ("BROADCAST_TO", 2)),
    "cast from int8": ("x: int8[4] = input(); y = Cast(x, to='float32')", ("CAST", 3)),
}  # fmt: skip

# The highest versions in TensorFlow Lite's register.cc of 2023; every builtin not named is at 1.
# FULLY_CONNECTED 12 (hybrid, per channel) is beyond it.
REGISTERED_IN_2023 = {
    "ABS": 5, "ADD": 5, "ARG_MAX": 3, "ARG_MIN": 3, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 4,
    "BATCH_TO_SPACE_ND": 4, "BROADCAST_TO": 3, "CAST": 5, "CONCATENATION": 4, "CONV_2D": 7,
    "DEPTHWISE_CONV_2D": 7, "DEPTH_TO_SPACE": 2, "DEQUANTIZE": 5, "DIV": 2, "EQUAL": 4, "EXP": 2,
    "FLOOR_DIV": 3, "FLOOR_MOD": 2, "FULLY_CONNECTED": 10, "GATHER": 6, "GATHER_ND": 4, "GELU": 2,
    "GREATER": 2, "GREATER_EQUAL": 3, "L2_NORMALIZATION": 2, "LEAKY_RELU": 2, "LESS": 3,
    "LESS_EQUAL": 2, "LOG": 2, "LOGISTIC": 3, "LOG_SOFTMAX": 2, "MAXIMUM": 4, "MAX_POOL_2D": 3,
    "MEAN": 3, "MINIMUM": 4, "MIRROR_PAD": 3, "MUL": 7, "NOT_EQUAL": 3, "PAD": 4, "PADV2": 4,
    "QUANTIZE": 3, "REDUCE_MAX": 3, "REDUCE_MIN": 3, "REDUCE_PROD": 2, "RELU": 3, "RELU6": 3,
    "RESIZE_BILINEAR": 4, "RESIZE_NEAREST_NEIGHBOR": 4, "REVERSE_V2": 3, "RSQRT": 2, "SELECT_V2": 2,
    "SIGN": 2, "SLICE": 6, "SOFTMAX": 3, "SPACE_TO_BATCH_ND": 4, "SPACE_TO_DEPTH": 2, "SPLIT": 4,
    "SPLIT_V": 2, "SQUARED_DIFFERENCE": 2, "STRIDED_SLICE": 8, "SUB": 5, "SUM": 2, "TANH": 3,
    "TILE": 3, "TOPK_V2": 3, "TRANSPOSE": 6, "TRANSPOSE_CONV": 4,
}  # fmt: skip


@pytest.mark.parametrize("name", VERSIONS)
def test_version(name: str) -> None:
    lines, expected = VERSIONS[name]
    graph = parse("\n".join(lines.split("; ")) + "\noutput(y)")
    assert operators(write_tflite(graph))[-1] == expected


@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in ILLEGAL and "bfloat16" not in name]
)
def test_a_runtime_of_2023_knows_the_version(name: str) -> None:
    """All but bfloat16, a type that came later."""
    for builtin, version in operators(write_tflite(CASES[name].graph())):
        assert version <= REGISTERED_IN_2023.get(builtin, 1)
