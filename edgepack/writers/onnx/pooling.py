"""Pooling and resampling, NCHW."""

from __future__ import annotations

from edgepack.ir import DType, Node
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers
from edgepack.writers.onnx.convolution import need_nchw, window


@lowers("MaxPool2d")
def max_pool(node: Node, out: OnnxBuilder) -> None:
    """MaxPool."""
    need_nchw(node)
    attrs = {**window(node), "kernel_shape": list(node.attrs["kernel"])}
    emit_activated(node, out, "MaxPool", [out.real(node.input(0))], **attrs)


@lowers("AveragePool2d")
def average_pool(node: Node, out: OnnxBuilder) -> None:
    """AveragePool, or GlobalAveragePool where the window is the whole picture."""
    need_nchw(node)
    x, kernel = node.input(0), node.attrs["kernel"]
    if kernel == x.shape[2:] and not any(map(any, node.attrs["pad"])):
        emit_activated(node, out, "GlobalAveragePool", [out.real(x)])
        return
    count = int(node.attrs["count_include_pad"])
    emit_activated(
        node, out, "AveragePool", [out.real(x)], kernel_shape=list(kernel),
        count_include_pad=count or None, **window(node),
    )  # fmt: skip


@lowers("ResizeNearest", "ResizeBilinear")
def resize(node: Node, out: OnnxBuilder) -> None:
    """Resize to sizes."""
    need_nchw(node)
    attrs, x = node.attrs, node.input(0)
    nearest = node.op == "ResizeNearest"
    places = "half_pixel" if attrs["half_pixel"] else "asymmetric"
    # TFLite's nearest takes the floor of the place, half a pixel further on with half_pixel: that
    # is the nearest of ONNX's place; with align_corners it rounds.
    rounds = attrs["half_pixel"] or attrs["align_corners"]
    sizes = out.constant([*x.shape[:2], *attrs["size"]], name="sizes")
    out.emit(
        "Resize", [out.real(x), "", "", sizes], node.output,
        mode="nearest" if nearest else "linear",
        coordinate_transformation_mode="align_corners" if attrs["align_corners"] else places,
        nearest_mode=("round_prefer_ceil" if rounds else "floor") if nearest else None,
    )  # fmt: skip


@lowers("DepthToSpace", "SpaceToDepth")
def depth_and_space(node: Node, out: OnnxBuilder) -> None:
    """DepthToSpace and SpaceToDepth; ONNX has the same order of channels."""
    need_nchw(node)
    x, block = node.input(0), node.attrs["block"]
    if x.quant is not None or x.dtype.is_float:
        out.emit(node.op, [out.real(x)], node.output, blocksize=block)
    else:  # runtimes have it for real numbers
        wide = out.cast(out.raw(x), DType.FLOAT64 if x.dtype.bits > 16 else DType.FLOAT32)
        moved = out.op(node.op, [wide], blocksize=block)
        out.cast(moved, x.dtype, node.output.name)
