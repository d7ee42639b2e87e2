"""Operators that compute on integers, read as what they stand for.

That is real arithmetic between Dequantize and Quantize, which a later pass joins again. Besides
ONNX's own there are those that ONNX Runtime's quantizer writes in its operator format.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.ir import DType, QuantParams, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.families.convolution import convolve
from edgepack.readers.onnx.families.dense import product
from edgepack.readers.onnx.families.pooling import average_of, global_average_of
from edgepack.readers.onnx.families.quantization import (
    dequantize,
    known_params,
    quantize,
    real_input,
)
from edgepack.readers.onnx.registry import READS, reads


def _quantized(ctx: Context, node: Call, y: Value, first: int) -> Value:
    """`y` by the scale and zero point that are inputs `first` and `first + 1`."""
    zero = node.optional(first + 1)
    to = node.input(0).dtype if zero is None else zero.dtype
    return quantize(ctx, y, known_params(node, first), to)


def _bias(ctx: Context, node: Call, index: int, x: int, w: int) -> Value | None:
    """The int32 bias that is input `index`: its scale is that of x times that of w."""
    if node.optional(index) is None:
        return None
    scales = node.known(x, "scale").reshape(-1) * node.known(w, "scale").reshape(-1)
    axis = 0 if scales.size > 1 else None
    bias = node.known(index, "bias").reshape(-1)
    if axis == 0 and bias.size != scales.size:
        raise ValueError(f"{scales.size} scales for {bias.size} biases")
    params = QuantParams(scales.astype(np.float32), np.zeros(scales.shape, np.int64), axis)
    return dequantize(ctx, ctx.const(bias), params)


@reads("QLinearConv")
def qlinear_conv(ctx: Context, node: Call) -> Value:
    """Conv between Dequantize and Quantize; the bias is int32 of scale x * w."""
    x = real_input(ctx, node, node.input(0), 1)
    w = real_input(ctx, node, node.input(3), 4, axis=0)
    y = convolve(ctx, node, x, w, _bias(ctx, node, 8, 1, 4))
    return _quantized(ctx, node, y, 6)


@reads("QLinearMatMul")
def qlinear_matmul(ctx: Context, node: Call) -> Value:
    """MatMul between Dequantize and Quantize."""
    b = node.input(3)
    a = real_input(ctx, node, node.input(0), 1)
    y = product(ctx, a, real_input(ctx, node, b, 4, axis=b.rank - 1))
    return _quantized(ctx, node, y, 6)


@reads("com.microsoft::QGemm")
def qgemm(ctx: Context, node: Call) -> Value:
    """Gemm between Dequantize and Quantize; real output without an output scale."""
    a, b = node.input(0), node.input(3)
    turned = bool(node.attr("transB", 0))
    left = real_input(ctx, node, a, 1)
    right = real_input(ctx, node, b, 4, axis=0 if turned else 1)
    left = ctx.transpose(left, (1, 0)) if node.attr("transA", 0) else left
    weights = right if turned else ctx.transpose(right, (1, 0))  # [out, in]
    if node.attr("alpha", 1.0) != 1.0:
        raise Refused("a factor on a quantized product")
    bias = _bias(ctx, node, 6, 1, 4)
    y = ctx.emit("FullyConnected", left, weights, bias)
    return y if node.optional(7) is None else _quantized(ctx, node, y, 7)


@reads("com.microsoft::QLinearAdd", "com.microsoft::QLinearMul")
def qlinear_binary(ctx: Context, node: Call) -> Value:
    """Add and Mul between Dequantize and Quantize."""
    a = real_input(ctx, node, node.input(0), 1)
    b = real_input(ctx, node, node.input(3), 4)
    return _quantized(ctx, node, ctx.emit(node.op.removeprefix("QLinear"), a, b), 6)


@reads("com.microsoft::QLinearConcat")
def qlinear_concat(ctx: Context, node: Call) -> Value:
    """Concat between Dequantize and Quantize: the output's parameters, then three per input."""
    starts = range(2, len(node.inputs), 3)
    parts = [real_input(ctx, node, node.input(i), i + 1) for i in starts]
    y = ctx.emit("Concat", *parts, axis=node.required("axis"))
    zero = node.optional(1)
    to = node.input(2).dtype if zero is None else zero.dtype
    return quantize(ctx, y, known_params(node, 0), to)


def _softmax(ctx: Context, node: Call, x: Value) -> Value:
    axis = normal_axis(node.attr("axis", -1), x.rank)
    if node.attr("opset", 13) < 13 and axis != x.rank - 1:
        raise Refused("a softmax over several dimensions")
    return ctx.emit("Softmax", x, axis=axis)


def _leaky_relu(ctx: Context, node: Call, x: Value) -> Value:
    return ctx.emit("LeakyRelu", x, alpha=node.attr("alpha", 0.01))


_ONE_INPUT: dict[str, Callable[[Context, Call, Value], Value]] = {
    "QLinearGlobalAveragePool": lambda ctx, node, x: global_average_of(ctx, x),
    "QLinearAveragePool": average_of,
    "QLinearSigmoid": lambda ctx, node, x: ctx.emit("Sigmoid", x),
    "QLinearSoftmax": _softmax,
    "QLinearLeakyRelu": _leaky_relu,
}


def _qlinear_unary(ctx: Context, node: Call) -> Value:
    """One real operator between Dequantize and Quantize."""
    if node.attr("channels_last", 0):
        raise Refused("channels last", "quantize the model as its exporter wrote it")
    y = _ONE_INPUT[node.op](ctx, node, real_input(ctx, node, node.input(0), 1))
    return _quantized(ctx, node, y, 3)


READS.update({f"com.microsoft::{op}": _qlinear_unary for op in _ONE_INPUT})


@reads("MatMulInteger")
def matmul_integer(ctx: Context, node: Call) -> Value:
    """Integers less their zero points, multiplied in float32 (exact below 2^24)."""
    a, b = node.input(0), node.input(1)
    a = _centred(ctx, a, node.optional(2), -2)
    b = _centred(ctx, b, node.optional(3), -1)
    return ctx.cast(product(ctx, a, b), DType.INT32)


@reads("ConvInteger")
def conv_integer(ctx: Context, node: Call) -> Value:
    """Like MatMulInteger, with the window of Conv."""
    x = _centred(ctx, node.input(0), node.optional(2), 0)
    w = _centred(ctx, node.input(1), node.optional(3), 0)
    return ctx.cast(convolve(ctx, node, x, w, None), DType.INT32)


def _centred(ctx: Context, q: Value, zero: Value | None, axis: int) -> Value:
    real = ctx.cast(q, DType.FLOAT32)
    if zero is None:
        return real
    offset = ctx.cast(zero, DType.FLOAT32)
    if zero.size > 1:
        offset = ctx.reshape(
            offset, [zero.size if i == axis % q.rank else 1 for i in range(q.rank)]
        )
    else:
        offset = ctx.reshape(offset, ())
    return ctx.emit("Sub", real, offset)
