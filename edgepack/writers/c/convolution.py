"""Convolutions of 8-bit activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import Node
from edgepack.kernels.quantized_scale import zero
from edgepack.writers.c.builder import CBuilder, lowers
from edgepack.writers.c.weighted import weighted


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


def convolution(node: Node, groups: int) -> dict[str, Any]:
    """The fields of ep_conv_t but for weights and quantization."""
    w, attrs = node.input(1), node.attrs
    return {
        **window(node),
        "out_c": node.output.shape[3], "groups": groups,
        "kernel_h": w.shape[1], "kernel_w": w.shape[2],
        "dilation_h": attrs["dilation"][0], "dilation_w": attrs["dilation"][1],
        "fill": zero(node.input(0)),
    }  # fmt: skip


@lowers("Conv2d")
def conv2d(node: Node, out: CBuilder) -> None:
    """Weights as they are, [out][taps]."""
    w, groups = node.input(1), node.attrs["groups"]
    rows = w.const.reshape(len(w.const), -1)
    fields = weighted(node, out, rows)
    params = out.struct(
        "ep_conv_t",
        weights=out.table(rows, f"{node.name}: weights"),
        **convolution(node, groups),
        **fields,
    )
    kernel = "ep_conv_s8" if groups == 1 else "ep_conv_groups_s8"
    scratch = out.scratch(node, w.shape[1] * w.shape[2] * node.input(0).shape[3])
    out.call(kernel, params, out.at(node.input(0)), out.at(node.output), scratch)


@lowers("DepthwiseConv2d")
def depthwise_conv2d(node: Node, out: CBuilder) -> None:
    """Weights by channel, [out][taps]."""
    w = node.input(1)
    rows = np.ascontiguousarray(w.const.reshape(-1, w.shape[3]).T)
    fields = weighted(node, out, rows)
    shape = convolution(node, node.input(0).shape[3])
    params = out.struct(
        "ep_conv_t", weights=out.table(rows, f"{node.name}: weights"), **shape, **fields
    )
    spans = (
        (shape[f"out_{d}"] - 1) * shape[f"stride_{d}"]
        + (shape[f"kernel_{d}"] - 1) * shape[f"dilation_{d}"]
        + 1
        for d in "hw"
    )
    scratch = out.scratch(node, 2 * int(np.prod(list(spans))))
    out.call("ep_depthwise_s8", params, out.at(node.input(0)), out.at(node.output), scratch)
