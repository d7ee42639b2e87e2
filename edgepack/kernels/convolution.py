"""Convolutions and pooling over NHWC (NCHW values are turned around and back)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.registry import real

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def any_layout(kernel: Callable[..., Array]) -> Callable[..., Array]:
    """Let a kernel written for NHWC serve nodes of either layout."""

    @wraps(kernel)
    def wrapped(node: Node, x: Array, *rest: Array | None) -> Array:
        if node.attrs["layout"] == "NHWC":
            return kernel(node, x, *rest)
        return kernel(node, x.transpose(_TO_NHWC), *rest).transpose(_TO_NCHW)

    return wrapped


def windows(x: Array, kernel: Any, attrs: dict[str, Any], fill: float) -> Array:
    """Every window of x [N, H, W, C] as [N, OH, OW, C, kh, kw], padded with `fill`."""
    dilation = attrs.get("dilation", (1, 1))
    padded = np.pad(x, ((0, 0), *attrs["pad"], (0, 0)), constant_values=fill)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(1, 2))
    (stride_h, stride_w), (dil_h, dil_w) = attrs["stride"], dilation
    return view[:, ::stride_h, ::stride_w, :, ::dil_h, ::dil_w]


def activate(node: Node, y: Array) -> Array:
    """The fused activation of a real result."""
    low, high = {
        "none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1),
    }[node.attrs["activation"]]  # fmt: skip
    return y if low is None else np.clip(y, low, high)


@real("Conv2d")
@any_layout
def conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """Cross-correlation, grouped; weights [O, kh, kw, I / groups]."""
    groups = node.attrs["groups"]
    patches = windows(x, w.shape[1:3], node.attrs, 0)
    n, oh, ow, c, kh, kw = patches.shape
    parts = []
    for g in range(groups):
        columns = patches[..., g * (c // groups) : (g + 1) * (c // groups), :, :]
        columns = columns.transpose(0, 1, 2, 4, 5, 3).reshape(n * oh * ow, -1)
        filters = w[g * (len(w) // groups) : (g + 1) * (len(w) // groups)]
        parts.append(columns @ filters.reshape(len(filters), -1).T)
    y = np.concatenate(parts, axis=1).reshape(n, oh, ow, len(w))
    return activate(node, y if b is None else y + b)


@real("DepthwiseConv2d")
@any_layout
def depthwise_conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """One filter per channel and multiple; weights [1, kh, kw, C * M]."""
    patches = windows(x, w.shape[1:3], node.attrs, 0)  # [N, OH, OW, C, kh, kw]
    channels = x.shape[-1]
    filters = w[0].reshape(*w.shape[1:3], channels, -1)  # [kh, kw, C, M]
    y = np.einsum("nhwcij,ijcm->nhwcm", patches, filters, optimize=True)
    y = y.reshape(*y.shape[:3], -1)
    return activate(node, y if b is None else y + b)


@real("MaxPool2d")
@any_layout
def max_pool2d(node: Node, x: Array) -> Array:
    """Maximum of each window; padding never wins."""
    low = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return activate(node, windows(x, node.attrs["kernel"], node.attrs, low).max(axis=(4, 5)))


@real("AveragePool2d")
@any_layout
def average_pool2d(node: Node, x: Array) -> Array:
    """Mean of each window, over the elements that are there unless padding counts."""
    kernel, attrs = node.attrs["kernel"], node.attrs
    total = windows(x, kernel, attrs, 0).sum(axis=(4, 5))
    fill = 1.0 if attrs["count_include_pad"] else 0.0
    ones = np.ones((1, *x.shape[1:3], 1), x.dtype)
    count = windows(ones, kernel, attrs, fill).sum(axis=(4, 5))
    return activate(node, total / count)
