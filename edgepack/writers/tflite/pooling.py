"""Pooling and resampling, layout NHWC."""

from __future__ import annotations

from typing import Final

from edgepack.ir import Node
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers, require
from edgepack.writers.tflite.convolution import activation, window_fields

_POOLS: Final = {"MaxPool2d": "MAX_POOL_2D", "AveragePool2d": "AVERAGE_POOL_2D"}
_RESIZES: Final = {
    "ResizeNearest": ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    "ResizeBilinear": ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
}
_BLOCKS: Final = {"DepthToSpace": "DEPTH_TO_SPACE", "SpaceToDepth": "SPACE_TO_DEPTH"}


@lowers(*_POOLS)
def pool2d(node: Node, out: TFLiteBuilder) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D. Legal form: padding is not counted in a mean."""
    filter_h, filter_w = node.attrs["kernel"]
    counted = node.attrs.get("count_include_pad", False) and any(map(any, node.attrs["pad"]))
    require(node, not counted, "padding that counts in a mean")
    out.emit(
        _POOLS[node.op],
        node,
        options="Pool2DOptions",
        filter_height=filter_h,
        filter_width=filter_w,
        fused_activation_function=activation(node),
        **window_fields(node, node.attrs["kernel"]),
    )


@lowers(*_RESIZES)
def resize(node: Node, out: TFLiteBuilder) -> None:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.

    Legal form: not both align_corners and half_pixel.
    """
    builtin, options = _RESIZES[node.op]
    both = node.attrs["align_corners"] and node.attrs["half_pixel"]
    require(node, not both, "align_corners with half_pixel")
    require(node, node.attrs["layout"] == "NHWC", "channels first")
    size = out.constant(f"{node.name}/size", node.attrs["size"])
    out.emit(
        builtin,
        node,
        inputs=[node.input(0), size],
        options=options,
        align_corners=node.attrs["align_corners"],
        half_pixel_centers=node.attrs["half_pixel"],
    )


@lowers(*_BLOCKS)
def depth_space(node: Node, out: TFLiteBuilder) -> None:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    require(node, node.attrs["layout"] == "NHWC", "channels first")
    options = f"{node.op}Options"
    out.emit(_BLOCKS[node.op], node, options=options, block_size=node.attrs["block"])


@lowers("SpaceToBatch")
def space_to_batch(node: Node, out: TFLiteBuilder) -> None:
    """SPACE_TO_BATCH_ND. Legal form: rank 3 with one block size, or rank 4 with two."""
    block = out.constant(f"{node.name}/block", node.attrs["block"])
    pad = out.constant(f"{node.name}/pad", node.attrs["pad"])
    inputs = [node.input(0), block, pad]
    out.emit("SPACE_TO_BATCH_ND", node, inputs=inputs, options="SpaceToBatchNDOptions")


@lowers("BatchToSpace")
def batch_to_space(node: Node, out: TFLiteBuilder) -> None:
    """BATCH_TO_SPACE_ND. Legal form: rank 3 with one block size, or rank 4 with two."""
    block = out.constant(f"{node.name}/block", node.attrs["block"])
    crop = out.constant(f"{node.name}/crop", node.attrs["crop"])
    inputs = [node.input(0), block, crop]
    out.emit("BATCH_TO_SPACE_ND", node, inputs=inputs, options="BatchToSpaceNDOptions")
