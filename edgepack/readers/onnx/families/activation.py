"""Activations; those without a row of their own are spelled out."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers import spelled_out
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.registry import reads
from edgepack.readers.spelled_out import SELU_ALPHA, SELU_SCALE

_SMOOTH: Final = {
    "Softplus": spelled_out.softplus, "Softsign": spelled_out.softsign, "Mish": spelled_out.mish,
}  # fmt: skip


@reads("LeakyRelu")
def leaky_relu(ctx: Context, node: Call) -> Value:
    """x, or alpha * x where negative."""
    return ctx.emit("LeakyRelu", node.input(0), alpha=node.attr("alpha", 0.01))


@reads("PRelu")
def prelu(ctx: Context, node: Call) -> Value:
    """x, or slope * x where negative; whole numbers by comparison."""
    x, slope = node.input(0), node.input(1)
    if x.dtype.is_float:
        return ctx.emit("PRelu", x, slope)
    return ctx.emit("Where", ctx.emit("Less", x, 0), ctx.emit("Mul", x, slope), x)


@reads("Elu")
def elu(ctx: Context, node: Call) -> Value:
    """alpha * (exp(x) - 1) where negative."""
    return spelled_out.elu(ctx, node.input(0), node.attr("alpha", 1.0))


@reads("Selu")
def selu(ctx: Context, node: Call) -> Value:
    """gamma * elu(x, alpha)."""
    alpha, gamma = node.attr("alpha", SELU_ALPHA), node.attr("gamma", SELU_SCALE)
    return spelled_out.elu(ctx, node.input(0), alpha, gamma)


@reads("Celu")
def celu(ctx: Context, node: Call) -> Value:
    """alpha * (exp(x / alpha) - 1) where negative."""
    alpha = node.attr("alpha", 1.0)
    return spelled_out.elu(ctx, node.input(0), alpha, inner=1 / alpha)


@reads("HardSigmoid")
def hard_sigmoid(ctx: Context, node: Call) -> Value:
    """alpha * x + beta, kept in 0..1."""
    line = ctx.emit("Mul", node.input(0), node.attr("alpha", 0.2))
    return ctx.emit("Clip", ctx.emit("Add", line, node.attr("beta", 0.5)), min=0.0, max=1.0)


@reads("Softplus", "Softsign", "Mish")
def smooth(ctx: Context, node: Call) -> Value:
    """log(1 + exp(x)), x / (1 + |x|), x * tanh(softplus(x))."""
    return _SMOOTH[node.op](ctx, node.input(0))


@reads("Swish")
def swish(ctx: Context, node: Call) -> Value:
    """x * sigmoid(alpha * x)."""
    x, alpha = node.input(0), node.attr("alpha", 1.0)
    inner = x if alpha == 1.0 else ctx.emit("Mul", x, alpha)
    return ctx.emit("Mul", x, ctx.emit("Sigmoid", inner))


@reads("Gelu")
def gelu(ctx: Context, node: Call) -> Value:
    """x * Phi(x)."""
    return ctx.emit("Gelu", node.input(0), approximate=node.attr("approximate", "none") == "tanh")


@reads("ThresholdedRelu")
def thresholded_relu(ctx: Context, node: Call) -> Value:
    """x where above alpha, else 0."""
    x = node.input(0)
    return ctx.emit("Where", ctx.emit("Greater", x, node.attr("alpha", 1.0)), x, 0.0)


@reads("Shrink")
def shrink(ctx: Context, node: Call) -> Value:
    """x + bias below -lambd, x - bias above lambd, 0 between."""
    x, bias, lambd = node.input(0), node.attr("bias", 0.0), node.attr("lambd", 0.5)
    above = ctx.emit("Where", ctx.emit("Greater", x, lambd), ctx.emit("Sub", x, bias), 0.0)
    return ctx.emit("Where", ctx.emit("Less", x, -lambd), ctx.emit("Add", x, bias), above)


@reads("Clip")
def clip(ctx: Context, node: Call) -> Value:
    """Between two bounds, either of which may be left out; max wins over min."""
    x = node.input(0)
    low, high = _bound(node, 1, "min"), _bound(node, 2, "max")
    if isinstance(low, Value) or isinstance(high, Value):
        y = x if low is None else ctx.emit("Maximum", x, low)
        return y if high is None else ctx.emit("Minimum", y, high)
    return spelled_out.clip(ctx, x, _finite(low, -math.inf), _finite(high, math.inf))


def _bound(node: Call, index: int, name: str) -> Value | float | None:
    if node.opset < 11:
        return None if node.attr(name) is None else float(node.attr(name))
    value = node.optional(index)
    if value is None or not value.is_const:
        return value
    number = value.const.reshape(-1)[0]
    return float(number) if value.dtype.is_float else int(number)


def _finite(bound: float | None, none: float) -> float:
    """A bound beyond what float32 holds bounds nothing."""
    if bound is None or math.isnan(bound):
        return none
    beyond = isinstance(bound, float) and abs(bound) >= float(np.finfo(np.float32).max)
    return none if beyond else bound


# -- along an axis ---------------------------------------------------------------------------------


@reads("Softmax", "LogSoftmax", "Hardmax")
def along_axis(ctx: Context, node: Call) -> Value:
    """Over one axis; before opset 13, over all dimensions from the axis on."""
    x = node.input(0)
    axis = normal_axis(node.attr("axis", -1 if node.opset >= 13 else 1), x.rank)
    if node.opset >= 13:
        return _along(ctx, node.op, x, axis)
    flat = ctx.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    return ctx.reshape(_along(ctx, node.op, flat, 1), x.shape)


def _along(ctx: Context, op: str, x: Value, axis: int) -> Value:
    if op != "Hardmax":
        return ctx.emit(op, x, axis=axis)
    best = ctx.emit("ArgMax", x, axis=axis, to=DType.INT64)
    return ctx.emit("OneHot", best, depth=x.shape[axis], axis=axis, to=x.dtype)
