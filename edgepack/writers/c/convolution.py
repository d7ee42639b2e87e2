"""Convolutions of 8-bit activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels.quantized_scale import zero
from edgepack.plan.c_loops import even
from edgepack.writers.c.builder import CBuilder, lowers, refuse_unless
from edgepack.writers.c.weighted import matrix, weighted
from edgepack.writers.c.wide import wide_weighted

_WIDE = 2  # bytes of a number in scratch


def window(node: Node) -> dict[str, Any]:
    """Sizes, stride and padding of a spatial layer, as the structs have them."""
    x, y, attrs = node.input(0), node.output, node.attrs
    (top, _), (left, _) = attrs["pad"]
    return {
        "batches": x.shape[0],
        "in_h": x.shape[1], "in_w": x.shape[2], "in_c": x.shape[3],
        "out_h": y.shape[1], "out_w": y.shape[2],
        "stride_h": attrs["stride"][0], "stride_w": attrs["stride"][1],
        "pad_top": top, "pad_left": left,
    }  # fmt: skip


def filtered(node: Node) -> dict[str, Any]:
    """`window`, and the filter's size and dilation."""
    w, attrs = node.input(1), node.attrs
    return {
        **window(node),
        "kernel_h": w.shape[1], "kernel_w": w.shape[2],
        "dilation_h": attrs["dilation"][0], "dilation_w": attrs["dilation"][1],
    }  # fmt: skip


@lowers("Conv2d")
def conv2d(node: Node, out: CBuilder) -> None:
    """A dense layer on pixels where the filter is one pixel and every pixel is read."""
    rows = constant_weights(node).reshape(len(node.input(1).const), -1)
    if node.input(0).dtype is DType.INT16:
        _conv16(node, out, rows, node.attrs["groups"])
    elif is_pointwise(node):
        dense(node, out, rows)
    else:
        _conv(node, out, rows, node.attrs["groups"])


def constant_weights(node: Node) -> Array:
    """The weights. Raises Refused where they are computed."""
    refuse_unless(node.input(1).is_const, "computed weights")
    return node.input(1).const


def _conv16(node: Node, out: CBuilder, rows: Array, groups: int) -> None:
    fields, shape = wide_weighted(node, out, rows), filtered(node)
    shape["in_c"] //= groups
    params = out.struct("ep_conv_s16_t", **fields, **shape, out_c=len(rows), groups=groups)
    out.call("ep_conv_s16", params, out.at(node.input(0)), out.at(node.output))


def is_pointwise(node: Node) -> bool:
    """Whether a convolution is a dense layer on each pixel of its input."""
    return (
        node.input(1).shape[1:3] == (1, 1)
        and node.attrs["stride"] == (1, 1)
        and node.attrs["pad"] == ((0, 0), (0, 0))
        and node.attrs["groups"] == 1
    )


def dense(node: Node, out: CBuilder, rows: Array) -> None:
    """Each row of the input, of as many elements as the weights have, times the weights."""
    depth = rows.shape[1]
    count = node.input(0).size // depth
    if node.input(0).dtype is DType.INT16:
        _dense16(node, out, rows, count)
        return
    fields = matrix(node, out, rows, "ep_dense_s8")
    scratch, block = out.scratch(node, even(depth) * _WIDE, count)
    params = out.struct("ep_dense_t", matrix=fields, rows=count, block=block)
    out.call("ep_dense_s8", params, out.at(node.input(0)), out.at(node.output), scratch)


def _dense16(node: Node, out: CBuilder, rows: Array, count: int) -> None:
    """A convolution of one row of pixels."""
    depth = rows.shape[1]
    ones = ("batches", "in_h", "out_h", "groups", "kernel_h", "kernel_w", "stride_h", "stride_w")
    params = out.struct(
        "ep_conv_s16_t",
        **wide_weighted(node, out, rows), **dict.fromkeys(ones, 1),
        in_w=count, out_w=count, in_c=depth, out_c=len(rows),
        dilation_h=1, dilation_w=1, pad_top=0, pad_left=0,
    )  # fmt: skip
    out.call("ep_conv_s16", params, out.at(node.input(0)), out.at(node.output))


def _conv(node: Node, out: CBuilder, rows: Array, groups: int) -> None:
    kernel = "ep_conv_s8" if groups == 1 else "ep_conv_groups_s8"
    fields, shape = matrix(node, out, rows, kernel), filtered(node)
    shape["in_c"] //= groups
    pixels = node.output.size // len(rows)
    scratch, block = out.scratch(node, even(rows.shape[1]) * _WIDE, pixels)
    params = out.struct(
        "ep_conv_t", matrix=fields, **shape, groups=groups, fill=zero(node.input(0)), block=block
    )
    out.call(kernel, params, out.at(node.input(0)), out.at(node.output), scratch)


@lowers("DepthwiseConv2d")
def depthwise_conv2d(node: Node, out: CBuilder) -> None:
    """Of one channel it is an ordinary convolution."""
    w, x = node.input(1), node.input(0)
    rows = np.ascontiguousarray(constant_weights(node).reshape(-1, w.shape[3]).T)
    if x.dtype is DType.INT16:
        _conv16(node, out, rows, x.shape[3])
        return
    if x.shape[3] == 1:
        _conv(node, out, rows, 1)
        return
    fields, shape = weighted(node, out, rows), filtered(node)
    scratch, lines, pitch = _band(node, out, shape)
    params = out.struct(
        "ep_depthwise_t",
        weights=out.weights(node, "ep_depthwise_s8", rows),
        **fields, **shape, times=w.shape[3] // x.shape[3],
        fill=zero(x), lines=lines, pitch=pitch,
    )  # fmt: skip
    out.call("ep_depthwise_s8", params, out.at(x), out.at(node.output), scratch)


def _band(node: Node, out: CBuilder, shape: dict[str, Any]) -> tuple[str, int, int]:
    """(scratch, output rows for which it holds the input of one channel, elements of a row)."""
    left, right = node.attrs["pad"][1]
    pitch = shape["in_w"] + left + right
    pitch += pitch % 2
    extent = (shape["kernel_h"] - 1) * shape["dilation_h"] + 1
    scratch, _ = out.scratch(node, extent * pitch * _WIDE)
    inputs = out.plan.scratch[node][1] - out.plan.expanded.get(node, 0)
    given = inputs // (pitch * _WIDE)
    lines = min((given - extent) // shape["stride_h"] + 1, shape["out_h"])
    return scratch, lines, pitch


@lowers("ConvTranspose2d")
def conv_transpose2d(node: Node, out: CBuilder) -> None:
    """Weights as they are; the zero point is subtracted as it goes, since taps may be missing."""
    x, y, attrs = node.input(0), node.output, node.attrs
    rows = constant_weights(node).reshape(len(node.input(1).const), -1)
    legal = attrs["groups"] == 1 and attrs["dilation"] == (1, 1)
    refuse_unless(legal, "groups or dilation")
    shape = {k: v for k, v in filtered(node).items() if not k.startswith("dilation")}
    shape["out_c"] = len(rows)
    if x.dtype is DType.INT16:
        params = out.struct("ep_transposed_s16_t", **wide_weighted(node, out, rows), **shape)
        out.call("ep_transposed_s16", params, out.at(x), out.at(y))
        return
    fields = weighted(node, out, rows, fold=False)
    params = out.struct(
        "ep_transposed_t",
        weights=out.table(rows, f"{node.name}: weights"),
        **fields, **shape, offset=-zero(x),
    )  # fmt: skip
    out.call("ep_transposed_s8", params, out.at(x), out.at(y))
