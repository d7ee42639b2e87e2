"""Pooling of 8-bit activations."""

from __future__ import annotations

from typing import Any

from edgepack.ir import DType, Node
from edgepack.kernels.quantized_scale import limits
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless
from edgepack.writers.c.convolution import window


def pool(node: Node) -> dict[str, Any]:
    """The sizes of ep_pool_t."""
    kernel_h, kernel_w = node.attrs["kernel"]
    return {**window(node), "kernel_h": kernel_h, "kernel_w": kernel_w}


@lowers("AveragePool2d", "MaxPool2d")
def pool2d(node: Node, out: CBuilder) -> None:
    """Padding does not count."""
    refuse_unless(all_of(node, DType.INT8), f"{node.input(0).dtype} input")
    refuse_unless(not node.attrs.get("count_include_pad"), "padding that counts")
    low, high = limits(node)
    params = out.struct("ep_pool_t", **pool(node), low=low, high=high)
    kernel = "ep_average_s8" if node.op == "AveragePool2d" else "ep_max_s8"
    out.call(kernel, params, out.at(node.input(0)), out.at(node.output))
