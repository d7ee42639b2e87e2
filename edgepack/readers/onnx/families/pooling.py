"""Pooling, in any number of dimensions, with dilations and with the index of the maximum."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.families.window import Window, read_window
from edgepack.readers.onnx.registry import reads

Pooling = Callable[[Context, Value, Window], Value]


@reads("MaxPool")
def max_pool(ctx: Context, node: Call) -> Sequence[Value]:
    """Maximum of each window and, if asked for, its flat index in the input."""
    x = node.input(0)
    window = read_window(node, x.shape[2:], node.required("kernel_shape"))
    y = over_dimensions(ctx, x, window, _max_2d)
    if not node.wants(1):
        return [y]
    return [y, _max_indices(ctx, x, window, column_major=bool(node.attr("storage_order", 0)))]


def _max_2d(ctx: Context, x: Value, window: Window) -> Value:
    return ctx.emit("MaxPool2d", x, kernel=window.kernel, **window.attrs)


@reads("AveragePool")
def average_pool(ctx: Context, node: Call) -> Value:
    """Mean of each window; explicit padding counts with count_include_pad, ceil's never does."""
    return average_of(ctx, node, node.input(0))


def average_of(ctx: Context, node: Call, x: Value) -> Value:
    """AveragePool of `x` with the attributes of `node`."""
    window = read_window(node, x.shape[2:], node.required("kernel_shape"))
    count_pad = bool(node.attr("count_include_pad", 0))
    if (
        window.rank == 2
        and set(window.dilation) == {1}
        and not (count_pad and any(window.ceil_pad))
    ):
        return ctx.emit(
            "AveragePool2d", x, kernel=window.kernel, **window.attrs, count_include_pad=count_pad,
            
        )  # fmt: skip
    total = window_sum(ctx, x, window)
    return ctx.emit("Mul", total, ctx.const(_share(window, x.shape[2:], count_pad), x.dtype))


def _share(window: Window, spatial: Sequence[int], count_pad: bool) -> Array:
    """One over the number of counted elements, per output position."""
    counts = []
    for i, size in enumerate(spatial):
        before, after = window.pad[i]
        line = np.pad(np.ones(size), (before, after), constant_values=1.0 if count_pad else 0.0)
        line = np.pad(line, (0, window.ceil_pad[i]))
        reach = (window.kernel[i] - 1) * window.dilation[i] + 1
        views = np.lib.stride_tricks.sliding_window_view(line, reach)
        counts.append(views[:: window.stride[i], :: window.dilation[i]].sum(axis=1))
    total = counts[0]
    for count in counts[1:]:
        total = np.multiply.outer(total, count)
    return np.asarray(1.0 / total)


def window_sum(ctx: Context, x: Value, window: Window) -> Value:
    """Sum of each window; padding is zero."""
    volume = math.prod(window.kernel)
    mean = over_dimensions(ctx, x, window, _padded_mean_2d, taps="Add")
    # Dilated windows are added up tap by tap; plain ones are means over the whole kernel.
    return mean if any(d > 1 for d in window.dilation) else ctx.emit("Mul", mean, float(volume))


def _padded_mean_2d(ctx: Context, x: Value, window: Window) -> Value:
    return ctx.emit(
        "AveragePool2d", x, kernel=window.kernel, **window.attrs, count_include_pad=True,
        
    )  # fmt: skip


def over_dimensions(
    ctx: Context, x: Value, window: Window, pool: Pooling, taps: str = "Maximum"
) -> Value:
    """Pool by 2-D operators: lines as height 1, volumes one dimension after the other."""
    if any(d > 1 for d in window.dilation):
        return _by_taps(ctx, x, window, taps)
    if window.rank == 2:
        return pool(ctx, x, window)
    if window.rank == 1:
        y = pool(ctx, ctx.reshape(x, (*x.shape[:2], 1, x.shape[2])), window.lifted())
        return ctx.reshape(y, (*y.shape[:2], y.shape[3]))
    if window.rank == 3:
        return _pool_3d(ctx, x, window, pool)
    raise Refused(f"{window.rank} spatial dimensions", "use 1 to 3")


def _pool_3d(ctx: Context, x: Value, window: Window, pool: Pooling) -> Value:
    batch, channels, depth, height, width = x.shape
    planes = ctx.reshape(x, (batch, channels * depth, height, width))
    planes = pool(ctx, planes, window.only((1, 2)))
    out_h, out_w = planes.shape[2:]
    columns = ctx.reshape(planes, (batch, channels, depth, out_h * out_w))
    deep = window.only((0,)).lifted()
    upright = Window(
        deep.kernel[::-1], deep.stride[::-1], deep.dilation[::-1], deep.pad[::-1],
        deep.ceil_pad[::-1],
    )  # fmt: skip
    y = pool(ctx, columns, upright)
    return ctx.reshape(y, (batch, channels, y.shape[2], out_h, out_w))


