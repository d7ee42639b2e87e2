"""Quantized convolutions and pooling, bit for bit as TFLite's reference kernels."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.convolution import any_layout, columns, out_spatial, pad_spatial, taps
from edgepack.kernels.pooling import resize_nearest, window_count, window_sum
from edgepack.kernels.quantized_scale import (
    double,
    exact_matmul,
    finish,
    limits,
    offset,
    params,
    scale,
    wide,
)
from edgepack.kernels.registry import REAL, quantized


def channel_multipliers(node: Node) -> tuple[fp.Ints, fp.Ints]:
    """(multiplier, shift) per output channel: scale_x * scale_w / scale_y in float64."""
    weights = params(node.input(1)).scale.astype(np.float64)
    real = double(scale(node.input(0))) * weights / double(scale(node.output))
    return fp.quantize_multiplier(real)


def requantize_sums(node: Node, sums: fp.Ints, bias: Array | None) -> Array:
    """Sums [..., channels] with their bias, scaled to the output and clamped."""
    multiplier, shift = channel_multipliers(node)
    if wide(node, node.optional(2)):
        return finish(node, fp.multiply_wide(sums + _bias(bias), multiplier, shift))
    return finish(node, fp.multiply(fp.wrap32(sums + _bias(bias)), multiplier, shift))


def _bias(bias: Array | None) -> fp.Ints:
    return np.zeros(1, np.int64) if bias is None else bias.astype(np.int64)


@quantized("Conv2d")
@any_layout
def conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """Grouped convolution; padding holds the zero point."""
    patches = columns(node, offset(node.input(0), x), w.shape[1:3])
    filters = offset(node.input(1), w).reshape(len(w), -1)
    groups = node.attrs["groups"]
    rows = patches.size // (filters.shape[1] * groups)
    sources = np.split(patches, groups, axis=-1)
    parts = [
        exact_matmul(source.reshape(rows, -1), part.T)
        for source, part in zip(sources, np.split(filters, groups), strict=True)
    ]
    sums = np.concatenate(parts, axis=1).reshape(len(x), *out_spatial(node), len(w))
    return requantize_sums(node, sums, b)


@quantized("DepthwiseConv2d")
@any_layout
def depthwise_conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """One filter per channel and multiple."""
    centred = offset(node.input(0), x)
    padded = pad_spatial(np.repeat(centred, w.shape[-1] // x.shape[-1], axis=-1), node.attrs["pad"])
    filters = offset(node.input(1), w)
    sums = np.zeros((len(x), *out_spatial(node), w.shape[-1]), np.int64)
    for tap, view in taps(padded, w.shape[1:3], node.attrs, out_spatial(node)):
        sums += view * filters[(0, *tap)]
    return requantize_sums(node, sums, b)


@quantized("ConvTranspose2d")
@any_layout
def conv_transpose2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """Every input element adds its filter to the output, `stride` apart."""
    attrs, groups = node.attrs, node.attrs["groups"]
    sizes = zip(out_spatial(node), attrs["pad"], strict=True)
    out = [n + before + after for n, (before, after) in sizes]
    full = np.zeros((len(x), *out, len(w)), np.int64)
    sources = np.split(offset(node.input(0), x), groups, axis=-1)
    by_tap = offset(node.input(1), w).reshape(len(w), -1, w.shape[-1])
    for index, (_, view) in enumerate(taps(full, w.shape[1:3], attrs, x.shape[1:3])):
        filters = np.split(by_tap[:, index], groups)
        parts = [exact_matmul(s, f.T) for s, f in zip(sources, filters, strict=True)]
        view += np.concatenate(parts, axis=-1)
    (top, bottom), (left, right) = attrs["pad"]
    sums = full[:, top : out[0] - bottom, left : out[1] - right]
    return requantize_sums(node, sums, b)


@quantized("AveragePool2d")
@any_layout
def average_pool2d(node: Node, x: Array) -> Array:
    """The mean of each window in whole numbers, halves away from zero.

    Zero points are not subtracted: input and output share their parameters. Where padding counts
    (which TFLite never does) it counts as the zero point.
    """
    fill = int(params(node.input(0)).zero_point[0]) if node.attrs["count_include_pad"] else 0
    total = window_sum(node, pad_spatial(x.astype(np.int64), node.attrs["pad"], fill))
    count = window_count(node, x.shape).astype(np.int64)
    mean = fp.trunc_divide(total + np.where(total > 0, count // 2, -(count // 2)), count)
    return np.clip(mean, *limits(node))


@quantized("MaxPool2d")
@any_layout
def max_pool2d(node: Node, x: Array) -> Array:
    """Maximum of each window; padding never wins."""
    padded = pad_spatial(x, node.attrs["pad"], np.iinfo(x.dtype).min)
    views = taps(padded, node.attrs["kernel"], node.attrs, out_spatial(node))
    best = next(views)[1].copy()
    for _, view in views:
        np.maximum(best, view, out=best)
    return np.clip(best, *limits(node))


quantized("ResizeNearest")(resize_nearest)


def bilinear_places(node: Node, dim: int, size: int) -> tuple[fp.Ints, fp.Ints, fp.Ints]:
    """(lower index, upper index, distance from the lower in 1/1024) along a dimension."""
    out = node.attrs["size"][dim]
    step = ((size << 10) + out // 2) // out
    if node.attrs["align_corners"] and out > 1:
        step = (((size - 1) << 10) + (out - 1) // 2) // (out - 1)
    place = np.arange(out, dtype=np.int64) * step
    if node.attrs["half_pixel"]:
        place = place + step // 2 - 512
    low = np.maximum(fp.trunc_divide(place, 1024), 0)
    high = np.minimum(fp.trunc_divide(place + 1023, 1024), size - 1)
    return low, high, place - 1024 * low


@quantized("ResizeBilinear")
def resize_bilinear(node: Node, x: Array) -> Array:
    """Linear between the two nearest rows, and columns; uint8 as float32 numbers, rounded."""
    if x.dtype == np.uint8:
        real: Array = REAL["ResizeBilinear"](node, x.astype(np.float32))
        return np.floor(real + np.float32(0.5))
    return _bilinear(node, x)


@any_layout
def _bilinear(node: Node, x: Array) -> Array:
    """With weights of 10 bits."""
    top, bottom, down = bilinear_places(node, 0, x.shape[1])
    left, right, along = bilinear_places(node, 1, x.shape[2])
    down, along = down[:, None, None], along[:, None]
    wide_x = x.astype(np.int64)
    rows = wide_x[:, top] * (1024 - down), wide_x[:, bottom] * down
    total = sum(r[:, :, left] * (1024 - along) + r[:, :, right] * along for r in rows)
    return fp.trunc_divide(total + np.where(total > 0, 2**19, -(2**19)), 2**20)
