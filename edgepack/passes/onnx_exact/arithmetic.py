"""Arithmetic of two inputs, comparisons and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import double, params, scale, zero
from edgepack.passes.onnx_exact.fixed_point import (
    doubling_high_mul,
    multiply,
    rounding_shift_by,
    wrap32,
)
from edgepack.passes.onnx_exact.ints import Ints, from_value, joined
from edgepack.passes.onnx_exact.spelling import centred, finish, per_channel, spells

# -- sums and products -----------------------------------------------------------------------------


def _common_scale(graph: Graph, node: Node, spare: int) -> tuple[Ints, Ints, Any]:
    """Both inputs at twice the larger scale, with `spare` bits; and that scale."""
    one, two = double(scale(node.input(0))), double(scale(node.input(1)))
    twice = 2 * max(one, two)
    left, right = (
        multiply(centred(graph, node, i) * 2**spare, *fp.quantize_multiplier(own / twice))
        for i, own in enumerate((one, two))
    )
    return left, right, twice


@spells("Add", "Sub")
def add(graph: Graph, node: Node) -> Ints:
    """A + b, a - b."""
    spare = 15 if node.output.dtype is DType.INT16 else 20
    left, right, twice = _common_scale(graph, node, spare)
    total = left + right if node.op == "Add" else left - right
    real = twice / (2**spare * double(scale(node.output)))
    return finish(node, multiply(total, *fp.quantize_multiplier(real)))


@spells("Mul")
def mul(graph: Graph, node: Node) -> Ints:
    """A * b."""
    real = double(scale(node.input(0))) * double(scale(node.input(1))) / double(scale(node.output))
    product = centred(graph, node, 0) * centred(graph, node, 1)
    return finish(node, multiply(product, *fp.quantize_multiplier(real)))


@spells("SquaredDifference")
def squared_difference(graph: Graph, node: Node) -> Ints:
    """(a - b) squared."""
    spare = 0 if node.output.dtype is DType.INT16 else 7
    left, right, twice = _common_scale(graph, node, spare)
    real = twice * twice / double(np.float32(2 ** (2 * spare)) * scale(node.output))
    square = wrap32((left - right).square())
    return finish(node, multiply(square, *fp.quantize_multiplier(real)))


@spells("Div")
def div(graph: Graph, node: Node) -> Ints:
    """A / b by a reciprocal, which a table has for each b; where b is zero the kernel has none."""
    one, two, out = (double(scale(v)) for v in (*node.present_inputs, node.output))
    multiplier, shift = fp.quantize_multiplier(one / (two * out))
    top, bottom = centred(graph, node, 0), centred(graph, node, 1)
    top = (top * -1).where(bottom.compared("Less", 0), top)
    inverse = bottom.mapped(lambda b: _reciprocal(b)[0])
    over = bottom.mapped(lambda b: _reciprocal(b)[1])
    headroom = top.mapped(lambda t: fp.leading_zeros(np.where(t < 0, ~t, t)) - 1)
    raised = wrap32(top * headroom.mapped(lambda h: np.int64(1) << h)).within(-(2**31), 2**31 - 1)
    quotient = doubling_high_mul(raised, inverse)
    right = over + headroom - int(shift)
    # exponents below zero belong to quotients that no type holds
    scaled = doubling_high_mul(quotient, int(multiplier))
    return finish(node, rounding_shift_by(scaled, right.clipped(0, 62)))


def _reciprocal(numbers: Any) -> tuple[fp.Ints, fp.Ints]:
    return fp.reciprocal(np.maximum(np.abs(numbers), 1), 31)


@spells("PRelu")
def prelu(graph: Graph, node: Node) -> Ints:
    """X, or alpha * x where negative."""
    x, alpha = centred(graph, node, 0), centred(graph, node, 1)
    ratio = double(scale(node.input(0))) / double(scale(node.output))
    product = double(scale(node.input(0))) * double(scale(node.input(1)))
    real = product / double(scale(node.output))
    below = multiply(x * alpha, *fp.quantize_multiplier(real))
    above = multiply(x, *fp.quantize_multiplier(ratio))
    return above.where(x.compared("GreaterEqual", 0), below) + zero(node.output)


# -- comparisons -----------------------------------------------------------------------------------

_COMPARE: Final = ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual")


@spells(*_COMPARE)
def compare(graph: Graph, node: Node) -> Value:
    """With 8 spare bits, each side scaled by its own scale."""
    left, right = (
        multiply(
            centred(graph, node, i) * 256, *fp.quantize_multiplier(double(scale(node.input(i))))
        )
        for i in range(2)
    )
    return left.compared(node.op, right)


# -- conversions -----------------------------------------------------------------------------------


@spells("Quantize")
def quantize(graph: Graph, node: Node) -> Ints:
    """From real numbers, or from other integers."""
    source = node.input(0)
    if source.quant is not None:
        return requantized(graph, source, node.output)
    return _from_real(graph, node)


def requantized(graph: Graph, source: Value, target: Value) -> Ints:
    """Integers of `source` as integers of `target`, not yet saturated."""
    real = double(scale(source)) / double(scale(target))
    whole = from_value(graph, source) - zero(source)
    return multiply(whole, *fp.quantize_multiplier(real)) + zero(target)


_FAR: Final = 2.0**40  # beyond every type, inside what a Cast takes


def _from_real(graph: Graph, node: Node) -> Ints:
    """Divided in float32; halves go away from zero, in float64 so that adding one half is exact."""
    x, y = node.input(0), node.output
    divisor = np.asarray(per_channel(y, params(y).scale), np.float32)
    if x.dtype is not DType.FLOAT32:
        x = graph.add("Cast", [x], {"to": "float32"})
    ratio = graph.add("Div", [x, graph.constant(divisor, "scale")])
    number = graph.add("Equal", [ratio, ratio])  # what is none counts as zero
    ratio = graph.add("Where", [number, ratio, graph.constant(np.zeros((), np.float32))])
    negative = graph.add("Less", [ratio, graph.constant(np.zeros((), np.float32))])
    halves = [graph.constant(np.array(h), "half") for h in (-0.5, 0.5)]
    wide = graph.add("Cast", [ratio], {"to": "float64"})
    moved = graph.add("Add", [wide, graph.add("Where", [negative, *halves])])
    near = graph.add("Clip", [moved], {"min": -_FAR, "max": _FAR})
    whole = graph.add("Cast", [near], {"to": "int64"})
    return Ints(graph, whole, -int(_FAR), int(_FAR)) + per_channel(y, params(y).zero_point)


@spells("Dequantize")
def dequantize(graph: Graph, node: Node) -> Value:
    """The product by the scale in float64, as float32."""
    x = node.input(0)
    factor = np.asarray(per_channel(x, params(x).scale.astype(np.float64)), np.float64)
    wide = graph.add("Cast", [centred(graph, node, 0).value], {"to": "float64"})
    real = graph.add("Mul", [wide, graph.constant(factor, "scale")])
    return graph.add("Cast", [real], {"to": str(node.output.dtype)})


@spells("Concat")
def concat(graph: Graph, node: Node) -> Ints:
    """Inputs one after another; one with other parameters is scaled to the output's first."""
    same: Callable[[Value], bool] = lambda v: v.quant == node.output.quant  # noqa: E731
    parts = [
        from_value(graph, v) if same(v) else requantized(graph, v, node.output)
        for v in node.present_inputs
    ]
    low, high = node.output.dtype.limits
    return joined([part.clipped(low, high) for part in parts], node.attrs["axis"])
