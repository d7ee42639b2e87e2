"""Pooling of 8-bit activations."""

from __future__ import annotations

from typing import Any

from edgepack.ir import DType, Node
from edgepack.kernels.quantized_scale import limits
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless
from edgepack.writers.c.convolution import window
from edgepack.writers.c.elementwise import suffix


def pool(node: Node) -> dict[str, Any]:
    """The sizes of ep_pool_t."""
    kernel_h, kernel_w = node.attrs["kernel"]
    return {**window(node), "kernel_h": kernel_h, "kernel_w": kernel_w}


@lowers("AveragePool2d", "MaxPool2d")
def pool2d(node: Node, out: CBuilder) -> None:
    """Padding does not count."""
    x = node.input(0)
    refuse_unless(all_of(node, DType.INT8) or all_of(node, DType.INT16), f"{x.dtype} input")
    refuse_unless(not node.attrs.get("count_include_pad"), "padding that counts")
    low, high = limits(node)
    params = out.struct("ep_pool_t", **pool(node), low=low, high=high)
    kernel = "ep_average" if node.op == "AveragePool2d" else "ep_max"
    out.call(kernel + suffix(x), params, out.at(x), out.at(node.output))
