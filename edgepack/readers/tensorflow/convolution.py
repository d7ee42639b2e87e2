"""Convolutions, pooling and resizing; NHWC unless `data_format` says otherwise, filters HWIO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.ir import Value
from edgepack.ir.shapes import split_layout
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.call import Call
from edgepack.readers.tensorflow.registry import reads
from edgepack.schema.tflite import same_padding

Pads = tuple[tuple[int, int], ...]


def _planar(call: Call, numbers: Sequence[int]) -> tuple[int, int]:
    """Height and width of one number per dimension."""
    return (numbers[2], numbers[3]) if call.layout == "NCHW" else (numbers[1], numbers[2])


def _pads(call: Call, x: Value, kernel: Sequence[int], dilation: Sequence[int] = (1, 1)) -> Pads:
    padding = call.attrs["padding"]
    if padding == "EXPLICIT":
        given = call.attrs["explicit_paddings"]
        first = 4 if call.layout == "NCHW" else 2
        return (given[first], given[first + 1]), (given[first + 2], given[first + 3])
    if padding == "VALID":
        return (0, 0), (0, 0)
    sizes = split_layout(x.shape, call.layout)[1]
    stride = _planar(call, call.attrs["strides"])
    return tuple(same_padding(*dim) for dim in zip(sizes, kernel, stride, dilation, strict=True))


def _geometry(call: Call, x: Value, kernel: Sequence[int]) -> dict[str, Any]:
    dilation = _planar(call, call.attrs.get("dilations") or (1, 1, 1, 1))
    stride = _planar(call, call.attrs["strides"])
    pad = _pads(call, x, kernel, dilation)
    return {"stride": stride, "dilation": dilation, "pad": pad}


@reads("Conv2D")
def conv2d(call: Call) -> Value:
    """Conv2d; groups are told by the filter's input channels."""
    x, filters = call.value(0), call.array(1)  # HWIO
    channels = split_layout(x.shape, call.layout)[2]
    groups = channels // filters.shape[2]
    w = call.const(filters.transpose(3, 0, 1, 2), name="weight")
    return call.emit("Conv2d", x, w, None, groups=groups, **_geometry(call, x, filters.shape[:2]))


@reads("DepthwiseConv2dNative")
def depthwise_conv2d(call: Call) -> Value:
    """DepthwiseConv2d; TensorFlow's filter is [kh, kw, C, M]."""
    x, filters = call.value(0), call.array(1)
    w = call.const(filters.reshape(1, *filters.shape[:2], -1), name="weight")
    return call.emit("DepthwiseConv2d", x, w, None, **_geometry(call, x, filters.shape[:2]))


@reads("Conv2DBackpropInput")
def transposed_conv2d(call: Call) -> Value:
    """ConvTranspose2d to the given size; the filter is [kh, kw, out, in]."""
    size, filters, x = call.ints(0), call.array(1), call.value(2)
    if set(call.attrs.get("dilations") or (1,)) != {1}:
        raise Refused("a dilated transposed convolution has no equivalent")
    stride = _planar(call, call.attrs["strides"])
    sizes = split_layout(x.shape, call.layout)[1]
    wanted = _planar(call, size)
    pad, extra = [], []
    for small, large, k, s in zip(sizes, wanted, filters.shape[:2], stride, strict=True):
        full = (small - 1) * s + k
        cut = max(full - large, 0) if call.attrs["padding"] == "SAME" else 0
        pad.append((cut // 2, cut - cut // 2))
        extra.append(large - full + cut)
    w = call.const(filters.transpose(2, 0, 1, 3), name="weight")
    return call.emit("ConvTranspose2d", x, w, None, stride=stride, pad=pad, output_pad=extra)


@reads("BiasAdd")
def bias_add(call: Call) -> Value:
    """Add along the channels."""
    x, bias = call.value(0), call.value(1)
    if call.layout == "NCHW" and x.rank > 2:
        bias = call.const(call.array(1).reshape(-1, *(1,) * (x.rank - 2)), name="bias")
    return call.emit("Add", x, bias)


@reads("MaxPool", "AvgPool")
def pool(call: Call) -> Value:
    """MaxPool2d or AveragePool2d; padding never counts."""
    x = call.value(0)
    kernel = _planar(call, call.attrs["ksize"])
    stride = _planar(call, call.attrs["strides"])
    op = "AveragePool2d" if call.op == "AvgPool" else "MaxPool2d"
    pad = _pads(call, x, kernel)
    return call.emit(op, x, kernel=kernel, stride=stride, pad=pad)


@reads("ResizeBilinear", "ResizeNearestNeighbor")
def resize(call: Call) -> Value:
    """ResizeBilinear or ResizeNearest."""
    op = "ResizeBilinear" if call.op == "ResizeBilinear" else "ResizeNearest"
    return call.emit(
        op, call.value(0), size=call.ints(1),
        align_corners=bool(call.attrs.get("align_corners", False)),
        half_pixel=bool(call.attrs.get("half_pixel_centers", False)),
    )  # fmt: skip


@reads("DepthToSpace", "SpaceToDepth")
def depth_space(call: Call) -> Value:
    """DepthToSpace or SpaceToDepth; TensorFlow has the block first, as the IR has."""
    block = int(call.attrs["block_size"])
    return call.emit(call.op, call.value(0), block=block)


@reads("SpaceToBatchND")
def space_to_batch(call: Call) -> Value:
    """SpaceToBatch."""
    pad = call.array(2).reshape(-1, 2)
    return call.emit("SpaceToBatch", call.value(0), block=call.ints(1), pad=pad)


@reads("BatchToSpaceND")
def batch_to_space(call: Call) -> Value:
    """BatchToSpace; around a convolution that SpaceToBatch prepared: dilation."""
    y, block, crop = call.value(0), call.ints(1), call.array(2).reshape(-1, 2)
    return _dilated(call, y, block, crop) or call.emit("BatchToSpace", y, block=block, crop=crop)


def _dilated(call: Call, y: Value, block: Sequence[int], crop: Any) -> Value | None:
    """The convolution with `dilation` instead of rearranged blocks, where that is what it is."""
    conv = y.producer
    if conv is None or conv.op not in ("Conv2d", "DepthwiseConv2d") or len(block) != 2:
        return None
    split = conv.input(0).producer
    plain = conv.attrs["stride"] == (1, 1) and conv.attrs["pad"] == ((0, 0), (0, 0))
    if split is None or split.op != "SpaceToBatch" or split.attrs["block"] != tuple(block):
        return None
    if not plain or conv.attrs["dilation"] != (1, 1) or conv.attrs["layout"] != "NHWC":
        return None
    pad = np.asarray(split.attrs["pad"]) - crop
    if (pad < 0).any():
        return None
    attrs = {**conv.attrs, "dilation": tuple(block), "pad": pad}
    return call.emit(conv.op, split.input(0), *conv.inputs[1:], **attrs)
