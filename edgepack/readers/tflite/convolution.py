"""Rows of convolutions, pooling and resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.schema import tflite as fmt

Pads = tuple[tuple[int, int], ...]

_MAX_EXTENT: Final = 2**16  # of a dilated kernel: more is damage, and would cost memory to pad


def _positive(what: str, *numbers: int) -> None:
    if any(n < 1 for n in numbers):
        raise BadModel(f"{what} {numbers} must be 1 or more")


def _need_rank(x: Value, rank: int) -> None:
    if x.rank != rank:
        raise BadModel(f"a spatial operator takes rank {rank}, not {list(x.shape)}")


def explicit_pad(
    code: int, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """The pads that SAME or VALID means for the channels-last value `x`."""
    _need_rank(x, len(kernel) + 2)
    _positive("kernel, stride and dilation", *kernel, *stride, *dilation)
    if any(k * d > _MAX_EXTENT for k, d in zip(kernel, dilation, strict=True)):
        raise BadModel(f"a window of {tuple(kernel)} (dilation {tuple(dilation)}) is not sensible")
    if code == fmt.schema().Padding.VALID:
        return ((0, 0),) * len(kernel)
    if code != fmt.schema().Padding.SAME:
        raise BadModel(f"padding {code} is neither SAME nor VALID")
    dims = zip(x.shape[1:-1], kernel, stride, dilation, strict=True)
    return tuple(fmt.same_padding(*dim) for dim in dims)


def _per_dim(options: Any, pattern: str, rank: int) -> tuple[int, ...]:
    """The option for each spatial dimension, `pattern` with D, H and W filled in."""
    return tuple(getattr(options, pattern.format(letter)) for letter in "DHW"[-rank:])


def _window(op: OpView, options: Any, kernel: Sequence[int], *, dilated: bool) -> dict[str, Any]:
    rank = len(kernel)
    stride = _per_dim(options, "stride{}", rank)
    dilation = _per_dim(options, "dilation{}Factor", rank) if dilated else (1,) * rank
    return {
        "stride": stride,
        "pad": explicit_pad(options.padding, op.input(0), kernel, stride, dilation),
        "activation": op.activation(options.fusedActivationFunction),
        **({"dilation": dilation} if dilated else {}),
    }


def _kernel(w: Value, rank: int = 2) -> tuple[int, ...]:
    if w.rank != rank + 2 or 0 in w.shape:
        raise BadModel(f"weights {list(w.shape)} are not those of a {rank}-D convolution")
    return w.shape[1:-1]


@reads("CONV_2D")
def conv2d(op: OpView) -> Value:
    """CONV_2D; grouped when the filters see fewer channels than the input has."""
    x, w = op.input(0), op.input(1)
    window = _window(op, op.options("Conv2DOptions"), _kernel(w), dilated=True)
    groups = x.shape[-1] // w.shape[-1]
    return op.emit("Conv2d", x, w, op.optional(2), groups=groups, **window)


@reads("DEPTHWISE_CONV_2D")
def depthwise_conv2d(op: OpView) -> Value:
    """DEPTHWISE_CONV_2D."""
    x, w = op.input(0), op.input(1)
    window = _window(op, op.options("DepthwiseConv2DOptions"), _kernel(w), dilated=True)
    return op.emit("DepthwiseConv2d", x, w, op.optional(2), **window)


@reads("CONV_3D")
def conv3d(op: OpView) -> Value:
    """CONV_3D, whose weights stand as DHWIO."""
    x, w = op.input(0), _turned(op, 1, (4, 0, 1, 2, 3))
    window = _window(op, op.options("Conv3DOptions"), _kernel(w, 3), dilated=True)
    return op.emit("Conv3d", x, w, op.optional(2), **window)


def _turned(op: OpView, index: int, perm: tuple[int, ...]) -> Value:
    """Constant weights with their dimensions in the IR's order."""
    value, data = op.input(index), op.array(index)
    if data.ndim != len(perm) or value.quant is not None:
        raise Refused("its weights are quantized or not of rank 5")
    turned = np.ascontiguousarray(data.transpose(perm))
    return Value(value.name, turned.shape, value.dtype, None, turned)


