"""Multiply-accumulate rules of the op table: a node in, its MACs for one run out."""

from __future__ import annotations

import math

from edgepack.ir.value import Node


def none(node: Node) -> int:
    """Operators that multiply nothing worth counting."""
    return 0


def conv2d(node: Node) -> int:
    """Output elements times the size of one filter."""
    return node.output.size * math.prod(node.input(1).shape[1:])


def depthwise_conv2d(node: Node) -> int:
    """Output elements times the window."""
    return node.output.size * math.prod(node.input(1).shape[1:3])


def conv_transpose2d(node: Node) -> int:
    """Each input element meets every filter tap of its group once."""
    out_channels, *kernel, _ = node.input(1).shape
    return int(node.input(0).size * math.prod(kernel) * out_channels // node.attrs["groups"])


def fully_connected(node: Node) -> int:
    """Output elements times the inner size."""
    return node.output.size * node.input(1).shape[1]


def matmul(node: Node) -> int:
    """Output elements times the inner size."""
    inner: int = node.input(0).shape[-2 if node.attrs["adj_a"] else -1]
    return int(node.output.size * inner)


def lstm(node: Node) -> int:
    """Steps times the elements of all weight matrices."""
    steps: int = node.input(0).shape[0] * node.input(0).shape[1]
    matrices = (node.optional(i) for i in (*range(1, 9), 16))
    return steps * sum(m.size for m in matrices if m is not None)


def svdf(node: Node) -> int:
    """Batch times the elements of both weight matrices."""
    return int(node.input(0).shape[0] * (node.input(1).size + node.input(2).size))
