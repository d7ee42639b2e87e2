"""Rows of convolutions, pooling and resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.schema import tflite as fmt

Pads = tuple[tuple[int, int], ...]


def _positive(what: str, *numbers: int) -> None:
    if any(n < 1 for n in numbers):
        raise BadModel(f"{what} {numbers} must be 1 or more")


def explicit_pad(
    code: int, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """The pads that SAME or VALID means for the NHWC value `x`."""
    if x.rank != 4:
        raise BadModel(f"a spatial operator takes rank 4, not {list(x.shape)}")
    _positive("kernel, stride and dilation", *kernel, *stride, *dilation)
    if code == fmt.schema().Padding.VALID:
        return ((0, 0), (0, 0))
    if code != fmt.schema().Padding.SAME:
        raise BadModel(f"padding {code} is neither SAME nor VALID")
    dims = zip(x.shape[1:3], kernel, stride, dilation, strict=True)
    return tuple(fmt.same_padding(*dim) for dim in dims)


def _window(op: OpView, options: Any, kernel: Sequence[int]) -> dict[str, Any]:
    stride = (options.strideH, options.strideW)
    dilation = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    return {
        "stride": stride,
        "pad": explicit_pad(options.padding, op.input(0), kernel, stride, dilation),
        "activation": op.activation(options.fusedActivationFunction),
    }


def _kernel(w: Value) -> tuple[int, int]:
    if w.rank != 4 or 0 in w.shape:
        raise BadModel(f"weights {list(w.shape)} are not [O, H, W, I]")
    return w.shape[1], w.shape[2]


@reads("CONV_2D")
def conv2d(op: OpView) -> None:
    """CONV_2D; grouped when the filters see fewer channels than the input has."""
    x, w, options = op.input(0), op.input(1), op.options("Conv2DOptions")
    window = _window(op, options, _kernel(w))
    dilation = (options.dilationHFactor, options.dilationWFactor)
    groups = x.shape[3] // w.shape[3]
    op.emit("Conv2d", [x, w, op.optional(2)], groups=groups, dilation=dilation, **window)


@reads("DEPTHWISE_CONV_2D")
def depthwise_conv2d(op: OpView) -> None:
    """DEPTHWISE_CONV_2D."""
    x, w, options = op.input(0), op.input(1), op.options("DepthwiseConv2DOptions")
    window = _window(op, options, _kernel(w))
    dilation = (options.dilationHFactor, options.dilationWFactor)
    op.emit("DepthwiseConv2d", [x, w, op.optional(2)], dilation=dilation, **window)


@reads("TRANSPOSE_CONV")
def transpose_conv(op: OpView) -> None:
    """TRANSPOSE_CONV: inputs are the output's shape, weights, x and perhaps a bias."""
    size, w, x = op.ints(0)[1:3], op.input(1), op.input(2)
    options = op.options("TransposeConvOptions")
    stride, kernel = (options.strideH, options.strideW), _kernel(w)
    _positive("stride and size", *stride, *size)
    if x.rank != 4:
        raise BadModel(f"a spatial operator takes rank 4, not {list(x.shape)}")
    pads, extra = [], []
    for out, n, k, s in zip(size, x.shape[1:3], kernel, stride, strict=True):
        full = (n - 1) * s + k
        cut = max(0, full - out)
        pads.append((cut // 2, cut - cut // 2))
        extra.append(max(0, out - full))
    op.emit(
        "ConvTranspose2d", [x, w, op.optional(3)], stride=stride, pad=tuple(pads),
        output_pad=tuple(extra), activation=op.activation(options.fusedActivationFunction),
    )  # fmt: skip


@reads("MAX_POOL_2D", "AVERAGE_POOL_2D")
def pool2d(op: OpView) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    options = op.options("Pool2DOptions")
    kernel = (options.filterHeight, options.filterWidth)
    name = "MaxPool2d" if op.builtin == "MAX_POOL_2D" else "AveragePool2d"
    op.emit(name, [op.input(0)], kernel=kernel, **_window(op, options, kernel))


@reads("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(op: OpView) -> None:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR to a constant size."""
    bilinear = op.builtin == "RESIZE_BILINEAR"
    options = op.options("ResizeBilinearOptions" if bilinear else "ResizeNearestNeighborOptions")
    _positive("size", *op.ints(1))
    op.emit(
        "ResizeBilinear" if bilinear else "ResizeNearest", [op.input(0)], size=op.ints(1),
        align_corners=bool(options.alignCorners), half_pixel=bool(options.halfPixelCenters),
    )  # fmt: skip


@reads("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def depth_space(op: OpView) -> None:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    name = "DepthToSpace" if op.builtin == "DEPTH_TO_SPACE" else "SpaceToDepth"
    block = op.options(f"{name}Options").blockSize
    _positive("block", block)
    op.emit(name, [op.input(0)], block=block)


def _pairs(flat: tuple[int, ...]) -> Pads:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


@reads("SPACE_TO_BATCH_ND")
def space_to_batch(op: OpView) -> None:
    """SPACE_TO_BATCH_ND."""
    block, pad = op.ints(1), op.ints(2)
    _positive("block", *block)
    op.emit("SpaceToBatch", [op.input(0)], block=block, pad=_pairs(pad))


@reads("BATCH_TO_SPACE_ND")
def batch_to_space(op: OpView) -> None:
    """BATCH_TO_SPACE_ND."""
    block, crop = op.ints(1), op.ints(2)
    _positive("block", *block)
    op.emit("BatchToSpace", [op.input(0)], block=block, crop=_pairs(crop))