@reads("TRANSPOSE_CONV")
def transpose_conv(op: OpView) -> Value:
    """TRANSPOSE_CONV: inputs are the output's shape, weights, x and perhaps a bias."""
    return _transposed(op, "ConvTranspose2d", op.options("TransposeConvOptions"), op.input(1))


@reads("CONV_3D_TRANSPOSE")
def conv3d_transpose(op: OpView) -> Value:
    """CONV_3D_TRANSPOSE, whose weights stand as DHWOI; otherwise as in two dimensions."""
    options = op.options("Conv3DOptions")
    if _per_dim(options, "dilation{}Factor", 3) != (1, 1, 1):
        raise Refused("it is dilated")
    return _transposed(op, "ConvTranspose3d", options, _turned(op, 1, (3, 0, 1, 2, 4)))


def _transposed(op: OpView, name: str, options: Any, w: Value) -> Value:
    x, size = op.input(2), op.ints(0)[1:-1]
    rank = w.rank - 2
    stride, kernel = _per_dim(options, "stride{}", rank), _kernel(w, rank)
    _positive("stride and size", *stride, *size)
    _need_rank(x, rank + 2)
    pads, extra = [], []
    for out, n, k, s in zip(size, x.shape[1:-1], kernel, stride, strict=True):
        full = (n - 1) * s + k
        cut = max(0, full - out)
        pads.append((cut // 2, cut - cut // 2))
        extra.append(max(0, out - full))
    if fmt.transposed_padding_name(x.shape[1:-1], size, kernel, stride, tuple(pads)) is None:
        raise BadModel(f"{list(x.shape)} does not become {size} by strides of {stride}")
    return op.emit(
        name, x, w, op.optional(3), stride=stride, pad=tuple(pads), output_pad=tuple(extra),
        activation=op.activation(options.fusedActivationFunction),
    )  # fmt: skip


@reads("MAX_POOL_2D", "AVERAGE_POOL_2D")
def pool2d(op: OpView) -> Value:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    options = op.options("Pool2DOptions")
    kernel = (options.filterHeight, options.filterWidth)
    name = "MaxPool2d" if op.builtin == "MAX_POOL_2D" else "AveragePool2d"
    window = _window(op, options, kernel, dilated=False)
    return op.emit(name, op.input(0), kernel=kernel, **window)


@reads("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(op: OpView) -> Value:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR to a constant size."""
    bilinear = op.builtin == "RESIZE_BILINEAR"
    options = op.options("ResizeBilinearOptions" if bilinear else "ResizeNearestNeighborOptions")
    _positive("size", *op.ints(1))
    if options.alignCorners and options.halfPixelCenters:
        raise BadModel("it aligns corners and pixel centers at once")
    return op.emit(
        "ResizeBilinear" if bilinear else "ResizeNearest", op.input(0), size=op.ints(1),
        align_corners=bool(options.alignCorners), half_pixel=bool(options.halfPixelCenters),
    )  # fmt: skip


@reads("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def depth_space(op: OpView) -> Value:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    name = "DepthToSpace" if op.builtin == "DEPTH_TO_SPACE" else "SpaceToDepth"
    block = op.options(f"{name}Options").blockSize
    _positive("block", block)
    return op.emit(name, op.input(0), block=block)


def _pairs(flat: tuple[int, ...]) -> Pads:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


@reads("SPACE_TO_BATCH_ND")
def space_to_batch(op: OpView) -> Value:
    """SPACE_TO_BATCH_ND."""
    block, pad = op.ints(1), op.ints(2)
    _positive("block", *block)
    return op.emit("SpaceToBatch", op.input(0), block=block, pad=_pairs(pad))


@reads("BATCH_TO_SPACE_ND")
def batch_to_space(op: OpView) -> Value:
    """BATCH_TO_SPACE_ND."""
    block, crop = op.ints(1), op.ints(2)
    _positive("block", *block)
    return op.emit("BatchToSpace", op.input(0), block=block, crop=_pairs(crop))
