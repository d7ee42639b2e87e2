"""Elementwise operators and activations, real numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.convolution import activate
from edgepack.kernels.registry import REAL, real


def _sigmoid(x: Array) -> Array:
    # exp of a non-positive number only: no overflow at either end
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


_UNARY: dict[str, Callable[[Array], Array]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Relu6": lambda x: np.clip(x, 0, 6),
    "ReluN1To1": lambda x: np.clip(x, -1, 1),
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
}


def _unary_kernel(function: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda node, x: function(x)


def _binary_kernel(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def kernel(node: Node, a: Array, b: Array) -> Array:
        y = function(a, b)
        return activate(node, y) if "activation" in node.attrs else y

    return kernel


REAL.update({op: _unary_kernel(f) for op, f in _UNARY.items()})
REAL.update({op: _binary_kernel(f) for op, f in _BINARY.items()})


@real("Softmax")
def softmax(node: Node, x: Array) -> Array:
    """exp(beta * x) over its sum along the axis, shifted by the maximum."""
    axis = node.attrs["axis"]
    e = np.exp((x - x.max(axis=axis, keepdims=True)) * np.float32(node.attrs["beta"]))
    y: Array = e / e.sum(axis=axis, keepdims=True)
    return y
