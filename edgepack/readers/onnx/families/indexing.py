"""Gather and scatter in all their forms.

Where indices are constants, scattering is gathering: each element of the result comes from the data
or from the updates, and which one is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.registry import reads


def counted_from_front(ctx: Context, indices: Value, size: int) -> Value:
    """Indices in 0..size-1; negative ones count from the end."""
    if indices.is_const:
        fixed = np.where(indices.const < 0, indices.const + size, indices.const)
        if fixed.size and not (fixed.min() >= 0 and fixed.max() < size):
            raise ValueError(f"an index lies outside of 0..{size - 1}")
        return indices if np.array_equal(fixed, indices.const) else ctx.const(fixed)
    return ctx.emit("Where", ctx.emit("Less", indices, 0), ctx.emit("Add", indices, size), indices)


@reads("Gather")
def gather(ctx: Context, node: Call) -> Value:
    """Slices at indices along an axis."""
    x = node.input(0)
    axis = normal_axis(node.attr("axis", 0), x.rank)
    return ctx.emit("Gather", x, counted_from_front(ctx, node.input(1), x.shape[axis]), axis=axis)


@reads("GatherElements")
def gather_elements(ctx: Context, node: Call) -> Value:
    """One element per index: from the flat data at computed places."""
    x, indices = node.input(0), node.input(1)
    axis = normal_axis(node.attr("axis", 0), x.rank)
    places = _flat_places(ctx, x.shape, indices, axis)
    return ctx.emit("Gather", ctx.reshape(x, (x.size,)), places, axis=0)


def _flat_places(ctx: Context, shape: Sequence[int], indices: Value, axis: int) -> Value:
    """Flat place in `shape` of each element's own position with `axis` replaced by its index."""
    steps = _row_steps(shape)
    grid = np.indices(indices.shape, sparse=True)
    parts = [g * s for i, (g, s) in enumerate(zip(grid, steps, strict=True)) if i != axis]
    base = np.broadcast_to(np.asarray(sum(parts)), indices.shape)
    along = counted_from_front(ctx, indices, shape[axis])
    scaled = ctx.emit("Mul", along, steps[axis])
    return ctx.emit("Add", scaled, ctx.const(base, indices.dtype))


