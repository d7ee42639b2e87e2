"""Reductions, running sums and searches along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.registry import REAL, real

_REDUCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceAny": np.any,
    "ReduceAll": np.all,
}


def _kernel(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(node: Node, x: Array) -> Array:
        return np.asarray(function(x, axis=node.attrs["axes"], keepdims=node.attrs["keepdims"]))

    return kernel


REAL.update({op: _kernel(function) for op, function in _REDUCTIONS.items()})


@real("ArgMax")
def arg_max(node: Node, x: Array) -> Array:
    """Index of the first maximum along the axis, which disappears."""
    return np.asarray(np.argmax(x, axis=node.attrs["axis"]))


@real("ArgMin")
def arg_min(node: Node, x: Array) -> Array:
    """Index of the first minimum along the axis, which disappears."""
    return np.asarray(np.argmin(x, axis=node.attrs["axis"]))


@real("CumSum")
def cum_sum(node: Node, x: Array) -> Array:
    """Running sum along the axis; exclusive: of what comes before; reverse: from the end."""
    axis = node.attrs["axis"]
    y = np.flip(x, axis) if node.attrs["reverse"] else x
    total: Array = np.cumsum(y, axis=axis, dtype=x.dtype)
    if node.attrs["exclusive"]:
        total = np.roll(total, 1, axis)
        total[(slice(None),) * (axis % x.ndim) + (slice(0, 1),)] = 0
    return np.flip(total, axis) if node.attrs["reverse"] else total


@real("TopK")
def top_k(node: Node, x: Array) -> tuple[Array, Array]:
    """The k largest along the last axis, falling, and their indices; of equals the first first."""
    # A stable ascending sort of the reversed axis, read backwards, keeps equals in their order.
    rising = np.argsort(x[..., ::-1], axis=-1, kind="stable")
    indices = (x.shape[-1] - 1 - rising[..., ::-1])[..., : node.attrs["k"]]
    return np.take_along_axis(x, indices, axis=-1), indices
