"""Operators that move elements without computing."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.registry import real


@real("Reshape")
def reshape(node: Node, x: Array) -> Array:
    """Same elements, other shape."""
    return x.reshape(node.attrs["shape"])


@real("Transpose")
def transpose(node: Node, x: Array) -> Array:
    """Dimensions in another order."""
    return x.transpose(node.attrs["perm"])


@real("Concat")
def concat(node: Node, *parts: Array) -> Array:
    """The inputs after one another along the axis."""
    return np.concatenate(parts, axis=node.attrs["axis"])


@real("Split")
def split(node: Node, x: Array) -> tuple[Array, ...]:
    """Parts of the given sizes along the axis."""
    ends = np.cumsum(node.attrs["sizes"])[:-1]
    return tuple(np.split(x, ends, axis=node.attrs["axis"]))


@real("Slice")
def slice_(node: Node, x: Array) -> Array:
    """`size` elements from `begin` on, `stride` apart, in each dimension."""
    attrs = node.attrs
    return x[
        tuple(
            _python_slice(*dim)
            for dim in zip(attrs["begin"], attrs["size"], attrs["stride"], strict=True)
        )
    ]


def _python_slice(begin: int, size: int, stride: int) -> slice:
    end = begin + size * stride
    if not size:
        return slice(0, 0)
    return slice(begin, end if end >= 0 else None, stride)  # below 0 Python counts from the back


@real("Pad")
def pad(node: Node, x: Array) -> Array:
    """Constant, reflect, symmetric or edge padding; of integers with the value's quantization.

    A negative pad cuts.
    """
    mode, quant = node.attrs["mode"], node.input(0).quant
    pads = [(max(before, 0), max(after, 0)) for before, after in node.attrs["pads"]]
    if not pads:  # numpy does not pad scalars by nothing
        return x
    x = _cut(x, node.attrs["pads"])
    if mode != "constant":
        return np.pad(x, pads, mode=mode)
    value = node.attrs["value"]
    if quant is not None:
        value = quant.quantize(np.asarray(value, np.float32), node.input(0).dtype)
    return np.pad(x, pads, constant_values=value)


def _cut(x: Array, pads: tuple[tuple[int, int], ...]) -> Array:
    dims = zip(x.shape, pads, strict=True)
    return x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in dims)]


@real("Tile")
def tile(node: Node, x: Array) -> Array:
    """Repeated along each dimension."""
    return np.tile(x, node.attrs["multiples"])


@real("BroadcastTo")
def broadcast_to(node: Node, x: Array) -> Array:
    """Dimensions of 1 repeated."""
    return np.broadcast_to(x, node.attrs["shape"])


@real("Reverse")
def reverse(node: Node, x: Array) -> Array:
    """Last to first along the axes."""
    return np.flip(x, node.attrs["axes"])


@real("DynamicUpdateSlice")
def dynamic_update_slice(node: Node, x: Array, update: Array, start: Array) -> Array:
    """X with `update` written at `start`, which is moved so that the update stays inside."""
    places = [
        min(max(int(s), 0), have - need)
        for s, have, need in zip(start, x.shape, update.shape, strict=True)
    ]
    y = x.copy()
    y[tuple(slice(p, p + n) for p, n in zip(places, update.shape, strict=True))] = update
    return y
