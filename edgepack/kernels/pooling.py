"""Pooling and resampling over channels-last values."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.activation import activate
from edgepack.kernels.convolution import any_layout, out_spatial, pad_spatial, taps
from edgepack.kernels.registry import real


@real("MaxPool2d")
@any_layout
def max_pool2d(node: Node, x: Array) -> Array:
    """Maximum of each window; padding never wins."""
    low = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = pad_spatial(x, node.attrs["pad"], low)
    views = taps(padded, node.attrs["kernel"], node.attrs, out_spatial(node))
    y = next(views)[1].copy()
    for _, view in views:
        np.maximum(y, view, out=y)
    return activate(node, y)


@real("AveragePool2d")
@any_layout
def average_pool2d(node: Node, x: Array) -> Array:
    """Mean of each window, over the elements that are there unless padding counts."""
    total = window_sum(node, pad_spatial(x, node.attrs["pad"]))
    return activate(node, total / window_count(node, x.shape).astype(x.dtype))


def window_sum(node: Node, padded: Array) -> Array:
    """Sum of each window of `padded` [N, H, W, C], in its dtype."""
    kernel, out = node.attrs["kernel"], out_spatial(node)
    y = np.zeros((len(padded), *out, padded.shape[-1]), padded.dtype)
    for _, view in taps(padded, kernel, node.attrs, out):
        y += view
    return y


def window_count(node: Node, shape: tuple[int, ...]) -> Array:
    """How many elements count in each window of an input of this shape: int32 [1, OH, OW, 1]."""
    ones = np.ones((1, *shape[1:-1], 1), np.int32)
    fill = 1 if node.attrs["count_include_pad"] else 0
    return window_sum(node, pad_spatial(ones, node.attrs["pad"], fill))


# -- resizing --------------------------------------------------------------------------------------


def _resize_scale(node: Node, dim: int, size: int) -> np.float32:
    out = node.attrs["size"][dim]
    if node.attrs["align_corners"] and out > 1:
        return np.float32(size - 1) / np.float32(out - 1)
    return np.float32(size) / np.float32(out)


def nearest_indices(node: Node, dim: int, size: int) -> Array:
    """Which input row (dim 0) or column (dim 1) of `size` each output one takes."""
    places = np.arange(node.attrs["size"][dim], dtype=np.float32)
    offset = np.float32(0.5 if node.attrs["half_pixel"] else 0)
    scaled = (places + offset) * _resize_scale(node, dim, size)
    whole = np.floor(scaled + np.float32(0.5 if node.attrs["align_corners"] else 0))
    indices: Array = np.clip(whole.astype(np.int64), 0, size - 1)
    return indices


@real("ResizeNearest")
@any_layout
def resize_nearest(node: Node, x: Array) -> Array:
    """The nearest element: floor of the scaled place, or rounded with align_corners."""
    rows = nearest_indices(node, 0, x.shape[1])
    return x[:, rows][:, :, nearest_indices(node, 1, x.shape[2])]


def bilinear_weights(node: Node, dim: int, size: int) -> tuple[Array, Array, Array]:
    """(lower index, upper index, float32 weight of the upper) along dimension `dim`."""
    places = np.arange(node.attrs["size"][dim], dtype=np.float32)
    scale = _resize_scale(node, dim, size)
    half = np.float32(0.5)
    scaled = (places + half) * scale - half if node.attrs["half_pixel"] else places * scale
    low = np.maximum(np.floor(scaled), 0).astype(np.int64)
    high = np.minimum(np.ceil(scaled), size - 1).astype(np.int64)
    return low, np.maximum(high, 0), scaled - low.astype(np.float32)


@real("ResizeBilinear")
@any_layout
def resize_bilinear(node: Node, x: Array) -> Array:
    """Linear between the two nearest rows, and columns; the border is repeated."""
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    top, bottom, down = bilinear_weights(node, 0, x.shape[1])
    left, right, along = bilinear_weights(node, 1, x.shape[2])
    down, along = down.astype(kind)[:, None, None], along.astype(kind)[:, None]
    x = x.astype(kind)
    rows = x[:, top] * (1 - down) + x[:, bottom] * down
    y: Array = rows[:, :, left] * (1 - along) + rows[:, :, right] * along
    return y


# -- pixels and channels ---------------------------------------------------------------------------


@real("DepthToSpace")
@any_layout
def depth_to_space(node: Node, x: Array) -> Array:
    """Channels to pixels; the block's place is the slowest part of the channel index."""
    block = node.attrs["block"]
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, block, block, c // block**2).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * block, w * block, -1)


@real("SpaceToDepth")
@any_layout
def space_to_depth(node: Node, x: Array) -> Array:
    """The reverse of DepthToSpace."""
    block = node.attrs["block"]
    n, h, w, c = x.shape
    y = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h // block, w // block, -1)


@real("SpaceToBatch")
def space_to_batch(node: Node, x: Array) -> Array:
    """Blocks of pixels to the batch dimension, after padding with (quantized) zeros."""
    block, pad = node.attrs["block"], node.attrs["pad"]
    count, quant = len(block), node.input(0).quant
    zero = 0 if quant is None else int(quant.zero_point[0])
    rest = [(0, 0)] * (x.ndim - 1 - count)
    padded = np.pad(x, [(0, 0), *pad, *rest], constant_values=zero)
    split: list[int] = [len(x)]
    for size, b in zip(padded.shape[1:], block, strict=False):
        split += [size // b, b]
    y = padded.reshape(*split, *x.shape[1 + count :])
    blocks, places = range(2, 2 * count + 1, 2), range(1, 2 * count, 2)
    y = y.transpose(*blocks, 0, *places, *range(2 * count + 1, y.ndim))
    return y.reshape(node.output.shape)


@real("BatchToSpace")
def batch_to_space(node: Node, x: Array) -> Array:
    """The reverse of SpaceToBatch: the batch dimension to blocks of pixels, then cropped."""
    block, crop = node.attrs["block"], node.attrs["crop"]
    count = len(block)
    y = x.reshape(*block, -1, *x.shape[1:])
    pairs = [axis for i in range(count) for axis in (count + 1 + i, i)]
    y = y.transpose(count, *pairs, *range(2 * count + 1, y.ndim))
    sizes = [s * b for s, b in zip(x.shape[1:], block, strict=False)]
    y = y.reshape(y.shape[0], *sizes, *x.shape[1 + count :])
    cuts = [slice(a, n - z) for n, (a, z) in zip(sizes, crop, strict=True)]
    return y[(slice(None), *cuts)]
