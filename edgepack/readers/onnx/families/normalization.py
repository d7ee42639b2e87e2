"""Normalizations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ir import Value
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.registry import reads


@reads("BatchNormalization")
def batch_norm(ctx: Context, node: Call) -> Sequence[Value]:
    """With the stored statistics; in training mode with the batch's, which are then updated."""
    x, gamma, beta, mean, var = (node.input(i) for i in range(5))
    eps = node.attr("epsilon", 1e-5)
    if not node.attr("training_mode", 0):
        return [ctx.emit("BatchNorm", x, gamma, beta, mean, var, eps=eps, axis=min(1, x.rank - 1))]
    axes = [i for i in range(x.rank) if i != 1]
    batch_mean = ctx.reduce("ReduceMean", x, axes)
    batch_var = _variance(ctx, x, batch_mean, axes)
    shape = [-1 if i == 1 else 1 for i in range(x.rank)]
    column = [gamma.size if d == -1 else 1 for d in shape]
    y = _scaled(ctx, x, batch_mean, batch_var, eps)
    y = ctx.emit("Add", ctx.emit("Mul", y, ctx.reshape(gamma, column)), ctx.reshape(beta, column))
    keep = node.attr("momentum", 0.9)
    return [
        y,
        _blend(ctx, mean, ctx.reshape(batch_mean, mean.shape), keep),
        _blend(ctx, var, ctx.reshape(batch_var, var.shape), keep),
    ]


def _blend(ctx: Context, old: Value, new: Value, keep: float) -> Value:
    return ctx.emit("Add", ctx.emit("Mul", new, 1 - keep), ctx.emit("Mul", old, keep))


def _variance(ctx: Context, x: Value, mean: Value, axes: Sequence[int]) -> Value:
    return ctx.reduce("ReduceMean", ctx.emit("SquaredDifference", x, mean), axes)


def _scaled(ctx: Context, x: Value, mean: Value, var: Value, eps: float) -> Value:
    gain = ctx.emit("Rsqrt", ctx.emit("Add", var, eps))
    return ctx.emit("Mul", ctx.emit("Sub", x, mean), gain)


@reads("InstanceNormalization")
def instance_norm(ctx: Context, node: Call) -> Value:
    """Each channel of each sample over its spatial dimensions, then gamma and beta."""
    x, gamma, beta = (node.input(i) for i in range(3))
    column = (gamma.size, *(1 for _ in range(x.rank - 2)))
    axes = range(2, x.rank)
    mean = ctx.reduce("ReduceMean", x, axes)
    y = _scaled(ctx, x, mean, _variance(ctx, x, mean, axes), node.attr("epsilon", 1e-5))
    return ctx.emit(
        "Add", ctx.emit("Mul", y, ctx.reshape(gamma, column)), ctx.reshape(beta, column)
    )


