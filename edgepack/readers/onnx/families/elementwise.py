"""Arithmetic, comparison, logic and casts, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.ir import DType, Value
from edgepack.ir.shapes import broadcast
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.model import dtype_of, narrow_limits
from edgepack.readers.onnx.registry import READS, reads

_UNARY = {
    "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt", "Abs": "Abs", "Neg": "Neg", "Sin": "Sin",
    "Cos": "Cos", "Erf": "Erf", "Floor": "Floor", "Ceil": "Ceil", "Round": "Round",
    "Sign": "Sign", "Not": "LogicalNot", "Relu": "Relu", "Sigmoid": "Sigmoid", "Tanh": "Tanh",
    "HardSwish": "HardSwish",
}  # fmt: skip
_BINARY = {
    "Add": "Add", "Sub": "Sub", "Mul": "Mul", "Div": "Div", "And": "LogicalAnd",
    "Or": "LogicalOr", "Equal": "Equal", "Less": "Less", "LessOrEqual": "LessEqual",
    "Greater": "Greater", "GreaterOrEqual": "GreaterEqual", "BitwiseXor": "BitwiseXor",
}  # fmt: skip
_VARIADIC = {"Max": "Maximum", "Min": "Minimum", "Sum": "Add"}


def _unary(ctx: Context, node: Call) -> Value:
    return ctx.emit(_UNARY[node.op], node.input(0))


def _binary(ctx: Context, node: Call) -> Value:
    return ctx.emit(_BINARY[node.op], node.input(0), node.input(1))


def _variadic(ctx: Context, node: Call) -> Value:
    node.input(0)
    return ctx.total(_VARIADIC[node.op], node.present)


READS.update(dict.fromkeys(_UNARY, _unary))
READS.update(dict.fromkeys(_BINARY, _binary))
READS.update(dict.fromkeys(_VARIADIC, _variadic))


@reads("Mean")
def mean(ctx: Context, node: Call) -> Value:
    """Mean of the inputs."""
    return ctx.emit("Mul", ctx.total("Add", node.present), 1 / len(node.present))


@reads("Reciprocal")
def reciprocal(ctx: Context, node: Call) -> Value:
    """1 / x."""
    return ctx.emit("Div", 1.0, node.input(0))


@reads("Pow")
def power(ctx: Context, node: Call) -> Value:
    """A to the b in a's dtype; the exponent's may be another."""
    a, b = node.input(0), node.input(1)
    if b.is_const and b.size == 1 and a.dtype.is_float and b.rank <= a.rank:
        exponent = float(b.const.reshape(-1)[0])
        if exponent in _POWERS:
            return _POWERS[exponent](ctx, a)
    if a.dtype.is_integer and b.dtype.is_float:
        wide = ctx.emit("Pow", ctx.cast(a, b.dtype), b)
        return ctx.cast(wide, a.dtype)
    return ctx.emit("Pow", a, ctx.cast(b, a.dtype))


_POWERS: dict[float, Callable[[Context, Value], Value]] = {
    1.0: lambda ctx, a: a,
    2.0: lambda ctx, a: ctx.emit("Mul", a, a),
    0.5: lambda ctx, a: ctx.emit("Sqrt", a),
    -0.5: lambda ctx, a: ctx.emit("Rsqrt", a),
    -1.0: lambda ctx, a: ctx.emit("Div", 1.0, a),
}


@reads("Mod")
def modulo(ctx: Context, node: Call) -> Value:
    """Remainder with the sign of b, or of a with fmod."""
    a, b = node.input(0), node.input(1)
    if not node.attr("fmod", 0):
        return ctx.emit("FloorMod", a, b)
    if a.dtype.is_integer:  # Div of whole numbers rounds toward zero
        return ctx.emit("Sub", a, ctx.emit("Mul", ctx.emit("Div", a, b), b))
    rest = ctx.emit("FloorMod", ctx.emit("Abs", a), ctx.emit("Abs", b))
    return ctx.emit("Mul", ctx.emit("Sign", a), rest)


@reads("Where")
def where(ctx: Context, node: Call) -> Value:
    """A where the condition holds, else b."""
    condition, a, b = (node.input(i) for i in range(3))
    if condition.is_const and condition.size and (condition.const == condition.const.flat[0]).all():
        chosen = a if condition.const.flat[0] else b
        return ctx.broadcast(chosen, broadcast(condition.shape, a.shape, b.shape))
    return ctx.emit("Where", condition, a, b)


@reads("Xor")
def exclusive_or(ctx: Context, node: Call) -> Value:
    """Exactly one of two."""
    return ctx.emit("NotEqual", node.input(0), node.input(1))


@reads("IsNaN")
def is_nan(ctx: Context, node: Call) -> Value:
    """NaN is the one number that differs from itself."""
    return ctx.emit("NotEqual", node.input(0), node.input(0))


@reads("IsInf")
def is_inf(ctx: Context, node: Call) -> Value:
    """Infinite, of the signs that are asked for."""
    x = node.input(0)
    positive, negative = node.attr("detect_positive", 1), node.attr("detect_negative", 1)
    if positive and negative:
        return ctx.emit("Equal", ctx.emit("Abs", x), np.inf)
    if not positive and not negative:
        return ctx.const(np.zeros(x.shape, np.bool_))
    return ctx.emit("Equal", x, np.inf if positive else -np.inf)


# -- bits ------------------------------------------------------------------------------------------


@reads("BitShift")
def bit_shift(ctx: Context, node: Call) -> Value:
    """Shift by b bits; left by multiplying, bits that leave the type are lost."""
    a, b = node.input(0), node.input(1)
    if node.required("direction") == "RIGHT":
        return ctx.emit("RightShift", a, b)
    if not b.is_const:
        raise Refused("a left shift by a computed number of bits")
    bits = b.dtype.bits
    factor = np.where(b.const < bits, np.left_shift(b.const.dtype.type(1), b.const % bits), 0)
    return ctx.emit("Mul", a, ctx.const(factor, a.dtype))


@reads("BitwiseNot")
def bitwise_not(ctx: Context, node: Call) -> Value:
    """Every bit flipped: exclusive-or with ones."""
    x = node.input(0)
    ones = ~np.zeros((), x.dtype.numpy)
    return ctx.emit("BitwiseXor", x, ctx.const(ones))


@reads("BitwiseAnd", "BitwiseOr")
def bitwise_and_or(ctx: Context, node: Call) -> Value:
    """From exclusive-or by a + b = (a ^ b) + 2 * (a & b), on halves so that nothing overflows."""
    a, b = node.input(0), node.input(1)
    half_a, half_b = ctx.emit("RightShift", a, 1), ctx.emit("RightShift", b, 1)
    odd_a = ctx.emit("Sub", a, ctx.emit("Mul", half_a, 2))
    odd_b = ctx.emit("Sub", b, ctx.emit("Mul", half_b, 2))
    # (half_a & half_b) * 2 = half_a + half_b - (half_a ^ half_b)
    high = ctx.emit("Sub", ctx.emit("Add", half_a, half_b), ctx.emit("BitwiseXor", half_a, half_b))
    both = ctx.emit("Add", high, ctx.emit("Mul", odd_a, odd_b))
    return both if node.op == "BitwiseAnd" else ctx.emit("Add", ctx.emit("BitwiseXor", a, b), both)


# -- types -----------------------------------------------------------------------------------------


@reads("Cast")
def cast(ctx: Context, node: Call) -> Value:
    """Another element type."""
    number = node.required("to")
    if narrow_limits(number) is not None:
        raise Refused("a cast to an integer type below 8 bits")
    return ctx.cast(node.input(0), _target(number))


@reads("CastLike")
def cast_like(ctx: Context, node: Call) -> Value:
    """The element type of the second input."""
    return ctx.cast(node.input(0), node.input(1).dtype)


def _target(number: int) -> DType:
    dtype = dtype_of(number)
    if dtype is None:
        raise Refused(f"a cast to element type {number}")
    return dtype


# -- functions that no runtime has ----------------------------------------------------------------


@reads("Tan")
def tan(ctx: Context, node: Call) -> Value:
    """Sine over cosine."""
    return ctx.emit("Div", ctx.emit("Sin", node.input(0)), ctx.emit("Cos", node.input(0)))


@reads("Sinh", "Cosh")
def hyperbolic(ctx: Context, node: Call) -> Value:
    """(e^x -+ e^-x) / 2."""
    x = node.input(0)
    grow, shrink = ctx.emit("Exp", x), ctx.emit("Exp", ctx.emit("Neg", x))
    return ctx.emit("Mul", ctx.emit("Sub" if node.op == "Sinh" else "Add", grow, shrink), 0.5)


@reads("Asinh")
def asinh(ctx: Context, node: Call) -> Value:
    """sign(x) * log(|x| + sqrt(x^2 + 1))."""
    x = node.input(0)
    size = ctx.emit("Abs", x)
    root = ctx.emit("Sqrt", ctx.emit("Add", ctx.emit("Mul", x, x), 1.0))
    return ctx.emit("Mul", ctx.emit("Sign", x), ctx.emit("Log", ctx.emit("Add", size, root)))


@reads("Acosh")
def acosh(ctx: Context, node: Call) -> Value:
    """log(x + sqrt(x^2 - 1))."""
    x = node.input(0)
    root = ctx.emit("Sqrt", ctx.emit("Sub", ctx.emit("Mul", x, x), 1.0))
    return ctx.emit("Log", ctx.emit("Add", x, root))


@reads("Atanh")
def atanh(ctx: Context, node: Call) -> Value:
    """log((1 + x) / (1 - x)) / 2."""
    x = node.input(0)
    ratio = ctx.emit("Div", ctx.emit("Add", x, 1.0), ctx.emit("Sub", 1.0, x))
    return ctx.emit("Mul", ctx.emit("Log", ratio), 0.5)


# atan(x) / x in powers of x^2 on 0..1, fitted once at Chebyshev nodes; off by 4e-8 at most
def _atan_fit() -> tuple[float, ...]:
    nodes = (1 - np.cos(np.pi * (np.arange(64) + 0.5) / 64)) / 2
    x = np.sqrt(nodes)
    fit = np.polynomial.Polynomial.fit(nodes, np.arctan(x) / x, 9, domain=[0, 1], window=[0, 1])
    return tuple(float(c) for c in fit.coef)


@reads("Atan")
def atan(ctx: Context, node: Call) -> Value:
    """Arc tangent: a polynomial on -1..1, which serves the rest by its reciprocal."""
    return _atan(ctx, node.input(0))


def _atan(ctx: Context, x: Value) -> Value:
    size = ctx.emit("Abs", x)
    small = ctx.emit("Div", ctx.emit("Minimum", size, 1.0), ctx.emit("Maximum", size, 1.0))
    square = ctx.emit("Mul", small, small)
    coefficients = _atan_fit()
    series = ctx.emit("Mul", square, coefficients[-1])
    for c in coefficients[-2:0:-1]:
        series = ctx.emit("Mul", ctx.emit("Add", series, c), square)
    angle = ctx.emit("Mul", ctx.emit("Add", series, coefficients[0]), small)
    beyond = ctx.emit("Sub", np.pi / 2, angle)
    folded = ctx.emit("Where", ctx.emit("Greater", size, 1.0), beyond, angle)
    return ctx.emit("Mul", ctx.emit("Sign", x), folded)


@reads("Asin", "Acos")
def asin_acos(ctx: Context, node: Call) -> Value:
    """asin(x) = 2 * atan(x / (1 + sqrt(1 - x^2))); acos is what it lacks to a right angle."""
    x = node.input(0)
    root = ctx.emit("Sqrt", ctx.emit("Sub", 1.0, ctx.emit("Mul", x, x)))
    angle = ctx.emit("Mul", _atan(ctx, ctx.emit("Div", x, ctx.emit("Add", root, 1.0))), 2.0)
    return angle if node.op == "Asin" else ctx.emit("Sub", np.pi / 2, angle)
