"""Dense layers and matrix products."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.activation import activate
from edgepack.kernels.registry import real


@real("FullyConnected")
def fully_connected(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """X [..., in] times weights [out, in]."""
    rows = x.reshape(-1, w.shape[1]) if node.attrs["flatten"] else x
    y = rows @ w.T
    return activate(node, y if b is None else y + b)


@real("MatMul")
def matmul(node: Node, a: Array, b: Array) -> Array:
    """Batched product of the last two dimensions."""
    left = np.swapaxes(a, -1, -2) if node.attrs["adj_a"] else a
    right = np.swapaxes(b, -1, -2) if node.attrs["adj_b"] else b
    return left @ right