def _by_taps(ctx: Context, x: Value, window: Window, op: str) -> Value:
    """Join shifted slices of the padded value, one dimension after the other."""
    x = ctx.pad(x, [(0, 0), (0, 0), *window.full_pad], lowest(x.dtype) if op == "Maximum" else 0.0)
    for i in range(window.rank):
        axis = i + 2
        stride, dilation, kernel = window.stride[i], window.dilation[i], window.kernel[i]
        count = (x.shape[axis] - (kernel - 1) * dilation - 1) // stride + 1
        parts = [ctx.slice(x, axis, k * dilation, count, stride) for k in range(kernel)]
        x = ctx.total(op, parts)
    return x


def lowest(dtype: DType) -> float:
    """The smallest finite number of a type."""
    return float(np.finfo(dtype.numpy).min) if dtype.is_float else dtype.limits[0]


def _max_indices(ctx: Context, x: Value, window: Window, *, column_major: bool) -> Value:
    """Arg-max over the taps of a window, then the flat index that each tap stands for."""
    spatial = x.shape[2:]
    padded = ctx.pad(x, [(0, 0), (0, 0), *window.full_pad], lowest(x.dtype))
    counts = [
        (padded.shape[i + 2] - (window.kernel[i] - 1) * window.dilation[i] - 1) // window.stride[i]
        + 1
        for i in range(window.rank)
    ]
    taps = list(itertools.product(*(range(k) for k in window.kernel)))
    parts = []
    for tap in taps:
        begin = [0, 0, *(t * d for t, d in zip(tap, window.dilation, strict=True))]
        part = ctx.emit(
            "Slice",
            padded,
            begin=begin,
            size=(*x.shape[:2], *counts),
            stride=(1, 1, *window.stride),
        )
        parts.append(ctx.reshape(part, (*part.shape, 1)))
    best = ctx.emit("ArgMax", ctx.emit("Concat", *parts, axis=-1), axis=-1, to=DType.INT64)
    steps = _steps(spatial, column_major=column_major)
    offsets = [sum(t * d * s for t, d, s in zip(tap, window.dilation, steps, strict=True))
               for tap in taps]  # fmt: skip
    chosen = ctx.emit("Gather", ctx.const(np.array(offsets, np.int64)), best, axis=0)
    return ctx.emit("Add", chosen, ctx.const(_origins(x.shape, window, counts, steps)))


def _steps(spatial: Sequence[int], *, column_major: bool) -> list[int]:
    order = list(spatial)[::-1] if column_major else list(spatial)
    steps = [math.prod(order[i + 1 :]) for i in range(len(order))]
    return steps[::-1] if column_major else steps


def _origins(
    shape: Sequence[int], window: Window, counts: Sequence[int], steps: Sequence[int]
) -> Array:
    """Flat index of the first element of every window, [N, C, *counts]."""
    planes = np.arange(shape[0] * shape[1], dtype=np.int64) * math.prod(shape[2:])
    result = planes.reshape(shape[0], shape[1], *(1 for _ in counts))
    for i, count in enumerate(counts):
        line = (np.arange(count, dtype=np.int64) * window.stride[i] - window.pad[i][0]) * steps[i]
        result = result + line.reshape([-1 if j == i + 2 else 1 for j in range(len(shape))])
    return np.asarray(result)


@reads("LpPool")
def lp_pool(ctx: Context, node: Call) -> Value:
    """(sum of |x|^p)^(1/p) of each window."""
    x, p = node.input(0), float(node.attr("p", 2))
    window = read_window(node, x.shape[2:], node.required("kernel_shape"))
    powers = ctx.emit("Mul", x, x) if p == 2 else ctx.emit("Pow", ctx.emit("Abs", x), p)
    total = window_sum(ctx, powers, window)
    return ctx.emit("Sqrt", total) if p == 2 else ctx.emit("Pow", total, 1 / p)


@reads("GlobalAveragePool")
def global_average_pool(ctx: Context, node: Call) -> Value:
    """Mean over all spatial dimensions."""
    return global_average_of(ctx, node.input(0))


def global_average_of(ctx: Context, x: Value) -> Value:
    """The mean of `x` over all spatial dimensions, which are kept as 1."""
    return ctx.reduce("ReduceMean", x, range(2, x.rank))


@reads("GlobalMaxPool")
def global_max_pool(ctx: Context, node: Call) -> Value:
    """Maximum over all spatial dimensions."""
    x = node.input(0)
    return ctx.reduce("ReduceMax", x, range(2, x.rank))


@reads("GlobalLpPool")
def global_lp_pool(ctx: Context, node: Call) -> Value:
    """(sum of |x|^p)^(1/p) over all spatial dimensions."""
    x, p = node.input(0), float(node.attr("p", 2))
    total = ctx.reduce("ReduceSum", ctx.emit("Pow", ctx.emit("Abs", x), p), range(2, x.rank))
    return ctx.emit("Pow", total, 1 / p)
