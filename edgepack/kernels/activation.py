"""Activations of real numbers: the fused ones, the operators of one input, softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.registry import REAL, real

LIMITS: Final[dict[str, tuple[int | None, int | None]]] = {
    "none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1),
}  # fmt: skip


def activate(node: Node, y: Array) -> Array:
    """The fused activation of a real result, in the result's dtype."""
    low, high = LIMITS[node.attrs["activation"]]
    return y if low is None else np.clip(y, low, high)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow, in the dtype of x."""
    e = np.exp(-np.abs(x))  # at most 1
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


# -- the error function --------------------------------------------------------------------------
# numpy has none. Taylor's series of degree 6 around the nearest of a grid of points that
# math.erf knows: the remainder is below 1e-15 for steps of 1/64. Beyond 6 erf is 1 in float64.

_STEP: Final = 1 / 64
_LAST: Final = 6.0


@cache
def _erf_grid() -> tuple[Array, Array]:
    points = np.arange(0, _LAST + _STEP, _STEP)
    return np.array([math.erf(p) for p in points]), 2 / math.sqrt(math.pi) * np.exp(-(points**2))


def erf(x: Array) -> Array:
    """Gauss's error function, computed in float64, in the dtype of x."""
    values, slopes = _erf_grid()
    size = np.minimum(np.abs(x.astype(np.float64)), _LAST)
    nearest = np.rint(np.nan_to_num(size) / _STEP).astype(np.int64)
    p = nearest * _STEP
    d = size - p
    # erf's derivatives are Hermite polynomials times its slope: H[n+1] = 2p H[n] - 2n H[n-1]
    before, hermite = np.zeros_like(p), np.ones_like(p)
    term, series = d, np.zeros_like(d)
    for n in range(6):
        series += hermite * term
        term = -term * d / (n + 2)
        before, hermite = hermite, 2 * p * hermite - 2 * n * before
    y: Array = np.copysign(values[nearest] + slopes[nearest] * series, x).astype(x.dtype)
    return y


def _gelu(node: Node, x: Array) -> Array:
    kind = x.dtype.type
    if node.attrs["approximate"]:
        share = np.tanh(kind(math.sqrt(2 / math.pi)) * (x + kind(0.044715) * x * x * x))
    else:
        share = erf(x / kind(math.sqrt(2)))
    y: Array = x * (1 + share) / 2
    return y


# -- operators -------------------------------------------------------------------------------------

_UNARY: Final[dict[str, Callable[[Array], Array]]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Relu6": lambda x: np.clip(x, 0, 6),
    "ReluN1To1": lambda x: np.clip(x, -1, 1),
    "Relu0To1": lambda x: np.clip(x, 0, 1),
    "Elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "HardSwish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "Erf": erf,
}


def _unary_kernel(function: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda node, x: function(x)


REAL.update({op: _unary_kernel(f) for op, f in _UNARY.items()})
REAL["Gelu"] = _gelu


@real("Clip")
def clip(node: Node, x: Array) -> Array:
    """Between the attributes min and max, each cast to the dtype of x first."""
    low, high = node.attrs["min"], node.attrs["max"]
    if x.dtype.kind in "iu":  # an infinite limit of whole numbers is the dtype's own
        info = np.iinfo(x.dtype)
        low, high = max(low, info.min), min(high, info.max)
    y: Array = np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))
    return y


@real("LeakyRelu")
def leaky_relu(node: Node, x: Array) -> Array:
    """`alpha` * x where x is negative."""
    return np.where(x >= 0, x, x * x.dtype.type(node.attrs["alpha"]))


@real("PRelu")
def prelu(node: Node, x: Array, alpha: Array) -> Array:
    """`alpha` * x where x is negative; alpha is an input that broadcasts."""
    return np.where(x >= 0, x, x * alpha)


@real("Softmax")
def softmax(node: Node, x: Array) -> Array:
    """exp(beta * x) over its sum along the axis, shifted by the maximum."""
    axis = node.attrs["axis"]
    e = np.exp((x - x.max(axis=axis, keepdims=True)) * x.dtype.type(node.attrs["beta"]))
    y: Array = e / e.sum(axis=axis, keepdims=True)
    return y


@real("LogSoftmax")
def log_softmax(node: Node, x: Array) -> Array:
    """x minus the logarithm of the sum of exponents along the axis."""
    axis = node.attrs["axis"]
    shifted = x - x.max(axis=axis, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return y
