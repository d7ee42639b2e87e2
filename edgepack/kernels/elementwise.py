"""Elementwise operators of real numbers, whole numbers and truth values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.ir.dtypes import bfloat16_real
from edgepack.kernels.activation import activate
from edgepack.kernels.registry import REAL, real


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    quotient = np.floor_divide(a, b)  # then toward zero: up by one where it was rounded down
    y: Array = quotient + ((quotient < 0) & (quotient * b != a)).astype(a.dtype)
    return y


def _floor_divide(a: Array, b: Array) -> Array:
    # numpy's floor_divide of real numbers goes by the remainder: 1 // 0.1 is 9 there, 10 in TFLite
    return np.floor_divide(a, b) if a.dtype.kind in "iu" else np.floor(np.divide(a, b))


_UNARY: Final[dict[str, Callable[[Array], Array]]] = {
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Abs": np.abs,
    "Neg": np.negative,
    "Square": np.square,
    "Sin": np.sin,
    "Cos": np.cos,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Sign": np.sign,
    "LogicalNot": np.logical_not,
}
_BINARY: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Pow": np.power,
    "FloorDiv": _floor_divide,
    "FloorMod": np.mod,
    "Atan2": np.arctan2,
    "SquaredDifference": lambda a, b: np.square(a - b),
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "BitwiseXor": np.bitwise_xor,
    "RightShift": np.right_shift,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
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


@real("Where")
def where(node: Node, condition: Array, a: Array, b: Array) -> Array:
    """A where the condition holds, else b."""
    return np.where(condition, a, b)


@real("Bitcast")
def bitcast(node: Node, x: Array) -> Array:
    """The same bits as another dtype."""
    return np.ascontiguousarray(x).view(node.output.dtype.numpy).reshape(x.shape)


@real("Cast", "Dequantize")
def cast(node: Node, x: Array) -> Array:
    """Another dtype: toward zero to whole numbers, "not zero" to bool.

    Dequantize comes here only for float16 and bfloat16 constants, which widen to float32.
    """
    if node.input(0).dtype is DType.BFLOAT16:
        return bfloat16_real(x)
    return x.astype(node.output.dtype.numpy)
