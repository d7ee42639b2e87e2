"""QuantizeLinear and DequantizeLinear: known parameters become those of the integer value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import DType, QuantParams, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.model import dtype_of, narrow_limits
from edgepack.readers.onnx.registry import reads

# The operators that read an integer value together with its parameters.
_KNOW_PARAMETERS = frozenset(
    ["DequantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd", "QLinearMul",
     "QLinearConcat", "QLinearGlobalAveragePool", "QLinearAveragePool", "QLinearSoftmax",
     "QLinearSigmoid", "QLinearLeakyRelu"]
)  # fmt: skip


@reads("QuantizeLinear", "com.microsoft::QuantizeLinear")
def quantize_linear(ctx: Context, node: Call) -> Value:
    """x / scale + zero_point, rounded to even, saturated."""
    x, scale, zero = node.input(0), node.input(1), node.optional(2)
    to = _integer_type(node, zero)
    limits = _narrow_limits(ctx, node, zero)
    params = _params(node, x, scale, zero)
    if params is not None and limits is None and _suits(params, to):
        return quantize(ctx, x, params, to)
    scales, zeros = _spread(ctx, node, x, scale, zero)
    return _spelled_quantize(ctx, x, scales, zeros, to, limits or to.limits)


def _integer_type(node: Call, zero: Value | None) -> DType:
    if zero is not None:
        return zero.dtype
    number = node.attr("output_dtype", 0)
    dtype = dtype_of(number) if number else DType.UINT8
    if dtype is None or not dtype.is_integer:
        raise Refused("quantization to this type", "quantize to int8, uint8 or int16")
    return dtype


def _narrow_limits(ctx: Context, node: Call, zero: Value | None) -> tuple[int, int] | None:
    """The range of a type below 8 bits, which the graph stores wider."""
    if zero is not None:
        return ctx.narrow.get(zero)
    return narrow_limits(node.attr("output_dtype", 0))


def _suits(params: QuantParams, to: DType) -> bool:
    """Whether the runtimes take activations of this kind: 16 bits only without a zero point."""
    if to is DType.INT16 and params.zero_point.any():
        return False
    return params.is_per_tensor and to in (DType.INT8, DType.UINT8, DType.INT16)


def quantize(ctx: Context, x: Value, params: QuantParams, to: DType) -> Value:
    """`x` as integers with these parameters."""
    if x.is_const:
        return ctx.const(params.quantize(x.const, to), quant=params)
    y = ctx.emit("Quantize", ctx.cast(x, DType.FLOAT32), to=to)
    y.quant = params
    return y


def dequantize(ctx: Context, q: Value, params: QuantParams) -> Value:
    """The real numbers that integers stand for; a constant keeps its integers."""
    if q.is_const and q.quant != params:
        q = ctx.const(q.const, quant=params)
    q.quant = params
    return ctx.emit("Dequantize", q, to=DType.FLOAT32)


@reads("DequantizeLinear", "com.microsoft::DequantizeLinear")
def dequantize_linear(ctx: Context, node: Call) -> Value:
    """(q - zero_point) * scale in the scale's type."""
    q, scale, zero = node.input(0), node.input(1), node.optional(2)
    params = _params(node, q, scale, zero)
    if params is not None and may_carry(node, q, params):
        return ctx.cast(dequantize(ctx, q, params), scale.dtype)
    return _spelled_dequantize(ctx, q, *_spread(ctx, node, q, scale, zero))


def may_carry(node: Call, q: Value, params: QuantParams) -> bool:
    """Whether the parameters can be written on `q` itself."""
    if q.dtype not in (DType.INT8, DType.UINT8, DType.INT16, DType.INT32):
        return False
    if q.is_const:
        return True
    if not _suits(params, q.dtype):
        return False
    if q.quant is not None:
        return q.quant == params
    return _KNOW_PARAMETERS.issuperset(node.foreign_users) or _only_reader(node, q)


def _only_reader(node: Call, q: Value) -> bool:
    return not q.users and len(node.foreign_users) <= 1


def _params(node: Call, x: Value, scale: Value, zero: Value | None) -> QuantParams | None:
    """Known, unblocked parameters; None for any others."""
    if not scale.is_const or (zero is not None and not zero.is_const):
        return None
    if node.attr("block_size", 0) or scale.rank > 1:
        return None
    scales = scale.const.reshape(-1).astype(np.float32)
    zeros = np.zeros(scales.shape, np.int64)
    if zero is not None:
        zeros = np.broadcast_to(zero.const.reshape(-1).astype(np.int64), scales.shape).copy()
    if scales.size == 1:
        return QuantParams(scales, zeros)
    axis = normal_axis(node.attr("axis", 1), x.rank)
    if x.shape[axis] != scales.size:
        raise ValueError(f"{scales.size} scales for dimension {axis} of {x.shape}")
    return QuantParams(scales, zeros, axis)


