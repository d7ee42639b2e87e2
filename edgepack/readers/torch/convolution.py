"""Convolutions: NCHW values, OIHW weights in; NCHW values, OHWI weights out.

The one-dimensional ones become two-dimensional ones of height 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.ir import Array, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Geometry:
    stride: tuple[int, ...]
    pad: Pads
    dilation: tuple[int, ...]
    groups: int
    output_pad: tuple[int, ...]


def spread(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One number for every dimension, or those given."""
    numbers = [value] if isinstance(value, int) else list(value)
    return tuple(numbers * dims if len(numbers) == 1 else numbers)


def _geometry(call: Call, kernel: Sequence[int]) -> _Geometry:
    dims = len(kernel)
    dilation = spread(call["dilation"], dims)
    return _Geometry(
        spread(call["stride"], dims),
        _pads(call["padding"], kernel, dilation),
        dilation,
        int(call["groups"]),
        spread(call.get("output_padding", 0), dims),
    )


def _pads(
    padding: str | int | Sequence[int], kernel: Sequence[int], dilation: Sequence[int]
) -> Pads:
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    assert not isinstance(padding, str)
    return tuple((p, p) for p in spread(padding, len(kernel)))


def planar(call: Call, x: Value) -> Value:
    """[N, C, L] as [N, C, 1, L]; [N, C, H, W] unchanged. Raises Refused for other ranks."""
    if x.rank == 3:
        return call.reshape(x, (*x.shape[:2], 1, x.shape[2]))
    if x.rank != 4:
        raise Refused(f"an input of rank {x.rank} has no equivalent, only rank 3 and 4")
    return x


def _planar_weights(weights: Array, geometry: _Geometry) -> tuple[Array, _Geometry]:
    if weights.ndim == 4:
        return weights, geometry
    if weights.ndim != 3:
        raise Refused("three-dimensional convolutions have no equivalent")
    flat = _Geometry(
        (1, *geometry.stride), ((0, 0), *geometry.pad), (1, *geometry.dilation),
        geometry.groups, (0, *geometry.output_pad),
    )  # fmt: skip
    return weights[:, :, None, :], flat


@reads("aten.conv1d", "aten.conv2d", "aten.convolution", "aten._convolution")
def convolution(call: Call) -> Value:
    """Conv2d, or DepthwiseConv2d where every group has one input channel."""
    if call.get("transposed", False):
        return transposed_convolution(call)
    weights = call.array("weight")
    weights, geometry = _planar_weights(weights, _geometry(call, weights.shape[2:]))
    x, squeeze = _batched(call)
    attrs = {"stride": geometry.stride, "pad": geometry.pad, "dilation": geometry.dilation}
    bias = call.optional("bias")
    depthwise = geometry.groups > 1 and weights.shape[1] == 1
    if depthwise and geometry.groups == x.shape[1]:
        w = call.const(weights.transpose(1, 2, 3, 0), name="weight")  # [1, kh, kw, C * M]
        y = call.emit("DepthwiseConv2d", x, w, bias, **attrs)
    else:
        w = call.const(weights.transpose(0, 2, 3, 1), name="weight")  # OHWI
        y = call.emit("Conv2d", x, w, bias, **attrs, groups=geometry.groups)
    return call.reshape(y, call.shape) if squeeze else y


def _batched(call: Call) -> tuple[Value, bool]:
    """The input as [N, C, H, W], and whether that changed its rank."""
    x = call.value("input")
    dims = call.array("weight").ndim - 2
    if x.rank == dims + 1:  # no batch dimension
        x = call.reshape(x, (1, *x.shape))
    return planar(call, x), x.rank != 4 or len(call.shape) != 4


@reads("aten.conv_transpose1d", "aten.conv_transpose2d")
def transposed_convolution(call: Call) -> Value:
    """ConvTranspose2d; torch's weights are [in, out / groups, kh, kw]."""
    weights = call.array("weight")
    weights, geometry = _planar_weights(weights, _geometry(call, weights.shape[2:]))
    parts = np.split(weights, geometry.groups, axis=0)
    w = call.const(np.concatenate([p.transpose(1, 2, 3, 0) for p in parts]), name="weight")
    x, squeeze = _batched(call)
    y = call.emit(
        "ConvTranspose2d", x, w, call.optional("bias"), stride=geometry.stride, pad=geometry.pad,
        dilation=geometry.dilation, output_pad=geometry.output_pad, groups=geometry.groups,
        
    )  # fmt: skip
    return call.reshape(y, call.shape) if squeeze else y
