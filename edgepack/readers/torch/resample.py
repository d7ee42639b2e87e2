"""Upsampling and pixel shuffles, NCHW."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import Array, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call, to_numpy
from edgepack.readers.torch.convolution import planar
from edgepack.readers.torch.pooling import separable
from edgepack.readers.torch.registry import reads


def _scales(call: Call) -> list[float | None]:
    """The factors the user gave, height first; None where only a size was given."""
    if call.get("scale_factors") is not None:
        return list(call["scale_factors"])
    names = ("scales_h", "scales_w") if "scales_w" in call.arguments else ("scales",)
    return [call.get(name) for name in names]


def _even(call: Call, x: Value) -> bool:
    """Whether the sizes alone say which element goes where.

    torch steps by 1 / factor where a factor was given; that differs from in / out when the
    output's size was rounded.
    """
    sizes = zip(x.shape[-2:], call.shape[-2:], strict=True)
    scales = _scales(call)
    scales = scales if len(scales) == 2 else [None, *scales]
    return all(
        scale is None or abs(size * scale - out) < 1e-6
        for (size, out), scale in zip(sizes, scales, strict=False)
    )


@reads("aten.upsample_nearest1d", "aten.upsample_nearest2d", "aten._upsample_nearest_exact1d",
       "aten._upsample_nearest_exact2d")  # fmt: skip
def nearest(call: Call) -> Value:
    """ResizeNearest."""
    x = planar(call, call.value("self" if "self" in call.arguments else "input"))
    if not _even(call, x):
        return _by_matrices(call, x)
    size = call.shape[-2:] if len(call.shape) == 4 else (1, call.shape[-1])
    y = call.emit("ResizeNearest", x, size=size, half_pixel="exact" in call.target)
    return call.reshape(y, call.shape)


@reads("aten.upsample_bilinear2d", "aten.upsample_linear1d")
def bilinear(call: Call) -> Value:
    """ResizeBilinear; in one dimension with height 1."""
    x = planar(call, call.value("self" if "self" in call.arguments else "input"))
    corners = bool(call["align_corners"])
    if not corners and not _even(call, x):
        return _by_matrices(call, x)
    size = call.shape[-2:] if len(call.shape) == 4 else (1, call.shape[-1])
    y = call.emit("ResizeBilinear", x, size=size, align_corners=corners, half_pixel=not corners)
    return call.reshape(y, call.shape)


@reads("aten.upsample_bicubic2d", "aten._upsample_bilinear2d_aa", "aten._upsample_bicubic2d_aa")
def by_matrices(call: Call) -> Value:
    """The resize as one product per dimension."""
    return _by_matrices(
        call, planar(call, call.value("self" if "self" in call.arguments else "input"))
    )


def _by_matrices(call: Call, x: Value) -> Value:
    rows = _resize_matrix(call, x.shape[2], 0)
    columns = _resize_matrix(call, x.shape[3], 1)
    return call.reshape(separable(call, x, rows, columns), call.shape)


def _resize_matrix(call: Call, size: int, dim: int) -> Array:
    """[out, size]: torch's own resize of every unit vector."""
    import torch

    if len(call.shape) == 3 and dim == 0:
        return np.eye(1, dtype=np.float32)
    mode = next(m for m in ("nearest_exact", "nearest", "bicubic", "linear") if m in call.target)
    scales = _scales(call)
    scale = scales[dim] if len(scales) == 2 else scales[0]
    options: dict[str, Any] = {} if "nearest" in mode else {"align_corners": call["align_corners"]}
    if "_aa" in call.target:
        options["antialias"] = True
    out = call.shape[2 + dim] if len(call.shape) == 4 else call.shape[-1]
    target: dict[str, Any] = {"size": (out, 2)} if scale is None else {"scale_factor": (scale, 1.0)}
    # Two equal columns: torch's smoothing resize goes wrong on images one pixel wide.
    basis = torch.eye(size).reshape(1, size, size, 1).expand(1, size, size, 2).contiguous()
    name = {"linear": "bilinear", "nearest_exact": "nearest-exact"}.get(mode, mode)
    image = torch.nn.functional.interpolate(basis, mode=name, **target, **options)
    return np.ascontiguousarray(to_numpy(image)[0, :, :, 0].T)


@reads("aten.pixel_shuffle")
def pixel_shuffle(call: Call) -> Value:
    """DepthToSpace; torch has the channel before the block, so they change places first."""
    x, block = call.value("self"), int(call["upscale_factor"])
    if x.rank != 4:
        raise Refused(f"an input of rank {x.rank} has no equivalent, only rank 4")
    order = np.arange(x.shape[1]).reshape(-1, block * block).T
    return call.emit("DepthToSpace", _take_channels(call, x, order.reshape(-1)), block=block)


@reads("aten.pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Value:
    """SpaceToDepth, then the channel before the block."""
    x, block = call.value("self"), int(call["downscale_factor"])
    if x.rank != 4:
        raise Refused(f"an input of rank {x.rank} has no equivalent, only rank 4")
    y = call.emit("SpaceToDepth", x, block=block)
    order = np.arange(y.shape[1]).reshape(block * block, -1).T
    return _take_channels(call, y, order.reshape(-1))


def _take_channels(call: Call, x: Value, order: Array) -> Value:
    if np.array_equal(order, np.arange(len(order))):
        return x
    return call.emit("Gather", x, call.const(order.astype(np.int32), name="order"), axis=1)


@reads("aten.channel_shuffle", "aten.native_channel_shuffle")
def channel_shuffle(call: Call) -> Value:
    """Channels dealt out over the groups."""
    x, groups = call.value("self"), int(call["groups"])
    return _take_channels(call, x, np.arange(x.shape[1]).reshape(groups, -1).T.reshape(-1))