def _spread(
    ctx: Context, node: Call, x: Value, scale: Value, zero: Value | None
) -> tuple[Value, Value | None]:
    """Scale and zero point so that they broadcast against x: per axis, or repeated per block."""
    single = scale.size == 1
    axis = 0 if single else normal_axis(node.attr("axis", 1), x.rank)
    block = node.attr("block_size", 0)

    def widen(v: Value) -> Value:
        if v.size == 1:
            return ctx.reshape(v, ())
        if not block:
            return ctx.reshape(v, [v.size if i == axis else 1 for i in range(x.rank)])
        lines = np.minimum(np.arange(x.shape[axis]) // block, v.shape[axis] - 1)
        return ctx.emit("Gather", v, ctx.const(lines.astype(np.int64)), axis=axis)

    return widen(scale), None if zero is None else widen(zero)


def _spelled_quantize(
    ctx: Context, x: Value, scale: Value, zero: Value | None, to: DType, limits: tuple[int, int]
) -> Value:
    real = ctx.cast(x, DType.FLOAT32)
    y = ctx.emit("Round", ctx.emit("Div", real, ctx.cast(scale, DType.FLOAT32)))
    if zero is not None:
        y = ctx.emit("Add", y, ctx.cast(zero, DType.FLOAT32))
    low, high = limits
    return ctx.cast(ctx.emit("Clip", y, min=float(low), max=float(high)), to)


def _spelled_dequantize(ctx: Context, q: Value, scale: Value, zero: Value | None) -> Value:
    wide = ctx.cast(q, DType.FLOAT32)
    if zero is not None:
        wide = ctx.emit("Sub", wide, ctx.cast(zero, DType.FLOAT32))
    return ctx.emit("Mul", ctx.cast(wide, scale.dtype), scale)


@reads("DynamicQuantizeLinear")
def dynamic_quantize(ctx: Context, node: Call) -> Sequence[Value]:
    """uint8 with the range of the data, which always holds zero."""
    x = node.input(0)
    axes = range(x.rank)
    high = ctx.emit("Maximum", ctx.reduce("ReduceMax", x, axes, keepdims=False), 0.0)
    low = ctx.emit("Minimum", ctx.reduce("ReduceMin", x, axes, keepdims=False), 0.0)
    scale = ctx.emit("Div", ctx.emit("Sub", high, low), 255.0)
    zero = ctx.emit("Round", ctx.emit("Div", ctx.emit("Neg", low), scale))
    zero = ctx.emit("Clip", zero, min=0.0, max=255.0)
    y = ctx.emit("Add", ctx.emit("Round", ctx.emit("Div", x, scale)), zero)
    y = ctx.cast(ctx.emit("Clip", y, min=0.0, max=255.0), DType.UINT8)
    return [y, scale, ctx.cast(zero, DType.UINT8)]


# -- for the operators that compute on integers ----------------------------------------------------


def real_input(ctx: Context, node: Call, q: Value, first: int, axis: int | None = None) -> Value:
    """`q` dequantized by the scale and zero point that are inputs `first` and `first + 1`."""
    params = known_params(node, first, axis)
    if params.axis is not None and q.shape[params.axis] != params.scale.size:
        raise ValueError(f"{params.scale.size} scales for dimension {axis} of {q.shape}")
    if may_carry(node, q, params):
        return dequantize(ctx, q, params)
    scale, zero = ctx.reshape(node.input(first), ()), node.optional(first + 1)
    zero = None if zero is None else ctx.reshape(zero, ())
    return ctx.cast(_spelled_dequantize(ctx, q, scale, zero), DType.FLOAT32)


def known_params(node: Call, first: int, axis: int | None = None) -> QuantParams:
    """The parameters that inputs `first` and `first + 1` hold; no zero point means 0."""
    scales = node.known(first, "scale").reshape(-1).astype(np.float32)
    zeros = np.zeros(1, np.int64)
    if node.optional(first + 1) is not None:
        zeros = node.known(first + 1, "zero point").reshape(-1).astype(np.int64)
    zeros = np.broadcast_to(zeros, scales.shape).copy()
    return QuantParams(scales, zeros, axis if scales.size > 1 else None)
