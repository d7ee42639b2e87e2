"""Operators that read and write by indices."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need
from edgepack.writers.onnx.shape import emit_moved


@lowers("Gather")
def gather(node: Node, out: OnnxBuilder) -> None:
    """Gather; GatherND with batch dimensions, which must be all that are before the axis."""
    x, indices, batch = node.input(0), node.input(1), node.attrs["batch_dims"]
    axis = node.attrs["axis"] % x.rank
    if not batch:
        emit_moved(node, out, "Gather", out.raw(indices), axis=axis)
        return
    need(axis == batch, node, "indexes behind other dimensions")
    last = out.constant([-1], name="axes")
    places = out.op("Unsqueeze", [out.cast(out.raw(indices), DType.INT64), last])
    emit_moved(node, out, "GatherND", places, batch_dims=batch)


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
