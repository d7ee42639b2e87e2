"""Convolutions over channels-last values (channels-first ones are turned around and back).

Weights stand as [out, *kernel, in / groups] (OHWI in two dimensions) whatever the layout.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.activation import activate
from edgepack.kernels.registry import real


def any_layout(kernel: Callable[..., Array]) -> Callable[..., Array]:
    """Let a kernel written for channels last serve nodes of either layout."""

    @wraps(kernel)
    def wrapped(node: Node, x: Array, *rest: Array | None) -> Array:
        if node.attrs["layout"] == "NHWC":
            return kernel(node, x, *rest)
        return np.moveaxis(kernel(node, np.moveaxis(x, 1, -1), *rest), -1, 1)

    return wrapped


def pad_spatial(x: Array, pad: Any, fill: float = 0) -> Array:
    """X [N, spatial…, C] with (before, after) elements of `fill` around each spatial dimension."""
    if not any(map(any, pad)):
        return x
    return np.pad(x, ((0, 0), *pad, (0, 0)), constant_values=fill)


def taps(
    padded: Array, kernel: tuple[int, ...], attrs: Mapping[str, Any], out: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """For each kernel position, the view [N, *out, C] of the padded input that it meets."""
    stride, dilation = attrs["stride"], attrs.get("dilation", (1,) * len(kernel))
    for tap in itertools.product(*map(range, kernel)):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        steps = zip(starts, out, stride, strict=True)
        spatial = tuple(slice(a, a + (n - 1) * s + 1, s) for a, n, s in steps)
        yield tap, padded[(slice(None), *spatial)]


def out_spatial(node: Node) -> tuple[int, ...]:
    """The spatial sizes of a spatial node's output."""
    shape = node.output.shape
    return shape[1:-1] if node.attrs["layout"] == "NHWC" else shape[2:]


def columns(node: Node, x: Array, kernel: tuple[int, ...], fill: float = 0) -> Array:
    """Im2col: [N, out…, taps, C] of x [N, spatial…, C]; no copy for a kernel of one element."""
    padded, out = pad_spatial(x, node.attrs["pad"], fill), out_spatial(node)
    if all(k == 1 for k in kernel):
        view = next(taps(padded, kernel, node.attrs, out))[1]
        return view[..., None, :]
    gathered = np.empty((len(x), *out, math.prod(kernel), x.shape[-1]), x.dtype)
    for index, (_, view) in enumerate(taps(padded, kernel, node.attrs, out)):
        gathered[..., index, :] = view
    return gathered


@real("Conv2d", "Conv3d")
@any_layout
def convolution(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """Cross-correlation, grouped; weights [out, *kernel, in / groups]."""
    patches = columns(node, x, w.shape[1:-1])
    rows, groups = patches.size // (w[0].size * node.attrs["groups"]), node.attrs["groups"]
    if groups == 1:
        y = patches.reshape(rows, -1) @ w.reshape(len(w), -1).T
    else:
        split = np.split(patches, groups, axis=-1)
        filters = np.split(w.reshape(len(w), -1), groups)
        parts = [p.reshape(rows, -1) @ f.T for p, f in zip(split, filters, strict=True)]
        y = np.concatenate(parts, axis=1)
    y = y.reshape(len(x), *out_spatial(node), len(w))
    return activate(node, y if b is None else y + b)


@real("DepthwiseConv2d")
@any_layout
def depthwise_conv2d(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """One filter per channel and multiple; weights [1, kh, kw, C * M]."""
    wide = np.repeat(x, w.shape[-1] // x.shape[-1], axis=-1)
    padded = pad_spatial(wide, node.attrs["pad"])
    out = out_spatial(node)
    y = np.zeros((len(x), *out, w.shape[-1]), x.dtype)
    for tap, view in taps(padded, w.shape[1:3], node.attrs, out):
        y += view * w[(0, *tap)]
    return activate(node, y if b is None else y + b)


@real("ConvTranspose2d", "ConvTranspose3d")
@any_layout
def transposed_convolution(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """Every input element adds its filter to the output, `stride` apart.

    Weights [out, *kernel, in / groups], never flipped: they are those of the convolution whose
    gradient this is. `pad` is cut from the full result, `output_pad` lengthens its end.
    """
    attrs, kernel, groups = node.attrs, w.shape[1:-1], node.attrs["groups"]
    out = [n + before + after for n, (before, after) in zip(
        out_spatial(node), attrs["pad"], strict=True)]  # fmt: skip
    full = np.zeros((len(x), *out, len(w)), x.dtype)
    sources, by_tap = np.split(x, groups, axis=-1), w.reshape(len(w), -1, w.shape[-1])
    for index, (_, view) in enumerate(taps(full, kernel, attrs, x.shape[1:-1])):
        filters = np.split(by_tap[:, index], groups)
        view += np.concatenate([s @ f.T for s, f in zip(sources, filters, strict=True)], axis=-1)
    cut = [slice(before, n - after) for n, (before, after) in zip(out, attrs["pad"], strict=True)]
    y = full[(slice(None), *cut)]
    return activate(node, y if b is None else y + b)
