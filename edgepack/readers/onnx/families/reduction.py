"""Reductions, arg-reductions, running sums and TopK."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.registry import READS, reads

Reduction = Callable[[Context, Value, tuple[int, ...], bool], Value]

# The opset from which the axes of a reduction are an input instead of an attribute.
_AXES_INPUT_SINCE = {"ReduceSum": 13}


def _simple(op: str) -> Reduction:
    return lambda ctx, x, axes, keep: ctx.reduce(op, x, axes, keepdims=keep)


def _logical(op: str, logical: str) -> Reduction:
    return lambda ctx, x, axes, keep: ctx.reduce(
        logical if x.dtype is DType.BOOL else op, x, axes, keepdims=keep
    )


def _sum_square(ctx: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return ctx.reduce("ReduceSum", ctx.emit("Mul", x, x), axes, keepdims=keep)


def _l1(ctx: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return ctx.reduce("ReduceSum", ctx.emit("Abs", x), axes, keepdims=keep)


def _l2(ctx: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return ctx.emit("Sqrt", _sum_square(ctx, x, axes, keep))


def _log_sum(ctx: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return ctx.emit("Log", ctx.reduce("ReduceSum", x, axes, keepdims=keep))


def _log_sum_exp(ctx: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """max + log(sum(exp(x - max))): exp never overflows."""
    if not x.size:
        return _log_sum(ctx, x, axes, keep)
    peak = ctx.reduce("ReduceMax", x, axes)
    total = ctx.reduce("ReduceSum", ctx.emit("Exp", ctx.emit("Sub", x, peak)), axes)
    y = ctx.emit("Add", peak, ctx.emit("Log", total))
    if keep:
        return y
    return ctx.reshape(y, [d for i, d in enumerate(y.shape) if i not in axes])


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceSum": _simple("ReduceSum"),
    "ReduceMean": _simple("ReduceMean"),
    "ReduceMax": _logical("ReduceMax", "ReduceAny"),
    "ReduceMin": _logical("ReduceMin", "ReduceAll"),
    "ReduceProd": _simple("ReduceProd"),
    "ReduceSumSquare": _sum_square,
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
}


def _reduce(ctx: Context, node: Call) -> Value:
    x = node.input(0)
    asked = node.ints("axes", 1, _AXES_INPUT_SINCE.get(node.op, 18))
    if not asked:
        asked = [] if node.attr("noop_with_empty_axes", 0) else list(range(x.rank))
    axes = tuple(sorted({normal_axis(a, x.rank) for a in asked})) if x.rank else ()
    if not axes and node.op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
        return x
    if not x.size and node.op in ("ReduceMax", "ReduceMin"):
        return _empty_extreme(ctx, node, x, axes)
    return _REDUCTIONS[node.op](ctx, x, axes, bool(node.attr("keepdims", 1)))


def _empty_extreme(ctx: Context, node: Call, x: Value, axes: tuple[int, ...]) -> Value:
    """The extreme of nothing: the bound of the type that loses against everything."""
    low, high = (-np.inf, np.inf) if x.dtype.is_float else x.dtype.limits
    shape = [1 if i in axes else d for i, d in enumerate(x.shape)]
    if not node.attr("keepdims", 1):
        shape = [d for i, d in enumerate(x.shape) if i not in axes]
    return ctx.const(np.full(shape, low if node.op == "ReduceMax" else high), x.dtype)


READS.update(dict.fromkeys(_REDUCTIONS, _reduce))


@reads("ArgMax", "ArgMin")
def arg_reduce(ctx: Context, node: Call) -> Value:
    """Index of the first extreme, or of the last one: the first one from behind."""
    x = node.input(0)
    axis = normal_axis(node.attr("axis", 0), x.rank)
    last = bool(node.attr("select_last_index", 0))
    seen = ctx.emit("Reverse", x, axes=(axis,)) if last else x
    best = ctx.emit(node.op, seen, axis=axis, to=DType.INT64)
    if last:
        best = ctx.emit("Sub", x.shape[axis] - 1, best)
    if not node.attr("keepdims", 1):
        return best
    return ctx.reshape(best, [1 if i == axis else d for i, d in enumerate(x.shape)])


@reads("CumSum")
def cum_sum(ctx: Context, node: Call) -> Value:
    """Running sum along an axis."""
    x = node.input(0)
    axis = normal_axis(node.known_ints(1, "axis")[0], x.rank)
    return ctx.emit(
        "CumSum", x, axis=axis, exclusive=bool(node.attr("exclusive", 0)),
        reverse=bool(node.attr("reverse", 0)),
    )  # fmt: skip


@reads("TopK")
def top_k(ctx: Context, node: Call) -> Sequence[Value]:
    """The k largest or smallest along an axis, with int64 indices."""
    x = node.input(0)
    k = int(node.required("k")) if node.opset < 10 else node.known_ints(1, "k")[0]
    axis = normal_axis(node.attr("axis", -1), x.rank)
    order = [i for i in range(x.rank) if i != axis] + [axis]
    moved = ctx.transpose(x, order)
    largest = bool(node.attr("largest", 1))
    values, indices = ctx.emit_multi("TopK", moved if largest else _flipped(ctx, moved), k=k)
    values = values if largest else _flipped(ctx, values)
    back = [int(i) for i in np.argsort(order)]
    return [
        ctx.transpose(values, back),
        ctx.cast(ctx.transpose(indices, back), DType.INT64),
    ]


def _flipped(ctx: Context, x: Value) -> Value:
    """The order reversed, without overflow: -x for reals, -1 - x for whole numbers."""
    if x.dtype.is_float:
        return ctx.emit("Neg", x)
    low, high = x.dtype.limits
    return ctx.emit("Sub", low + high, x)
