"""Quantized arithmetic of two inputs and comparisons, as TFLite's reference kernels.

Sums bring both inputs to a common scale (twice the larger one) with 20 spare bits, add, and scale
the sum to the output: three roundings whose places are part of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import double, finish, offset, refuse, scale
from edgepack.kernels.registry import QUANTIZED, quantized


def _common_scale(
    node: Node, a: Array, b: Array, spare_bits: int, one: Any, two: Any, twice: Any
) -> tuple[fp.Ints, fp.Ints]:
    left = fp.multiply(offset(node.input(0), a) << spare_bits, *fp.quantize_multiplier(one / twice))
    right = fp.multiply(
        offset(node.input(1), b) << spare_bits, *fp.quantize_multiplier(two / twice)
    )
    return left, right


def _spare_bits(node: Node) -> int:
    return 15 if node.output.dtype is DType.INT16 else 20


@quantized("Add")
def add(node: Node, a: Array, b: Array) -> Array:
    """A + b; scales are widened to float64 first."""
    left, right, real = _on_one_scale(node, a, b)
    return finish(node, fp.multiply(left + right, *fp.quantize_multiplier(real)))


@quantized("Sub")
def sub(node: Node, a: Array, b: Array) -> Array:
    """A - b."""
    left, right, real = _on_one_scale(node, a, b)
    return finish(node, fp.multiply(left - right, *fp.quantize_multiplier(real)))


def _on_one_scale(node: Node, a: Array, b: Array) -> tuple[fp.Ints, fp.Ints, float]:
    """Both on a finer common scale, and that over the output's."""
    one, two = double(scale(node.input(0))), double(scale(node.input(1)))
    bits, twice = _spare_bits(node), 2 * max(one, two)
    left, right = _common_scale(node, a, b, bits, one, two, twice)
    return left, right, twice / (2**bits * double(scale(node.output)))


@quantized("Mul")
def mul(node: Node, a: Array, b: Array) -> Array:
    """A * b."""
    real = double(scale(node.input(0))) * double(scale(node.input(1))) / double(scale(node.output))
    product = offset(node.input(0), a) * offset(node.input(1), b)
    return finish(node, fp.multiply(product, *fp.quantize_multiplier(real)))


@quantized("Div")
def div(node: Node, a: Array, b: Array) -> Array:
    """A / b by a reciprocal; b must not be zero."""
    one, two, out = (double(scale(v)) for v in (*node.present_inputs, node.output))
    multiplier, shift = fp.quantize_multiplier(one / (two * out))
    top, bottom = np.broadcast_arrays(offset(node.input(0), a), offset(node.input(1), b))
    if not bottom.all():
        raise refuse(node, "a divisor is zero")
    top = np.where(bottom < 0, -top, top)
    inverse, over = fp.reciprocal(np.abs(bottom), 31)
    # sign bits that repeat, without the sign itself: of 0 it is 31
    headroom = fp.leading_zeros(np.where(top < 0, ~top, top)) - 1
    quotient = fp.doubling_high_mul(fp.wrap32(top << headroom), inverse)
    right = over + headroom - shift
    scaled = fp.rounding_shift(fp.doubling_high_mul(quotient, multiplier), right)
    return finish(node, scaled)


@quantized("SquaredDifference")
def squared_difference(node: Node, a: Array, b: Array) -> Array:
    """(a - b) squared, with 7 spare bits before the square."""
    one, two = double(scale(node.input(0))), double(scale(node.input(1)))
    bits, twice = (0 if node.output.dtype is DType.INT16 else 7), 2 * max(one, two)
    left, right = _common_scale(node, a, b, bits, one, two, twice)
    real = twice * twice / double(np.float32(2 ** (2 * bits)) * scale(node.output))
    square = fp.wrap32((left - right) ** 2)
    return finish(node, fp.multiply(square, *fp.quantize_multiplier(real)))


# -- comparisons -----------------------------------------------------------------------------------

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Equal": np.equal, "NotEqual": np.not_equal, "Less": np.less, "LessEqual": np.less_equal,
    "Greater": np.greater, "GreaterEqual": np.greater_equal,
}  # fmt: skip


def _comparison(function: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    def kernel(node: Node, a: Array, b: Array) -> Array:
        """Compare with 8 spare bits, each side scaled by its own scale."""
        sides = [
            fp.multiply(offset(v, array) << 8, *fp.quantize_multiplier(double(scale(v))))
            for v, array in zip((node.input(0), node.input(1)), (a, b), strict=True)
        ]
        result: Array = function(*sides)
        return result

    return kernel


QUANTIZED.update({op: _comparison(function) for op, function in _COMPARE.items()})
