"""Operators that read and write by indices."""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.registry import real


@real("Gather")
def gather(node: Node, x: Array, indices: Array) -> Array:
    """Slices at indices along the axis, matched in the first `batch_dims` dimensions."""
    axis, batch = node.attrs["axis"] % x.ndim, node.attrs["batch_dims"]
    if not batch:
        return np.take(x, indices, axis=axis)
    count = math.prod(x.shape[:batch])
    inner = math.prod(x.shape[axis + 1 :])
    blocks = x.reshape(count, math.prod(x.shape[batch:axis]), x.shape[axis], inner)
    places = indices.reshape(count, 1, -1, 1)
    y: Array = np.take_along_axis(blocks, places, axis=2).reshape(node.output.shape)
    return y


@real("GatherNd")
def gather_nd(node: Node, x: Array, indices: Array) -> Array:
    """Slices of x at the index tuples in the last dimension of `indices`."""
    if not indices.shape[-1]:
        return np.broadcast_to(x, node.output.shape)
    y: Array = x[tuple(np.moveaxis(indices, -1, 0))]
    return y


@real("ScatterNd")
def scatter_nd(node: Node, indices: Array, updates: Array) -> Array:
    """Updates at index tuples in zeros; those that meet are added."""
    y: Array = np.zeros(node.attrs["shape"], updates.dtype)
    np.add.at(y, tuple(np.moveaxis(indices, -1, 0)), updates)
    return y


@real("OneHot")
def one_hot(node: Node, indices: Array) -> Array:
    """`on` at the index along the new axis, `off` elsewhere and for indices out of range."""
    attrs = node.attrs
    axis = attrs["axis"] % (indices.ndim + 1)
    places = np.arange(attrs["depth"]).reshape(-1, *[1] * (indices.ndim - axis))
    hit = np.expand_dims(indices, axis) == places
    kind = node.output.dtype.numpy.type
    y: Array = np.where(hit, kind(attrs["on"]), kind(attrs["off"]))
    return y