@reads("GroupNormalization")
def group_norm(ctx: Context, node: Call) -> Value:
    """Each group of channels; gamma and beta per channel (per group before opset 21)."""
    x, gamma, beta = (node.input(i) for i in range(3))
    groups, channels = node.required("num_groups"), x.shape[1]
    flat = ctx.reshape(x, (x.shape[0], groups, -(-x.size // (x.shape[0] * groups))))
    y = ctx.emit("LayerNorm", flat, axis=-1, eps=node.attr("epsilon", 1e-5))
    y = ctx.reshape(y, x.shape)
    gamma, beta = (_per_channel(ctx, v, channels, x.rank) for v in (gamma, beta))
    return ctx.emit("Add", ctx.emit("Mul", y, gamma), beta)


def _per_channel(ctx: Context, v: Value, channels: int, rank: int) -> Value:
    if v.size != channels:
        wide = ctx.broadcast(ctx.reshape(v, (v.size, 1)), (v.size, channels // v.size))
        v = ctx.reshape(wide, (channels,))
    return ctx.reshape(v, (channels, *(1 for _ in range(rank - 2))))


@reads("LayerNormalization")
def layer_norm(ctx: Context, node: Call) -> Sequence[Value | None]:
    """Over the dimensions from the axis on; also mean and 1 / deviation if asked for."""
    x, gamma, beta = node.input(0), node.input(1), node.optional(2)
    axis, eps = normal_axis(node.attr("axis", -1), x.rank), node.attr("epsilon", 1e-5)
    tail = x.shape[axis:]
    gamma = _wide(ctx, gamma, tail)
    beta = None if beta is None else _wide(ctx, beta, tail)
    inputs = [x, gamma] if beta is None else [x, gamma, beta]
    y = ctx.emit("LayerNorm", *inputs, axis=axis, eps=eps)
    if not (node.wants(1) or node.wants(2)):
        return [y]
    axes = range(axis, x.rank)
    mean = ctx.reduce("ReduceMean", x, axes)
    gain = ctx.emit("Rsqrt", ctx.emit("Add", _variance(ctx, x, mean, axes), eps))
    return [y, mean, gain]


def _wide(ctx: Context, v: Value, shape: Sequence[int]) -> Value:
    return ctx.broadcast(v, shape)


@reads("RMSNormalization", "SimplifiedLayerNormalization")
def rms_norm(ctx: Context, node: Call) -> Value:
    """x over its root mean square from the axis on, times gamma."""
    x, gamma = node.input(0), node.input(1)
    axis = normal_axis(node.attr("axis", -1), x.rank)
    gamma = _wide(ctx, gamma, x.shape[axis:])
    return ctx.emit("RmsNorm", x, gamma, axis=axis, eps=node.attr("epsilon", 1e-5))


@reads("LpNormalization")
def lp_norm(ctx: Context, node: Call) -> Value:
    """x over its L1 or L2 length along an axis; zero where that is zero."""
    x, p = node.input(0), node.attr("p", 2)
    axis = normal_axis(node.attr("axis", -1), x.rank)
    if p == 1:
        length = ctx.reduce("ReduceSum", ctx.emit("Abs", x), [axis])
    else:
        length = ctx.emit("Sqrt", ctx.reduce("ReduceSum", ctx.emit("Mul", x, x), [axis]))
    tiny = float(np.finfo(x.dtype.numpy).tiny)
    return ctx.emit("Div", x, ctx.emit("Maximum", length, tiny))


@reads("MeanVarianceNormalization")
def mean_variance(ctx: Context, node: Call) -> Value:
    """(x - mean) / deviation over axes."""
    x = node.input(0)
    axes = node.attr("axes", (0, 2, 3))
    mean = ctx.reduce("ReduceMean", x, axes)
    return _scaled(ctx, x, mean, _variance(ctx, x, mean, axes), 1e-9)


@reads("LRN")
def lrn(ctx: Context, node: Call) -> Value:
    """x / (bias + alpha / size * sum of squares of neighbouring channels) ^ beta."""
    x, size = node.input(0), node.required("size")
    alpha, beta = node.attr("alpha", 1e-4), node.attr("beta", 0.75)
    bias = node.attr("bias", 1.0)
    if x.rank == 4 and size % 2:
        return ctx.emit("Lrn", x, radius=size // 2, bias=bias, alpha=alpha / size, beta=beta)
    before = (size - 1) // 2
    rest = math.prod(x.shape[2:])
    squares = ctx.reshape(ctx.emit("Mul", x, x), (x.shape[0], 1, x.shape[1], rest))
    mean = ctx.emit(
        "AveragePool2d", squares, kernel=(size, 1), pad=((before, size - 1 - before), (0, 0)),
        count_include_pad=True,
    )  # fmt: skip
    base = ctx.emit("Add", ctx.emit("Mul", ctx.reshape(mean, x.shape), alpha), bias)
    return ctx.emit("Div", x, ctx.emit("Pow", base, beta))
