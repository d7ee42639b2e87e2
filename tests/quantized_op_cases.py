"""One-operator quantized graphs by name, and which runtimes give the reference kernels' very bits.

    QUANTIZED_CASES["conv2d/same_relu6"].graph()     a fresh graph, from the text form
    QUANTIZED_CASES["conv2d/same_relu6"].inputs(0)   one array per input, over the whole range

Names begin with the operator's, in lower case, before the slash.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Graph, Value
from edgepack.ir.text import parse


@dataclass(frozen=True, slots=True)
class QuantizedCase:
    """A graph in the text form and what its runtimes owe.

    `micro` says why TensorFlow Lite Micro does not run it ("": it does, with equal bits).
    `litert` likewise for LiteRT's reference kernels, whose results may differ by `litert_lsb`, for
    the reason in `why`. `feed` makes one input's integers; the default spans the whole type.
    """

    text: str
    micro: str = ""
    litert: str = ""
    litert_lsb: int = 0
    why: str = ""
    feed: Callable[[np.random.Generator, Value], Array] | None = None

    def graph(self) -> Graph:
        """A new graph; several outputs of one node share the parameters of its input."""
        graph = parse(self.text)
        for node in graph.nodes:
            for value in node.outputs[1:] and node.outputs:
                value.quant = node.input(0).quant
        return graph

    def inputs(self, seed: int) -> list[Array]:
        """One array per input of the graph; another draw for each seed."""
        rng = np.random.default_rng([seed, zlib.crc32(self.text.encode())])
        return [(self.feed or whole_range)(rng, v) for v in self.graph().inputs]


def whole_range(rng: np.random.Generator, value: Value) -> Array:
    """Every value of the type alike; real numbers of deviation 3."""
    if value.dtype.is_float:
        return (3 * rng.standard_normal(value.shape)).astype(value.dtype.numpy)
    if value.dtype is DType.BOOL:
        return rng.random(value.shape) < 0.5
    low, high = value.dtype.limits
    return rng.integers(low, high, value.shape, value.dtype.numpy, endpoint=True)


def above_zero_point(rng: np.random.Generator, value: Value) -> Array:
    """Integers that stand for positive numbers."""
    assert value.quant is not None
    low = int(value.quant.zero_point[0]) + 1
    high = value.dtype.limits[1]
    return rng.integers(low, high, value.shape, value.dtype.numpy, endpoint=True)


# -- text ------------------------------------------------------------------------------------------


def scales(count: int, middle: float) -> str:
    """`count` different scales around `middle`, as the text form writes them."""
    steps = np.linspace(0.55, 1.7, count) * middle
    return "[" + ", ".join(f"{s:.8g}" for s in steps.astype(np.float32)) + "]"


def conv(
    op: str, x: str, w: str, y: str, attrs: str = "", *, channels: int, axis: int = 0,
    middle: float = 0.01, bias: str = "int32", weights: str = "int8",
) -> str:  # fmt: skip
    """A convolution with per-channel weights; `x` is dtype and shape, then its q(...)."""
    input_scale = float(x.split("q(")[1].split(",")[0])
    lines = [
        f"x: {x} = input()",
        f"w: {weights}{w} @ q({scales(channels, middle)}, axis={axis}) = random()",
    ]
    if bias:
        steps = scales(channels, middle * input_scale)
        lines.append(f"b: {bias}[{channels}] @ q({steps}, axis=0) = random()")
    arguments = "x, w, b" if bias else "x, w"
    extra = f", {attrs}" if attrs else ""
    return "\n".join([*lines, f"y: {y} = {op}({arguments}{extra})", "output(y)"])


def unary(op: str, x: str, y: str, attrs: str = "") -> str:
    """An operator of one input."""
    extra = f", {attrs}" if attrs else ""
    return f"x: {x} = input()\ny: {y} = {op}(x{extra})\noutput(y)"


def binary(op: str, a: str, b: str, y: str, attrs: str = "") -> str:
    """An operator of two inputs; `y` without q(...) for results that are not quantized."""
    extra = f", {attrs}" if attrs else ""
    note = f": {y}" if y else ""
    return f"a: {a} = input()\nb: {b} = input()\ny{note} = {op}(a, b{extra})\noutput(y)"


IMAGE = "int8[1, 9, 8, 6] @ q(0.043, -11)"
WIDE_IMAGE = "int16[1, 9, 8, 6] @ q(0.00021, 0)"
SAME = "pad=((1, 1), (1, 1))"
NOT_IN_MICRO = "TensorFlow Lite Micro has no such kernel"
ONLY_SIGNED = "TensorFlow Lite Micro has no kernels for unsigned integers"
NOT_REFERENCE = "LiteRT has it only among its optimized kernels"
DENSE_ROUNDING = "LiteRT's dense layers round the scaled sum once, Micro's twice"
FLOAT_RATIO = "LiteRT divides the scales in float32, Micro in float64"
LSTM_ROUNDING = "LiteRT's LSTM is written anew and rounds in other places than Micro's"
C = QuantizedCase

_CONVOLUTIONS: Final = {
    "conv2d/valid": C(conv("Conv2d", IMAGE, "[7, 3, 3, 6]", "q(0.037, 4)", channels=7)),
    "conv2d/same_relu6": C(
        conv("Conv2d", IMAGE, "[5, 3, 3, 6]", "q(0.0235294, -128)",
             f'{SAME}, activation="relu6"', channels=5)),
    "conv2d/relu": C(
        conv("Conv2d", IMAGE, "[5, 1, 1, 6]", "q(0.02, -90)", 'activation="relu"', channels=5)),
    "conv2d/relu_n1_to_1": C(
        conv("Conv2d", IMAGE, "[5, 1, 1, 6]", "q(0.02, 3)", 'activation="relu_n1_to_1"',
             channels=5)),
    "conv2d/strided_same": C(
        conv("Conv2d", IMAGE, "[4, 3, 3, 6]", "q(0.05, 0)",
             "stride=(2, 2), pad=((1, 1), (0, 1))", channels=4)),
    "conv2d/dilated": C(
        conv("Conv2d", IMAGE, "[4, 3, 3, 6]", "q(0.05, 0)", "dilation=(2, 3)", channels=4)),
    "conv2d/grouped": C(
        conv("Conv2d", IMAGE, "[4, 3, 3, 3]", "q(0.03, 9)", "groups=2", channels=4)),
    "conv2d/no_bias": C(
        conv("Conv2d", IMAGE, "[4, 2, 3, 6]", "q(0.03, 9)", channels=4, bias="")),
    "conv2d/multiplier_above_one": C(
        conv("Conv2d", IMAGE, "[4, 1, 1, 6]", "q(0.0003, 9)", channels=4)),
    "conv2d/batch_of_two": C(
        conv("Conv2d", "int8[2, 4, 5, 3] @ q(0.02, 3)", "[4, 2, 2, 3]", "q(0.01, 1)",
             channels=4)),
    "conv2d/int16": C(
        conv("Conv2d", WIDE_IMAGE, "[4, 3, 3, 6]", "q(0.0004, 0)", channels=4, bias="int64")),
    "conv2d/int16_same_relu": C(
        conv("Conv2d", WIDE_IMAGE, "[4, 3, 3, 6]", "q(0.0004, 0)", f'{SAME}, activation="relu"',
             channels=4, bias="int64")),
    "conv2d/int16_no_bias": C(
        conv("Conv2d", WIDE_IMAGE, "[4, 3, 3, 6]", "q(0.0004, 0)", channels=4, bias="")),
    "conv2d/int16_strided_dilated": C(
        conv("Conv2d", WIDE_IMAGE, "[4, 2, 2, 6]", "q(0.0004, 0)", "dilation=(2, 2)", channels=4,
             bias="int64")),
    "conv2d/int4": C(
        conv("Conv2d", IMAGE, "[5, 3, 3, 6]", "q(0.04, 3)", SAME, channels=5, middle=0.1,
             weights="int4")),
    "conv2d/int4_odd_relu": C(
        conv("Conv2d", "int8[1, 9, 8, 3] @ q(0.043, -11)", "[3, 1, 1, 3]", "q(0.02, -128)",
             'activation="relu"', channels=3, middle=0.1, weights="int4")),
    "depthwiseconv2d/int4": C(
        conv("DepthwiseConv2d", IMAGE, "[1, 3, 3, 6]", "q(0.05, -5)", SAME, channels=6, axis=3,
             middle=0.1, weights="int4"), litert=NOT_REFERENCE),
    "depthwiseconv2d/int16_multiplier_2": C(
        conv("DepthwiseConv2d", WIDE_IMAGE, "[1, 3, 2, 12]", "q(0.0003, 0)", "stride=(2, 2)",
             channels=12, axis=3, bias="int64")),
    "depthwiseconv2d/same": C(
        conv("DepthwiseConv2d", IMAGE, "[1, 3, 3, 6]", "q(0.02, -5)", SAME, channels=6, axis=3)),
    "depthwiseconv2d/multiplier_2": C(
        conv("DepthwiseConv2d", IMAGE, "[1, 3, 2, 12]", "q(0.02, -5)", "stride=(2, 2)",
             channels=12, axis=3)),
    "depthwiseconv2d/relu6_dilated": C(
        conv("DepthwiseConv2d", IMAGE, "[1, 3, 3, 6]", "q(0.0235294, -128)",
             'dilation=(2, 2), activation="relu6"', channels=6, axis=3)),
    "depthwiseconv2d/int16": C(
        conv("DepthwiseConv2d", WIDE_IMAGE, "[1, 3, 3, 6]", "q(0.0003, 0)", SAME, channels=6,
             axis=3, bias="int64")),
    "convtranspose2d/valid": C(
        conv("ConvTranspose2d", "int8[1, 4, 5, 3] @ q(0.04, 7)", "[4, 3, 3, 3]", "q(0.05, 1)",
             "stride=(2, 2)", channels=4)),
    "convtranspose2d/same": C(
        conv("ConvTranspose2d", "int8[1, 4, 5, 3] @ q(0.04, 7)", "[4, 3, 3, 3]", "q(0.05, 1)",
             "stride=(2, 2), pad=((0, 1), (0, 1))", channels=4)),
    "convtranspose2d/int16": C(
        conv("ConvTranspose2d", "int16[1, 4, 5, 3] @ q(0.0002, 0)", "[4, 3, 3, 3]",
             "q(0.0005, 0)", "stride=(2, 2)", channels=4, bias="int64")),
}  # fmt: skip


def dense(x: str, w: str, y: str, attrs: str = "", bias: str = "int32[9] @ q(0.0006, 0)") -> str:
    """A dense layer with per-tensor weights."""
    extra = f", {attrs}" if attrs else ""
    line = f"b: {bias} = random()\n" if bias else ""
    arguments = "x, w, b" if bias else "x, w"
    return (
        f"x: {x} = input()\nw: {w} = random()\n{line}"
        f"y: {y} = FullyConnected({arguments}{extra})\noutput(y)"
    )


_DENSE: Final = {
    "fullyconnected/per_tensor": C(
        dense("int8[3, 40] @ q(0.03, -7)", "int8[9, 40] @ q(0.02, 0)", "q(0.1, 11)"),
        litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/relu": C(
        dense("int8[3, 40] @ q(0.03, -7)", "int8[9, 40] @ q(0.02, 0)", "q(0.07, -128)",
              'activation="relu"'), litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/no_bias": C(
        dense("int8[3, 40] @ q(0.03, -7)", "int8[9, 40] @ q(0.02, 0)", "q(0.1, 11)", bias=""),
        litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/rank_3": C(
        dense("int8[2, 3, 40] @ q(0.03, -7)", "int8[9, 40] @ q(0.02, 0)", "q(0.1, 11)"),
        litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/per_channel": C(
        conv("FullyConnected", "int8[3, 40] @ q(0.03, -7)", "[9, 40]", "q(0.1, 5)", channels=9),
        litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/int16": C(
        dense("int16[3, 40] @ q(0.0003, 0)", "int8[9, 40] @ q(0.02, 0)", "q(0.0008, 0)",
              bias="int64[9] @ q(0.000006, 0)"), litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/int16_no_bias_relu": C(
        dense("int16[3, 40] @ q(0.0003, 0)", "int8[9, 40] @ q(0.02, 0)", "q(0.0008, 0)",
              'activation="relu"', bias=""), litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/int16_per_channel": C(
        conv("FullyConnected", "int16[3, 40] @ q(0.0003, 0)", "[9, 40]", "q(0.0008, 0)",
             channels=9, bias="int64"), litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/int4": C(
        dense("int8[3, 40] @ q(0.03, -7)", "int4[9, 40] @ q(0.05, 0)", "q(0.06, 11)",
              bias="int32[9] @ q(0.0015, 0)"), litert_lsb=1, why=DENSE_ROUNDING),
    "fullyconnected/int4_odd": C(
        dense("int8[3, 13] @ q(0.03, -7)", "int4[5, 13] @ q(0.2, 0)", "q(0.1, 11)", bias=""),
        litert_lsb=1, why=DENSE_ROUNDING),
    "matmul/plain": C(
        binary("MatMul", "int8[2, 5, 12] @ q(0.03, -7)", "int8[2, 12, 4] @ q(0.02, 9)",
               "q(0.04, 3)")),
    "matmul/adj_b": C(
        binary("MatMul", "int8[2, 5, 12] @ q(0.03, -7)", "int8[2, 4, 12] @ q(0.02, 9)",
               "q(0.04, 3)", "adj_b=True")),
    "matmul/adj_a": C(
        binary("MatMul", "int8[2, 12, 5] @ q(0.03, -7)", "int8[2, 12, 4] @ q(0.02, 9)",
               "q(0.04, 3)", "adj_a=True")),
    "matmul/int16": C(
        binary("MatMul", "int16[2, 5, 12] @ q(0.0003, 0)", "int16[2, 12, 4] @ q(0.0002, 0)",
               "q(0.0005, 0)")),
}  # fmt: skip

_POOLING: Final = {
    "averagepool2d/valid": C(
        unary("AveragePool2d", IMAGE, "q(0.043, -11)", "kernel=(2, 3), stride=(2, 2)")),
    "averagepool2d/same_relu": C(
        unary("AveragePool2d", IMAGE, "q(0.043, -11)",
              f'kernel=(3, 3), {SAME}, activation="relu"')),
    "averagepool2d/int16": C(unary("AveragePool2d", WIDE_IMAGE, "q(0.00021, 0)", "kernel=(3, 2)")),
    "maxpool2d/same": C(unary("MaxPool2d", IMAGE, "q(0.043, -11)", f"kernel=(3, 3), {SAME}")),
    "maxpool2d/relu6": C(
        unary("MaxPool2d", IMAGE, "q(0.043, -11)", 'kernel=(2, 2), activation="relu6"')),
    "maxpool2d/int16": C(unary("MaxPool2d", WIDE_IMAGE, "q(0.00021, 0)", "kernel=(2, 2)")),
    "resizenearest/int16": C(unary("ResizeNearest", WIDE_IMAGE, "q(0.00021, 0)", "size=(17, 13)")),
    "resizebilinear/int16": C(
        unary("ResizeBilinear", WIDE_IMAGE, "q(0.00021, 0)", "size=(17, 13)"), micro=NOT_IN_MICRO),
    "averagepool2d/int16_same_relu": C(
        unary("AveragePool2d", WIDE_IMAGE, "q(0.00021, 0)",
              f'kernel=(3, 3), {SAME}, activation="relu"')),
    "resizebilinear/up": C(unary("ResizeBilinear", IMAGE, "q(0.043, -11)", "size=(17, 13)")),
    "resizebilinear/half_pixel": C(
        unary("ResizeBilinear", IMAGE, "q(0.043, -11)", "size=(20, 5), half_pixel=True")),
    "resizebilinear/align_corners": C(
        unary("ResizeBilinear", IMAGE, "q(0.043, -11)", "size=(17, 13), align_corners=True")),
    "resizenearest/up": C(unary("ResizeNearest", IMAGE, "q(0.043, -11)", "size=(17, 13)")),
    "resizenearest/half_pixel": C(
        unary("ResizeNearest", IMAGE, "q(0.043, -11)", "size=(5, 13), half_pixel=True")),
}  # fmt: skip

_OLD = "uint8[1, 7, 6, 4] @ q(0.02, 117)"


def _legacy(text: str, **extra: object) -> QuantizedCase:
    """A case of the first 8-bit scheme: unsigned, zero points everywhere, LiteRT only."""
    return C(text, micro=ONLY_SIGNED, **extra)  # type: ignore[arg-type]


def _legacy_conv(op: str, w: str, y: str, attrs: str) -> str:
    channels = int(w.rstrip("]").split(",")[-1]) if op == "DepthwiseConv2d" else int(w[1])
    return (
        f"x: {_OLD} = input()\nw: uint8{w} @ q(0.013, 121) = random()\n"
        f"b: int32[{channels}] @ q(0.00026, 0) = random()\n"
        f"y: {y} = {op}(x, w, b{attrs})\noutput(y)"
    )


_LEGACY: Final = {
    "conv2d/uint8": _legacy(_legacy_conv("Conv2d", "[5, 3, 3, 4]", "q(0.04, 120)", f", {SAME}")),
    "depthwiseconv2d/uint8": _legacy(
        _legacy_conv("DepthwiseConv2d", "[1, 3, 3, 8]", "q(0.023529412, 0)",
                     ', activation="relu6"')),
    "fullyconnected/uint8": _legacy(
        dense("uint8[3, 40] @ q(0.03, 100)", "uint8[9, 40] @ q(0.02, 140)", "q(0.3, 111)"),
        litert_lsb=1, why=DENSE_ROUNDING),
    "averagepool2d/uint8": _legacy(unary("AveragePool2d", _OLD, "q(0.02, 117)", "kernel=(2, 3)")),
    "maxpool2d/uint8": _legacy(unary("MaxPool2d", _OLD, "q(0.02, 117)", "kernel=(2, 3)")),
    "add/uint8": _legacy(binary("Add", _OLD, _OLD.replace("0.02, 117", "0.05, 13"), "q(0.06, 60)")),
    "mul/uint8": _legacy(binary("Mul", _OLD, _OLD.replace("0.02, 117", "0.05, 13"), "q(0.09, 60)")),
    "softmax/uint8": _legacy(unary("Softmax", "uint8[3, 40] @ q(0.1, 9)", "q(0.00390625, 0)")),
    "sigmoid/uint8": _legacy(unary("Sigmoid", "uint8[3, 80] @ q(0.05, 100)", "q(0.00390625, 0)")),
    "tanh/uint8": _legacy(unary("Tanh", "uint8[3, 80] @ q(0.05, 100)", "q(0.0078125, 128)")),
    "relu/uint8": _legacy(unary("Relu", "uint8[3, 80] @ q(0.05, 100)", "q(0.03, 0)")),
    "resizebilinear/uint8": _legacy(
        unary("ResizeBilinear", _OLD, "q(0.02, 117)", "size=(15, 11)")),
    "logsoftmax/uint8": _legacy(unary("LogSoftmax", "uint8[3, 40] @ q(0.1, 9)", "q(0.0625, 255)")),
    "l2norm/uint8": _legacy(unary("L2Norm", "uint8[3, 40] @ q(0.1, 9)", "q(0.0078125, 128)")),
    "hardswish/uint8": _legacy(unary("HardSwish", "uint8[3, 80] @ q(0.05, 100)", "q(0.03, 10)")),
    "quantize/float_to_uint8": _legacy(
        unary("Quantize", "float32[4, 50]", "q(0.043, 100)", 'to="uint8"')),
}  # fmt: skip

_A, _B = "int8[2, 3, 4, 5] @ q(0.031, 5)", "int8[2, 3, 4, 5] @ q(0.0117, -20)"
_ROW = "int8[5] @ q(0.0117, -20)"
_A16, _B16 = "int16[3, 4, 5] @ q(0.00031, 0)", "int16[3, 4, 5] @ q(0.000117, 0)"

_ARITHMETIC: Final = {
    "add/plain": C(binary("Add", _A, _B, "q(0.04, 2)")),
    "add/relu": C(binary("Add", _A, _B, "q(0.03, -128)", 'activation="relu"')),
    "add/broadcast": C(binary("Add", _A, _ROW, "q(0.04, 2)")),
    "add/int16": C(binary("Add", _A16, _B16, "q(0.0004, 0)")),
    "sub/plain": C(binary("Sub", _A, _B, "q(0.04, 2)")),
    "sub/broadcast_relu6": C(binary("Sub", _A, _ROW, "q(0.0235294, -128)", 'activation="relu6"')),
    "sub/int16": C(binary("Sub", _A16, _B16, "q(0.0004, 0)")),
    "mul/plain": C(binary("Mul", _A, _B, "q(0.02, 2)")),
    "mul/broadcast_relu": C(binary("Mul", _A, _ROW, "q(0.02, -128)", 'activation="relu"')),
    "mul/int16": C(binary("Mul", _A16, _B16, "q(0.00126, 0)")),
    "div/plain": C(binary("Div", _A, _B, "q(0.05, 2)", ""), feed=above_zero_point),
    "squareddifference/plain": C(binary("SquaredDifference", _A, _B, "q(0.05, -120)")),
    "squareddifference/broadcast": C(binary("SquaredDifference", _A, _ROW, "q(0.05, -120)")),
    "squareddifference/int16": C(
        binary("SquaredDifference", _A16, _B16, "q(0.0026, 0)"), litert="LiteRT lacks it"),
    "add/int16_relu6": C(binary("Add", _A16, _B16, "q(0.0004, 0)", 'activation="relu6"')),
    "add/int16_broadcast": C(
        binary("Add", _A16, "int16[5] @ q(0.000117, 0)", "q(0.0004, 0)")),
    "mul/int16_relu": C(binary("Mul", _A16, _B16, "q(0.00126, 0)", 'activation="relu"')),
    "maximum/int16": C(binary("Maximum", _A16, _A16, "q(0.00031, 0)")),
    "minimum/int16": C(binary("Minimum", _A16, _A16, "q(0.00031, 0)")),
    "where/int16": C(
        f"c: bool[3, 4, 5] = input()\na: {_A16} = input()\nb: {_A16} = input()\n"
        "y: q(0.00031, 0) = Where(c, a, b)\noutput(y)"),
    "maximum/same": C(binary("Maximum", _A, _A, "q(0.031, 5)")),
    "minimum/broadcast": C(binary("Minimum", _A, "int8[5] @ q(0.031, 5)", "q(0.031, 5)")),
    "equal/scales": C(binary("Equal", _A, _B, "")),
    "notequal/same": C(binary("NotEqual", _A, _A, "")),
    "less/scales": C(binary("Less", _A, _B, "")),
    "lessequal/scales": C(binary("LessEqual", _A, _B, "")),
    "greater/broadcast": C(binary("Greater", _A, _ROW, "")),
    "greaterequal/scales": C(binary("GreaterEqual", _A, _B, "")),
    "where/plain": C(
        f"c: bool[2, 3, 4, 5] = input()\na: {_A} = input()\nb: {_A} = input()\n"
        "y: q(0.031, 5) = Where(c, a, b)\noutput(y)"),
}  # fmt: skip

_X, _X16 = "int8[3, 86] @ q(0.049, 13)", "int16[3, 700] @ q(0.00024414, 0)"
_POT16 = "int16[3, 700] @ q(0.000244140625, 0)"

_ACTIVATIONS: Final = {
    "relu/rescaled": C(unary("Relu", _X, "q(0.03, -128)")),
    "relu/same": C(unary("Relu", _X, "q(0.049, 13)")),
    "relu/int16": C(unary("Relu", _X16, "q(0.0003, 0)"), litert_lsb=1, why=FLOAT_RATIO),
    "relu6/int16_same": C(unary("Relu6", _X16, "q(0.00024414, 0)")),
    "relu6/same": C(unary("Relu6", _X, "q(0.049, 13)")),
    "relun1to1/same": C(unary("ReluN1To1", _X, "q(0.049, 13)"), micro=NOT_IN_MICRO),
    "relu0to1/same": C(unary("Relu0To1", _X, "q(0.049, 13)"), micro=NOT_IN_MICRO),
    "leakyrelu/plain": C(unary("LeakyRelu", _X, "q(0.031, -30)", "alpha=0.2")),
    "leakyrelu/negative": C(unary("LeakyRelu", _X, "q(0.031, -30)", "alpha=-0.3")),
    "leakyrelu/int16": C(
        unary("LeakyRelu", _X16, "q(0.0003, 0)", "alpha=0.1"), litert_lsb=1, why=FLOAT_RATIO),
    "prelu/channels": C(
        "x: int8[2, 3, 4, 5] @ q(0.05, -9) = input()\n"
        "alpha: int8[1, 1, 5] @ q(0.004, 0) = random()\n"
        "y: q(0.03, -40) = PRelu(x, alpha)\noutput(y)"),
    "sigmoid/plain": C(unary("Sigmoid", _X, "q(0.00390625, -128)")),
    "sigmoid/wide": C(unary("Sigmoid", "int8[2, 90] @ q(0.21, -100)", "q(0.00390625, -128)")),
    "sigmoid/int16": C(unary("Sigmoid", _POT16, "q(0.000030517578125, 0)")),
    "sigmoid/int16_any_scale": C(
        unary("Sigmoid", "int16[3, 700] @ q(0.00037, 0)", "q(0.000030517578125, 0)")),
    "tanh/plain": C(unary("Tanh", _X, "q(0.0078125, 0)")),
    "tanh/int16": C(unary("Tanh", _POT16, "q(0.000030517578125, 0)")),
    "tanh/int16_any_scale": C(
        unary("Tanh", "int16[3, 700] @ q(0.00019, 0)", "q(0.000030517578125, 0)")),
    "hardswish/plain": C(unary("HardSwish", _X, "q(0.031, -111)")),
    "hardswish/wide": C(unary("HardSwish", "int8[2, 90] @ q(0.11, 3)", "q(0.06, -100)")),
    "hardswish/narrow": C(unary("HardSwish", "int8[2, 90] @ q(0.011, 3)", "q(0.012, -100)")),
    "elu/plain": C(unary("Elu", _X, "q(0.03, -90)"), litert=NOT_REFERENCE),
    "gelu/plain": C(unary("Gelu", _X, "q(0.03, -120)"), micro=NOT_IN_MICRO),
    "gelu/approximate": C(
        unary("Gelu", _X, "q(0.03, -120)", "approximate=True"), micro=NOT_IN_MICRO),
    "exp/plain": C(unary("Exp", "int8[3, 86] @ q(0.02, 90)", "q(0.008, -128)"), micro=NOT_IN_MICRO),
    "log/plain": C(
        unary("Log", "int8[3, 86] @ q(0.1, -128)", "q(0.03, 20)"), micro=NOT_IN_MICRO,
        feed=above_zero_point),
    "exp/int16": C(
        unary("Exp", "int16[3, 700] @ q(0.00002, 0)", "q(0.0001, 0)"), micro=NOT_IN_MICRO),
    "sqrt/plain": C(
        unary("Sqrt", "int8[3, 86] @ q(0.1, -128)", "q(0.02, -128)"), micro=NOT_IN_MICRO),
    "abs/rescaled": C(unary("Abs", _X, "q(0.06, -128)")),
    "abs/int16": C(unary("Abs", _X16, "q(0.0003, 0)"), litert_lsb=1, why=FLOAT_RATIO),
    "abs/same": C(unary("Abs", _X, "q(0.049, 13)")),
    "rsqrt/plain": C(
        unary("Rsqrt", "int8[3, 86] @ q(0.02, -128)", "q(0.05, -128)"), feed=above_zero_point),
    "softmax/plain": C(unary("Softmax", _X, "q(0.00390625, -128)")),
    "softmax/beta": C(unary("Softmax", _X, "q(0.00390625, -128)", "beta=0.3")),
    "softmax/narrow": C(unary("Softmax", "int8[4, 10] @ q(0.003, 1)", "q(0.00390625, -128)")),
    "softmax/rank_4": C(unary("Softmax", "int8[2, 3, 2, 7] @ q(0.1, 1)", "q(0.00390625, -128)")),
    "softmax/int16_wide": C(
        unary("Softmax", "int16[3, 40] @ q(0.002, 0)", "q(0.000030517578125, 0)")),
    "softmax/int16": C(
        unary("Softmax", "int16[3, 40] @ q(0.0003, 0)", "q(0.000030517578125, 0)")),
    "logsoftmax/plain": C(unary("LogSoftmax", _X, "q(0.0625, 127)")),
    "logsoftmax/wide": C(unary("LogSoftmax", "int8[4, 10] @ q(0.2, 1)", "q(0.0625, 127)")),
    "l2norm/plain": C(unary("L2Norm", "int8[4, 10] @ q(0.2, 1)", "q(0.0078125, 0)")),
    "l2norm/long": C(unary("L2Norm", "int8[2, 600] @ q(0.2, -40)", "q(0.0078125, 0)")),
}  # fmt: skip

_REDUCTIONS: Final = {
    "reducemean/spatial": C(
        unary("ReduceMean", IMAGE, "q(0.021, 6)", "axes=(1, 2), keepdims=True")),
    "reducemean/flat": C(unary("ReduceMean", IMAGE, "q(0.043, -11)", "axes=(1, 2)")),
    "reducemean/last": C(unary("ReduceMean", IMAGE, "q(0.01, 6)", "axes=(3,)")),
    "reducemean/int16": C(unary("ReduceMean", WIDE_IMAGE, "q(0.0001, 0)", "axes=(1, 2)")),
    "reducemean/int16_last": C(unary("ReduceMean", WIDE_IMAGE, "q(0.0001, 0)", "axes=(3,)")),
    "reducemax/int16": C(
        unary("ReduceMax", WIDE_IMAGE, "q(0.00021, 0)", "axes=(1, 2)"), micro=NOT_IN_MICRO),
    "reducesum/int16": C(
        unary("ReduceSum", WIDE_IMAGE, "q(0.0008, 0)", "axes=(1, 2)"),
        litert="LiteRT's reference SUM of int16 ignores its inputs; its default kernel is right"),
    "reducesum/last": C(
        unary("ReduceSum", IMAGE, "q(0.1, 6)", "axes=(3,)"),
        litert="LiteRT's reference SUM of int8 ignores its inputs; its default kernel is right"),
    "reducemax/spatial": C(unary("ReduceMax", IMAGE, "q(0.043, -11)", "axes=(1, 2)")),
    "reducemin/last": C(
        unary("ReduceMin", IMAGE, "q(0.043, -11)", "axes=(3,), keepdims=True")),
}  # fmt: skip

_CONVERSIONS: Final = {
    "quantize/float_to_int8": C(unary("Quantize", "float32[4, 50]", "q(0.043, -11)", 'to="int8"')),
    "quantize/float_to_int16": C(unary("Quantize", "float32[4, 50]", "q(0.0003, 0)", 'to="int16"')),
    "quantize/int8_to_int8": C(unary("Quantize", IMAGE, "q(0.07, 20)", 'to="int8"')),
    "quantize/int8_to_int16": C(unary("Quantize", IMAGE, "q(0.0003, 0)", 'to="int16"')),
    "quantize/int16_to_int16": C(unary("Quantize", WIDE_IMAGE, "q(0.0005, 0)", 'to="int16"')),
    "quantize/int8_to_uint8": C(unary("Quantize", IMAGE, "q(0.043, 117)", 'to="uint8"')),
    "quantize/int16_to_int8": C(unary("Quantize", WIDE_IMAGE, "q(0.05, 3)", 'to="int8"')),
    "quantize/uint8_to_int8": C(
        unary("Quantize", "uint8[4, 50] @ q(0.05, 128)", "q(0.05, 0)", 'to="int8"')),
    "dequantize/int8": C(f"x: {IMAGE} = input()\ny = Dequantize(x)\noutput(y)"),
    "dequantize/int16": C(f"x: {WIDE_IMAGE} = input()\ny = Dequantize(x)\noutput(y)"),
}  # fmt: skip

_MOVEMENT: Final = {
    "pad/zero_point": C(
        unary("Pad", IMAGE, "q(0.043, -11)", "pads=((0, 0), (1, 2), (0, 1), (0, 0))")),
    "pad/int16": C(
        unary("Pad", WIDE_IMAGE, "q(0.00021, 0)", "pads=((0, 0), (1, 2), (0, 1), (0, 0))")),
    "concat/int16": C(binary("Concat", _A16, _A16, "q(0.00031, 0)", "axis=2")),
    "transpose/int16": C(unary("Transpose", WIDE_IMAGE, "q(0.00021, 0)", "perm=(0, 3, 1, 2)")),
    "slice/int16": C(
        unary("Slice", WIDE_IMAGE, "q(0.00021, 0)",
              "begin=(0, 1, 0, 0), size=(1, 4, 8, 2), stride=(1, 2, 1, 3)")),
    "split/int16": C(
        f"x: {WIDE_IMAGE} = input()\na, b = Split(x, axis=3, sizes=(2, 4))\noutput(a, b)"),
    "reshape/int16": C(unary("Reshape", WIDE_IMAGE, "q(0.00021, 0)", "shape=(8, 54)")),
    "pad/value": C(
        unary("Pad", IMAGE, "q(0.043, -11)",
              "pads=((0, 0), (1, 2), (0, 1), (0, 0)), value=1.3")),
    "concat/channels": C(binary("Concat", _A, _A, "q(0.031, 5)", "axis=3")),
    "spacetobatch/padded": C(
        unary("SpaceToBatch", IMAGE, "q(0.043, -11)", "block=(2, 3), pad=((0, 1), (1, 0))"),
        micro="TensorFlow Lite Micro pads with 0 where LiteRT pads with the zero point"),
    "spacetobatch/zero_point_0": C(
        unary("SpaceToBatch", IMAGE.replace("-11", "0"), "q(0.043, 0)",
              "block=(2, 3), pad=((0, 1), (1, 0))")),
    "batchtospace/cropped": C(
        unary("BatchToSpace", "int8[6, 3, 4, 2] @ q(0.043, -11)", "q(0.043, -11)",
              "block=(2, 3), crop=((1, 0), (0, 2))")),
    "depthtospace/plain": C(
        unary("DepthToSpace", "int8[1, 3, 4, 8] @ q(0.043, -11)", "q(0.043, -11)", "block=2"),
        litert=NOT_REFERENCE),
    "spacetodepth/plain": C(
        unary("SpaceToDepth", "int8[1, 4, 6, 3] @ q(0.043, -11)", "q(0.043, -11)", "block=2")),
    "pad/mirrored": C(
        unary("Pad", IMAGE, "q(0.043, -11)",
              'pads=((0, 0), (1, 2), (0, 1), (0, 0)), mode="reflect"')),
    "reshape/plain": C(unary("Reshape", IMAGE, "q(0.043, -11)", "shape=(8, 54)")),
    "split/channels": C(
        f"x: {IMAGE} = input()\na, b = Split(x, axis=3, sizes=(2, 4))\noutput(a, b)"),
    "reverse/plain": C(unary("Reverse", _A, "q(0.031, 5)", "axes=(2,)")),
    "broadcastto/plain": C(
        unary("BroadcastTo", "int8[1, 4, 1] @ q(0.031, 5)", "q(0.031, 5)", "shape=(3, 4, 5)")),
    "gather/rows": C(
        f"x: {_A} = input()\ni: int32[3] = const([2, 0, 1])\n"
        "y: q(0.031, 5) = Gather(x, i, axis=1)\noutput(y)"),
    "argmin/last": C(f'x: {IMAGE} = input()\ny = ArgMin(x, axis=3, to="int32")\noutput(y)'),
    "transpose/plain": C(unary("Transpose", IMAGE, "q(0.043, -11)", "perm=(0, 3, 1, 2)")),
    "slice/strided": C(
        unary("Slice", IMAGE, "q(0.043, -11)",
              "begin=(0, 1, 0, 0), size=(1, 4, 8, 2), stride=(1, 2, 1, 3)")),
    "argmax/last": C(f'x: {IMAGE} = input()\ny = ArgMax(x, axis=3, to="int32")\noutput(y)'),
}  # fmt: skip


def _lstm(
    units: int, features: int, steps: int, *, x: str, h: str, c: str, attrs: str = "",
    bias: str = "int32",
) -> str:  # fmt: skip
    lines = [f"x: {x.format(steps=steps, features=features)} = input()"]
    for i, gate in enumerate("ifco"):
        lines.append(
            f"w{gate}: int8[{units}, {features}] @ q({0.003 + i * 0.0007:g}, 0) = random()"
        )
        lines.append(f"r{gate}: int8[{units}, {units}] @ q({0.004 + i * 0.0005:g}, 0) = random()")
        lines.append(f"b{gate}: {bias}[{units}] @ q({(0.003 + i * 0.0007) / 64:g}, 0) = random()")
    lines.append(f"h: {h.format(units=units)}")
    lines.append(f"c: {c.format(units=units)}")
    gates = [f"{letter}{gate}" for letter in "wr" for gate in "ifco"]
    biases = [f"b{gate}" for gate in "ifco"]
    names = ["x", *gates, "None", "None", "None", *biases, "None", "None", "h", "c"]
    lines.append(f"y: q(0.0078125, 0) = Lstm({', '.join(names)}{attrs})")
    return "\n".join([*lines, "output(y)"])


_INNER = ", intermediates=(None, None, None, None, (0.0078125, 0))"


def _svdf(state: str, time: str, rank: int, scale: float) -> str:
    return (
        "x: int8[2, 11] @ q(0.03, 4) = input()\nw: int8[8, 11] @ q(0.01, 0) = random()\n"
        f"t: {time}[8, 5] @ q(0.02, 0) = random()\n"
        f"b: int32[{8 // rank}] @ q({scale * 0.02:.8g}, 0) = random()\n"
        f"s: {state}[2, 40] @ q({scale}, 0) = full(0, 2, 40)\n"
        f"y: q(0.008, -128) = Svdf(x, w, t, b, s, rank={rank}, activation='relu')\noutput(y)"
    )


_RECURRENT: Final = {
    "svdf/int16_state": C(_svdf("int16", "int16", 2, 0.001)),
    "svdf/int8_state": C(
        _svdf("int8", "int8", 1, 0.05), litert="LiteRT takes a state of 16 bits alone"),
    "lstm/batch_major": C(
        _lstm(6, 10, 5, x="int8[1, {steps}, {features}] @ q(0.015625, 3)",
              h="int8[1, {units}] @ q(0.0078125, 0) = full(0, 1, {units})",
              c="int16[1, {units}] @ q(0.00048828125, 0) = full(0, 1, {units})",
              attrs=", cell_clip=10.0" + _INNER), litert_lsb=1, why=LSTM_ROUNDING),
    "lstm/time_major": C(
        _lstm(6, 10, 5, x="int8[{steps}, 1, {features}] @ q(0.015625, 3)",
              h="int8[1, {units}] @ q(0.0078125, 0) = full(0, 1, {units})",
              c="int16[1, {units}] @ q(0.000244140625, 0) = full(0, 1, {units})",
              attrs=", time_major=True" + _INNER), litert_lsb=1, why=LSTM_ROUNDING),
    "lstm/int16": C(
        _lstm(6, 10, 5, x="int16[1, {steps}, {features}] @ q(0.015625, 0)",
              h="int16[1, {units}] @ q(0.0078125, 0) = full(0, 1, {units})",
              c="int16[1, {units}] @ q(0.00048828125, 0) = full(0, 1, {units})",
              attrs=_INNER, bias="int64"), litert="LiteRT has no LSTM of 16-bit activations"),
    "lstm/small_cell_scale": C(
        _lstm(6, 10, 5, x="int8[1, {steps}, {features}] @ q(0.015625, 3)",
              h="int8[1, {units}] @ q(0.0078125, 0) = full(0, 1, {units})",
              c="int16[1, {units}] @ q(0.00006103515625, 0) = full(0, 1, {units})",
              attrs=_INNER), litert_lsb=1, why=LSTM_ROUNDING),
}  # fmt: skip

QUANTIZED_CASES: Final[dict[str, QuantizedCase]] = {
    **_CONVOLUTIONS, **_DENSE, **_POOLING, **_LEGACY, **_ARITHMETIC, **_ACTIVATIONS, **_REDUCTIONS,
    **_CONVERSIONS, **_MOVEMENT, **_RECURRENT,
}  # fmt: skip
