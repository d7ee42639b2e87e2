"""Normalizations of real numbers."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.convolution import any_layout
from edgepack.kernels.registry import real

_L2_FLOOR = 1e-6  # the length that L2_NORMALIZATION divides by is at least this


@real("BatchNorm")
def batch_norm(
    node: Node, x: Array, gamma: Array, beta: Array, mean: Array, var: Array
) -> Array:  # fmt: skip
    """(x - mean) * gamma / sqrt(var + eps) + beta; the parameters run along the axis."""
    gain = gamma / np.sqrt(var + var.dtype.type(node.attrs["eps"]))
    shape = [1] * x.ndim
    shape[node.attrs["axis"]] = -1
    y: Array = (x - mean.reshape(shape)) * gain.reshape(shape) + beta.reshape(shape)
    return y


@real("LayerNorm")
def layer_norm(
    node: Node, x: Array, gamma: Array | None = None, beta: Array | None = None
) -> Array:
    """Mean 0 and variance 1 over the dimensions from the axis on, times gamma, plus beta."""
    centred = x - x.mean(axis=_tail(node, x), keepdims=True)
    return _affine(_by_root_mean_square(node, centred), gamma, beta)


@real("RmsNorm")
def rms_norm(node: Node, x: Array, gamma: Array | None = None) -> Array:
    """X over its root mean square from the axis on, times gamma."""
    return _affine(_by_root_mean_square(node, x), gamma, None)


def _tail(node: Node, x: Array) -> tuple[int, ...]:
    return tuple(range(node.attrs["axis"] % x.ndim, x.ndim))


def _by_root_mean_square(node: Node, x: Array) -> Array:
    power = np.mean(x * x, axis=_tail(node, x), keepdims=True)
    y: Array = x / np.sqrt(power + x.dtype.type(node.attrs["eps"]))
    return y


def _affine(y: Array, gamma: Array | None, beta: Array | None) -> Array:
    scaled = y if gamma is None else y * gamma
    return scaled if beta is None else scaled + beta


@real("L2Norm")
def l2_norm(node: Node, x: Array) -> Array:
    """X over its length along the last axis."""
    length = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    y: Array = x / np.maximum(length, x.dtype.type(_L2_FLOOR))
    return y


@real("Lrn")
@any_layout
def lrn(node: Node, x: Array) -> Array:
    """x / (bias + alpha * sum of squares of the channels within `radius`) ** beta."""
    attrs, kind = node.attrs, x.dtype.type
    radius, channels = attrs["radius"], x.shape[-1]
    squares = np.pad(x * x, [(0, 0)] * (x.ndim - 1) + [(radius, radius)])
    total = np.zeros_like(x)
    for shift in range(2 * radius + 1):
        total += squares[..., shift : shift + channels]
    y: Array = x / (kind(attrs["bias"]) + kind(attrs["alpha"]) * total) ** kind(attrs["beta"])
    return y
