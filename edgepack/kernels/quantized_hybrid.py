"""TFLite's hybrid kernels: real activations meet 8-bit weights through 8-bit activations.

Each row of the batch is quantized on the fly, with its own range; the product is summed in whole
numbers and scaled back. `run.reference` takes these kernels when asked to; otherwise the weights
count as the real numbers they stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.activation import activate
from edgepack.kernels.convolution import any_layout, columns, out_spatial, pad_spatial, taps
from edgepack.kernels.quantized_scale import exact_matmul, params
from edgepack.kernels.registry import hybrid


def symmetric(rows: Array) -> tuple[Array, Array, Array]:
    """(integers, scale, zero point 0) of each row [N, ...] over its largest magnitude."""
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1, initial=0)
    largest = np.where(largest > 0, largest, np.float32(127))
    q = np.clip(fp.round_half_away(_times(rows, np.float32(127) / largest)), -127, 127)
    return q.astype(np.int64), largest / np.float32(127), np.zeros(len(rows), np.int64)


def asymmetric(rows: Array) -> tuple[Array, Array, Array]:
    """(integers, scale, zero point) of each row [N, ...] over the range that it and zero span."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    low, high = flat.min(axis=1, initial=0), flat.max(axis=1, initial=0)
    span = np.where(high > low, high - low, 255.0)
    scale = span / 255
    from_low, from_high = -128 - low / scale, 127 - high / scale
    nearer_low = 128 + np.abs(low / scale) < 127 + np.abs(high / scale)
    zero = np.clip(fp.round_half_away(np.where(nearer_low, from_low, from_high)), -128, 127)
    zero = np.where(high > low, zero, 0)
    narrow = scale.astype(np.float32)
    moved = _times(rows, np.float32(1) / narrow) + _column(zero.astype(np.float32), rows)
    q = np.clip(fp.round_half_away(moved), -128, 127)
    return q.astype(np.int64), narrow, zero.astype(np.int64)


def _column(per_row: Array, rows: Array) -> Array:
    return per_row.reshape(-1, *(1,) * (rows.ndim - 1))


def _times(rows: Array, factors: Array) -> Array:
    return rows * _column(factors.astype(np.float32), rows)


def _centred(node: Node, x: Array, quantize: Callable[[Array], Any]) -> tuple[fp.Ints, Array]:
    q, scale, zero = quantize(x)
    return q - _column(zero, x), scale


def _finish(node: Node, sums: fp.Ints, scale: Array, bias: Array | None) -> Array:
    """Sums [N, ..., channels] as real numbers, with bias and activation."""
    real = sums.astype(np.float32) * (_column(scale, sums) * params(node.input(1)).scale)
    return activate(node, real if bias is None else real + bias)


@hybrid("Conv2d")
@any_layout
def conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """Grouped convolution; per-channel weights ask for activations with a zero point."""
    per_tensor = params(node.input(1)).is_per_tensor
    centred, scale = _centred(node, x, symmetric if per_tensor else asymmetric)
    patches = columns(node, centred, w.shape[1:3])
    groups, filters = node.attrs["groups"], w.astype(np.int64).reshape(len(w), -1)
    rows = patches.size // (filters.shape[1] * groups)
    parts = [
        exact_matmul(source.reshape(rows, -1), part.T)
        for source, part in zip(
            np.split(patches, groups, axis=-1), np.split(filters, groups), strict=True
        )
    ]
    sums = np.concatenate(parts, axis=1).reshape(len(x), *out_spatial(node), len(w))
    return _finish(node, sums, scale, b)


@hybrid("DepthwiseConv2d")
@any_layout
def depthwise_conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """One filter per channel and multiple; activations with a zero point."""
    centred, scale = _centred(node, x, asymmetric)
    wide = np.repeat(centred, w.shape[-1] // x.shape[-1], axis=-1)
    padded = pad_spatial(wide, node.attrs["pad"])
    sums = np.zeros((len(x), *out_spatial(node), w.shape[-1]), np.int64)
    for tap, view in taps(padded, w.shape[1:3], node.attrs, out_spatial(node)):
        sums += view * w[(0, *tap)].astype(np.int64)
    return _finish(node, sums, scale, b)


@hybrid("FullyConnected")
def fully_connected(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """X [..., in] times weights [out, in]; each row of x with a range and zero point of its own."""
    centred, scale = _centred(node, x.reshape(-1, w.shape[1]), asymmetric)
    sums = exact_matmul(centred, w.astype(np.int64).T)
    return _finish(node, sums, scale, b).reshape(node.output.shape)
