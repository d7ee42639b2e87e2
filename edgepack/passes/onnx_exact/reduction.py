"""Sums, means and windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from edgepack.ir import Graph, Node, Value
from edgepack.kernels.convolution import out_spatial
from edgepack.kernels.pooling import bilinear_weights, nearest_indices, window_count
from edgepack.kernels.quantized_convolution import bilinear_places
from edgepack.kernels.quantized_reduction import sum_multiplier
from edgepack.kernels.quantized_scale import limits, zero
from edgepack.passes.onnx_exact.fixed_point import multiply, wrap32
from edgepack.passes.onnx_exact.ints import Ints
from edgepack.passes.onnx_exact.spelling import spells, stored


@spells("ReduceMean", "ReduceSum")
def mean_or_sum(graph: Graph, node: Node) -> Ints:
    """Sum over axes; for the mean the multiplier is divided by the count."""
    x, axes = stored(graph, node, 0), tuple(a % node.input(0).rank for a in node.attrs["axes"])
    count = math.prod(x.shape[a] for a in axes)
    total = x.sum(axes, keepdims=node.attrs["keepdims"]) if axes else x
    sums = wrap32(total - zero(node.input(0)) * count)
    return multiply(sums, *sum_multiplier(node, count)) + zero(node.output)


# -- windows ---------------------------------------------------------------------------------------


def _windows(node: Node, x: Ints, join: Callable[[Ints, Ints], Ints]) -> Ints:
    """What `join` makes of the elements of each window: first down its columns, then along."""
    for dim in range(2):
        count, stride = out_spatial(node)[dim], node.attrs["stride"][dim]
        axis = 1 + dim
        parts = [x.every(axis, tap, count, stride) for tap in range(node.attrs["kernel"][dim])]
        x = reduce(join, parts)
    return x


@spells("AveragePool2d")
def average_pool2d(graph: Graph, node: Node) -> Ints:
    """The mean of each window, halves away from zero."""
    x = node.input(0)
    fill = zero(x) if node.attrs["count_include_pad"] else 0
    padded = stored(graph, node, 0).padded(((0, 0), *node.attrs["pad"], (0, 0)), fill)
    total = _windows(node, padded, Ints.__add__)
    count = window_count(node, x.shape).astype(np.int64)
    count = count.reshape(-1)[:1] if (count == count.flat[0]).all() else count
    mean = (total + total.by_sign(-(count // 2), count // 2)).divided(count)
    return mean.clipped(*limits(node))


@spells("MaxPool2d")
def max_pool2d(graph: Graph, node: Node) -> Ints:
    """Maximum of each window; padding never wins."""
    low = node.input(0).dtype.limits[0]
    padded = stored(graph, node, 0).padded(((0, 0), *node.attrs["pad"], (0, 0)), low)
    return _windows(node, padded, Ints.maximum).clipped(*limits(node))


# -- resizing --------------------------------------------------------------------------------------


@spells("ResizeNearest")
def resize_nearest(graph: Graph, node: Node) -> Ints:
    """The nearest element."""
    x = stored(graph, node, 0)
    rows = nearest_indices(node, 0, x.shape[1])
    return x.taken(rows, 1).taken(nearest_indices(node, 1, x.shape[2]), 2)


@spells("ResizeBilinear")
def resize_bilinear(graph: Graph, node: Node) -> Ints:
    """Linear between the two nearest rows, and columns; weights of 10 bits, uint8: of float32."""
    if node.input(0).dtype.limits[0] == 0:
        return _bilinear_real(graph, node)
    x = stored(graph, node, 0)
    top, bottom, down = bilinear_places(node, 0, x.shape[1])
    left, right, along = bilinear_places(node, 1, x.shape[2])
    down, along = down[:, None, None], along[:, None]
    rows = x.taken(top, 1) * (1024 - down) + x.taken(bottom, 1) * down
    total = rows.taken(left, 2) * (1024 - along) + rows.taken(right, 2) * along
    return (total + total.by_sign(-(2**19), 2**19)).divided(2**20)


def _bilinear_real(graph: Graph, node: Node) -> Ints:
    """In float32, one product and one sum after the other as in the kernel."""
    x = graph.add("Cast", [node.input(0)], {"to": "float32"})
    for dim in range(2):
        low, high, share = bilinear_weights(node, dim, x.shape[1 + dim])
        weights: Any = share.astype(np.float32).reshape((-1, 1, 1) if dim == 0 else (-1, 1))
        near, far = (
            graph.add("Gather", [x, graph.constant(i.astype(np.int64))], {"axis": 1 + dim})
            for i in (low, high)
        )
        x = graph.add(
            "Add", [_times(graph, near, np.float32(1) - weights), _times(graph, far, weights)]
        )
    half = graph.add("Add", [x, graph.constant(np.array(0.5, np.float32))])
    whole = graph.add("Cast", [graph.add("Floor", [half])], {"to": "int64"})
    return Ints(graph, whole, 0, 255)


def _times(graph: Graph, x: Value, weights: Any) -> Value:
    return graph.add("Mul", [x, graph.constant(weights, "weights")])
