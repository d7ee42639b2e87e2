"""Operators that move elements without computing, and reductions."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.registry import real


@real("Reshape")
def reshape(node: Node, x: Array) -> Array:
    """Same elements, other shape."""
    return x.reshape(node.attrs["shape"])


@real("Transpose")
def transpose(node: Node, x: Array) -> Array:
    """Dimensions in another order."""
    return x.transpose(node.attrs["perm"])


@real("ReduceMean")
def reduce_mean(node: Node, x: Array) -> Array:
    """Mean over axes."""
    return np.asarray(np.mean(x, axis=node.attrs["axes"], keepdims=node.attrs["keepdims"]))


@real("Pad")
def pad(node: Node, x: Array) -> Array:
    """Constant, reflect, symmetric or edge padding; quantized: with the zero point."""
    pads, mode = node.attrs["pads"], node.attrs["mode"]
    if mode != "constant":
        return np.pad(x, pads, mode=mode)
    quant = node.input(0).quant
    value = node.attrs["value"] if quant is None else int(quant.zero_point[0])
    return np.pad(x, pads, constant_values=value)
