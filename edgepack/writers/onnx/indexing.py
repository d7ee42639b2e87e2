"""Operators that read and write by indices."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers
from edgepack.writers.onnx.shape import emit_moved


@lowers("Gather")
def gather(node: Node, out: OnnxBuilder) -> None:
    """Gather; with batch dimensions GatherND, around which the axis is moved."""
    x, indices, batch = node.input(0), node.input(1), node.attrs["batch_dims"]
    axis = node.attrs["axis"] % x.rank
    if not batch:
        emit_moved(node, out, "Gather", out.raw(indices), axis=axis)
        return
    front = (*range(batch), axis, *(i for i in range(batch, x.rank) if i != axis))
    moved = out.op("Transpose", [out.real(x)], perm=list(front))
    last = out.constant([-1], name="axes")
    places = out.op("Unsqueeze", [out.cast(out.raw(indices), DType.INT64), last])
    found = out.op("GatherND", [moved, places], batch_dims=batch)
    # batch, the indices' own dimensions, those of x before the axis, those after it
    own, between = indices.rank - batch, axis - batch
    back = (*range(batch), *range(batch + own, batch + own + between), *range(batch, batch + own),
            *range(batch + own + between, node.output.rank))  # fmt: skip
    out.emit("Transpose", [found], node.output, perm=list(back))


@lowers("GatherNd")
def gather_nd(node: Node, out: OnnxBuilder) -> None:
    """GatherND."""
    emit_moved(node, out, "GatherND", out.cast(out.raw(node.input(1)), DType.INT64))


@lowers("ScatterNd")
def scatter_nd(node: Node, out: OnnxBuilder) -> None:
    """ScatterND into zeros; updates that meet are added."""
    indices, updates = node.present_inputs
    places = out.cast(out.raw(indices), DType.INT64)
    zeros = np.zeros(node.attrs["shape"], updates.dtype.numpy)
    inputs = [out.initializer(zeros, "zeros"), places, out.raw(updates)]
    out.emit("ScatterND", inputs, node.output, reduction="add")


@lowers("DynamicUpdateSlice")
def dynamic_update_slice(node: Node, out: OnnxBuilder) -> None:
    """ScatterND at the update's own places, moved by the start, which is kept inside."""
    x, update, start = node.present_inputs
    room = np.subtract(x.shape, update.shape)
    begin = out.op("Max", [out.cast(out.raw(start), DType.INT64), out.constant([0], name="zero")])
    begin = out.op("Min", [begin, out.constant(room, name="room")])
    grid = np.stack(np.meshgrid(*map(np.arange, update.shape), indexing="ij"), axis=-1)
    places = out.op("Add", [out.constant(grid, name="grid"), begin])
    out.emit("ScatterND", [out.real(x), places, out.real(update)], node.output)


@lowers("OneHot")
def one_hot(node: Node, out: OnnxBuilder) -> None:
    """Where the index equals the place: ONNX's OneHot counts negative indices from the back."""
    x, attrs, y = node.input(0), node.attrs, node.output
    axis = attrs["axis"] % (x.rank + 1)
    wide = out.cast(out.raw(x), DType.INT64)
    index = out.op("Unsqueeze", [wide, out.constant([axis], name="axes")])
    places = np.arange(attrs["depth"]).reshape(-1, *[1] * (x.rank - axis))
    hit = out.op("Equal", [index, out.constant(places, name="places")])
    if y.dtype is DType.BOOL and attrs["on"] and not attrs["off"]:
        out.emit_raw("Identity", [hit], y)
        return
    kind = y.dtype if y.dtype.is_float else DType.INT64
    choices = [out.constant(attrs[key], kind, key) for key in ("on", "off")]
    chosen = out.op("Where", [hit, *choices])
    out.cast(chosen, y.dtype, y.name)