def _row_steps(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


@reads("GatherND")
def gather_nd(ctx: Context, node: Call) -> Value:
    """Slices at index tuples; the first batch_dims dimensions are matched."""
    x, indices = node.input(0), node.input(1)
    batch = node.attr("batch_dims", 0)
    depth = indices.shape[-1]
    sizes = x.shape[batch : batch + depth]
    indices = _tuples_from_front(ctx, indices, sizes)
    if not batch:
        return ctx.emit("GatherNd", x, indices)
    lead = np.moveaxis(np.indices(indices.shape[:-1])[:batch], 0, -1)
    prefix = ctx.const(lead, indices.dtype)
    return ctx.emit("GatherNd", x, ctx.emit("Concat", prefix, indices, axis=-1))


def _tuples_from_front(ctx: Context, indices: Value, sizes: Sequence[int]) -> Value:
    limits = ctx.const(np.array(sizes), indices.dtype)
    if indices.is_const and (indices.const >= 0).all():
        return indices
    return ctx.emit(
        "Where", ctx.emit("Less", indices, 0), ctx.emit("Add", indices, limits), indices
    )


# -- scatter ---------------------------------------------------------------------------------------

_REDUCTIONS = {"add": "Add", "mul": "Mul", "max": "Maximum", "min": "Minimum"}


@reads("Scatter", "ScatterElements")
def scatter_elements(ctx: Context, node: Call) -> Value:
    """One update per index along an axis."""
    x, indices, updates = (node.input(i) for i in range(3))
    axis = normal_axis(node.attr("axis", 0), x.rank)
    places = ctx.reshape(_flat_places(ctx, x.shape, indices, axis), (indices.size,))
    return _scatter(ctx, x, places, ctx.reshape(updates, (updates.size,)), node)


@reads("ScatterND")
def scatter_nd(ctx: Context, node: Call) -> Value:
    """One slice per index tuple."""
    x, indices, updates = (node.input(i) for i in range(3))
    depth = indices.shape[-1]
    rows = _tuples_from_front(ctx, indices, x.shape[:depth])
    steps = ctx.const(np.array(_row_steps(x.shape)[:depth]), indices.dtype)
    starts = ctx.reduce("ReduceSum", ctx.emit("Mul", rows, steps), [rows.rank - 1])
    inner = math.prod(x.shape[depth:])
    starts = ctx.reshape(starts, (math.prod(indices.shape[:-1]), 1))
    offsets = ctx.const(np.arange(inner).reshape(1, inner), indices.dtype)
    places = ctx.emit("Add", starts, offsets)
    places = ctx.reshape(places, (places.size,))
    return _scatter(ctx, x, places, ctx.reshape(updates, (updates.size,)), node)


def _scatter(ctx: Context, x: Value, places: Value, updates: Value, node: Call) -> Value:
    """Write or join flat `updates` at flat `places` of `x`."""
    reduction = node.attr("reduction", "none")
    if reduction not in ("none", *_REDUCTIONS):
        raise Refused(f"reduction {reduction!r}")
    flat = ctx.reshape(x, (x.size,))
    if places.is_const:
        result = _known_scatter(ctx, flat, places.const, updates, reduction)
    else:
        result = _computed_scatter(ctx, flat, places, updates, reduction)
    return ctx.reshape(result, x.shape)


def _known_scatter(
    ctx: Context, flat: Value, places: Array, updates: Value, reduction: str
) -> Value:
    if places.size and not (places.min() >= 0 and places.max() < flat.size):
        raise ValueError("an index lies outside of the data")
    if reduction == "none":
        source = np.arange(flat.size, dtype=np.int64)
        source[places] = flat.size + np.arange(places.size)  # the last of several updates stays
        both = ctx.emit("Concat", flat, updates, axis=0)
        return ctx.emit("Gather", both, ctx.const(source), axis=0)
    for turn in _turns(places):
        source = np.arange(flat.size, dtype=np.int64)
        source[places[turn]] = flat.size + np.arange(len(turn))
        now = ctx.emit("Gather", flat, ctx.const(places[turn].astype(np.int64)), axis=0)
        part = ctx.emit("Gather", updates, ctx.const(turn), axis=0)
        joined = ctx.emit(_REDUCTIONS[reduction], now, part)
        both = ctx.emit("Concat", flat, joined, axis=0)
        flat = ctx.emit("Gather", both, ctx.const(source), axis=0)
    return flat


def _turns(places: Array) -> list[Array]:
    """The updates in groups that touch no place twice."""
    seen: dict[int, int] = {}
    turns: list[list[int]] = []
    for i, place in enumerate(places.tolist()):
        turn = seen.get(place, 0)
        seen[place] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(i)
    return [np.array(turn, np.int64) for turn in turns]


def _computed_scatter(
    ctx: Context, flat: Value, places: Value, updates: Value, reduction: str
) -> Value:
    """With places known only at run time: no two of them may be equal, except to add."""
    rows = ctx.cast(ctx.reshape(places, (places.size, 1)), DType.INT32)
    spread = ctx.emit("ScatterNd", rows, updates, shape=(flat.size,))
    if reduction == "add":
        return ctx.emit("Add", flat, spread)
    if reduction != "none":
        raise Refused(f"reduction {reduction!r} at computed indices")
    ones = ctx.const(np.ones(updates.shape, np.float32))
    hits = ctx.emit("ScatterNd", rows, ones, shape=(flat.size,))
    return ctx.emit("Where", ctx.emit("Greater", hits, 0.0), spread, flat)


@reads("TensorScatter")
def tensor_scatter(ctx: Context, node: Call) -> Value:
    """Updates written into a cache at a place per batch entry."""
    x, updates = node.input(0), node.input(1)
    axis = normal_axis(node.attr("axis", -2), x.rank)
    starts = np.zeros(x.shape[0], np.int64)
    if node.optional(2) is not None:
        starts = node.known(2, "write places").reshape(-1)
    grid = list(np.indices(updates.shape))
    grid[axis] = grid[axis] + starts.reshape([-1] + [1] * (updates.rank - 1))
    if node.attr("mode", "linear") == "circular":
        grid[axis] = grid[axis] % x.shape[axis]
    places = np.ravel_multi_index(tuple(grid), x.shape).reshape(-1)
    flat = ctx.reshape(x, (x.size,))
    y = _known_scatter(ctx, flat, places, ctx.reshape(updates, (updates.size,)), "none")
    return ctx.reshape(y, x.shape)


# -- picking ---------------------------------------------------------------------------------------


@reads("OneHot")
def one_hot(ctx: Context, node: Call) -> Value:
    """On at the index, off elsewhere; negative indices count from the end."""
    indices, values = node.input(0), node.known(2, "values").reshape(-1)
    depth = int(node.known(1, "depth").reshape(-1)[0])
    if indices.dtype.is_float:
        indices = ctx.cast(indices, DType.INT64)
    if "u" not in indices.dtype.value:
        indices = ctx.emit(
            "Where", ctx.emit("Less", indices, 0), ctx.emit("Add", indices, depth), indices
        )
    return ctx.emit(
        "OneHot", indices, depth=depth, axis=node.attr("axis", -1), on=values[1].item(),
        off=values[0].item(), to=node.input(2).dtype,
    )  # fmt: skip


@reads("Compress")
def compress(ctx: Context, node: Call) -> Value:
    """The slices for which a known condition holds."""
    x, axis = node.input(0), node.attr("axis")
    picks = np.flatnonzero(node.known(1, "condition"))
    if axis is None:
        x, axis = ctx.reshape(x, (x.size,)), 0
    axis = normal_axis(axis, x.rank)
    return ctx.emit(
        "Gather", x, ctx.const(picks[picks < x.shape[axis]].astype(np.int64)), axis=axis
    )


@reads("ReverseSequence")
def reverse_sequence(ctx: Context, node: Call) -> Value:
    """The first elements of each batch entry in reverse, as many as its known length says."""
    x = node.input(0)
    lengths = node.known(1, "sequence lengths").reshape(-1)
    batch, time = node.attr("batch_axis", 1), node.attr("time_axis", 0)
    grid = list(np.indices(x.shape))
    size = lengths.reshape([-1 if i == batch else 1 for i in range(x.rank)])
    grid[time] = np.where(grid[time] < size, size - 1 - grid[time], grid[time])
    places = ctx.const(np.ravel_multi_index(tuple(grid), x.shape))
    return ctx.emit("Gather", ctx.reshape(x, (x.size,)), places, axis=0)
