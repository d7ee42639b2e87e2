"""Convolutions of whole numbers: int32 values and weights of 8 bits, int32 sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir import Array, DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder


def emit_integer_convolution(
    node: Node, out: OnnxBuilder, weights: Array, group: int, attrs: dict[str, Any]
) -> None:
    """ConvInteger of values that lie in 0 .. 255, which whoever made the node has seen to.

    `weights` [out, in / group, h, w] are constants that span at most 255; the file holds them
    unsigned, with a zero point: ONNX Runtime's products of unsigned by signed bytes saturate on x86
    processors without VNNI. Raises InternalError for weights that span more, a bias or padding,
    which would have to know what value stands for nothing.
    """
    padded = any(map(any, node.attrs["pad"]))
    if padded or node.optional(2) is not None or node.attrs["activation"] != "none":
        raise InternalError("an integer convolution has no padding, bias or clamp", at=node.name)
    zero = max(0, -int(weights.min(initial=0)))
    if int(weights.max(initial=0)) + zero > DType.UINT8.limits[1]:
        raise InternalError("the weights of an integer convolution exceed 8 bits", at=node.name)
    names = [
        out.cast(out.raw(node.input(0)), DType.UINT8),
        out.initializer((weights + zero).astype(np.uint8), node.input(1).name),
        out.constant(0, DType.UINT8, "zero_point"),
        out.constant(zero, DType.UINT8, "zero_point"),
    ]
    out.op("ConvInteger", names, node.output.name, group=group, **attrs)
