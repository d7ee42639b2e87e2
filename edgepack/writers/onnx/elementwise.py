"""Elementwise operators."""

from __future__ import annotations

import math
from typing import Any, Final

from edgepack.errors import Finding, Unsupported
from edgepack.ir import DType, Node, Value
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers
from edgepack.writers.onnx.integers import (
    emit_widened,
    keeps_integers,
    store_widened,
    wide_dtype,
    widened,
)

_UNARY: Final = {
    **{op: op for op in (
        "Sigmoid", "Tanh", "HardSwish", "Elu", "Exp", "Log", "Sqrt", "Abs", "Neg", "Sin", "Cos",
        "Erf", "Floor", "Ceil", "Round", "Sign",
    )},
    "LogicalNot": "Not",
}  # fmt: skip
_ARITHMETIC: Final = ("Add", "Sub", "Mul", "Div")
_BINARY: Final = {"Maximum": "Max", "Minimum": "Min", "Pow": "Pow"}
_LOGIC: Final = {"LogicalAnd": "And", "LogicalOr": "Or"}
_COMPARE: Final = {
    "Equal": "Equal", "Less": "Less", "LessEqual": "LessOrEqual", "Greater": "Greater",
    "GreaterEqual": "GreaterOrEqual",
}  # fmt: skip


def number(out: OnnxBuilder, value: float, like: Value) -> str:
    """A scalar to compute with beside `like`."""
    kind = DType.FLOAT32 if like.quant is not None else wide_dtype(like) or like.dtype
    return out.constant(value, kind, "number")


@lowers(*_UNARY)
def unary(node: Node, out: OnnxBuilder) -> None:
    """Operators of one input that ONNX has too."""
    _single(node, out, _UNARY[node.op])


def _single(node: Node, out: OnnxBuilder, op: str) -> None:
    x, y = node.input(0), node.output
    if wide_dtype(x) is None:
        out.emit(op, [out.real(x)], y)
    else:
        emit_widened(out, op, [x], y)


@lowers("Square")
def square(node: Node, out: OnnxBuilder) -> None:
    """x * x."""
    x = widened(out, node.input(0))
    store_as(out, "Mul", [x, x], node.output)


@lowers("Rsqrt")
def rsqrt(node: Node, out: OnnxBuilder) -> None:
    """1 / sqrt(x)."""
    root = out.op("Sqrt", [out.real(node.input(0))])
    out.emit("Reciprocal", [root], node.output)


def store_as(out: OnnxBuilder, op: str, inputs: list[str], y: Value, **attrs: Any) -> None:
    """`op` makes y, through a Cast where its inputs were widened."""
    if wide_dtype(y) is None:
        out.emit(op, inputs, y, **attrs)
    else:
        store_widened(out, out.op(op, inputs, **attrs), y)


@lowers(*_ARITHMETIC)
def arithmetic(node: Node, out: OnnxBuilder) -> None:
    """Add, Sub, Mul, Div; of whole numbers Div goes toward zero in ONNX as well."""
    values = list(node.present_inputs)
    if wide_dtype(node.output) is None:
        emit_activated(node, out, node.op, [out.real(v) for v in values])
    else:
        emit_widened(out, node.op, values, node.output)


@lowers(*_BINARY)
def binary(node: Node, out: OnnxBuilder) -> None:
    """Max, Min and Pow."""
    store_as(out, _BINARY[node.op], [widened(out, v) for v in node.present_inputs], node.output)


@lowers("SquaredDifference")
def squared_difference(node: Node, out: OnnxBuilder) -> None:
    """(a - b) squared."""
    difference = out.op("Sub", [widened(out, v) for v in node.present_inputs])
    store_as(out, "Mul", [difference, difference], node.output)


@lowers("FloorDiv")
def floor_div(node: Node, out: OnnxBuilder) -> None:
    """floor(a / b); of whole numbers (a - a mod b) / b, which leaves nothing to round."""
    a, b = (widened(out, v) for v in node.present_inputs)
    if node.output.dtype.is_float:
        out.emit("Floor", [out.op("Div", [a, b])], node.output)
        return
    whole = out.op("Sub", [a, out.op("Mod", [a, b])])
    store_as(out, "Div", [whole, b], node.output)


@lowers("FloorMod")
def floor_mod(node: Node, out: OnnxBuilder) -> None:
    """The remainder with the sign of b; of real numbers from fmod, which has that of a.

    a - b * floor(a / b) would lose digits where a / b is large.
    """
    a, b = (widened(out, v) for v in node.present_inputs)
    if not node.output.dtype.is_float:
        store_as(out, "Mod", [a, b], node.output)
        return
    rest = out.op("Mod", [a, b], fmod=1)
    zero = number(out, 0, node.output)
    other_sign = out.op("Less", [out.op("Mul", [out.op("Sign", [rest]), b]), zero])
    out.emit("Where", [other_sign, out.op("Add", [rest, b]), rest], node.output)


@lowers("Atan2")
def atan2(node: Node, out: OnnxBuilder) -> None:
    """atan(a / b), turned by half a circle where b is negative."""
    a, b = (out.real(v) for v in node.present_inputs)
    zero, half = number(out, 0, node.output), number(out, math.pi, node.output)
    angle = out.op("Atan", [out.op("Div", [a, b])])
    back = out.op("Where", [out.op("Less", [a, zero]), out.op("Neg", [half]), half])
    turned = out.op("Add", [angle, back])
    out.emit("Where", [out.op("Less", [b, zero]), turned, angle], node.output)


@lowers(*_LOGIC)
def logic(node: Node, out: OnnxBuilder) -> None:
    """And, Or."""
    out.emit(_LOGIC[node.op], [out.raw(v) for v in node.present_inputs], node.output)


@lowers("BitwiseXor")
def bitwise_xor(node: Node, out: OnnxBuilder) -> None:
    """BitwiseXor; Xor of bools."""
    op = "Xor" if node.output.dtype is DType.BOOL else "BitwiseXor"
    out.emit_raw(op, [out.raw(v) for v in node.present_inputs], node.output)


@lowers("RightShift")
def right_shift(node: Node, out: OnnxBuilder) -> None:
    """floor(a / 2**b): ONNX shifts unsigned integers only."""
    a, b = (widened(out, v) for v in node.present_inputs)
    power = out.op("Pow", [number(out, 2, node.output), b])
    whole = out.op("Sub", [a, out.op("Mod", [a, power])])
    store_as(out, "Div", [whole, power], node.output)


@lowers(*_COMPARE, "NotEqual")
def compare(node: Node, out: OnnxBuilder) -> None:
    """Comparisons; of integers with the same parameters by their integers."""
    values = list(node.present_inputs)
    if keeps_integers(node):
        names = [out.cast(out.raw(v), DType.INT32) for v in values]
    elif values[0].dtype is DType.BOOL:
        names = [out.raw(v) for v in values]
    else:
        names = [widened(out, v) for v in values]
    if node.op == "NotEqual":
        out.emit_raw("Not", [out.op("Equal", names)], node.output)
    else:
        out.emit_raw(_COMPARE[node.op], names, node.output)


@lowers("Where")
def where(node: Node, out: OnnxBuilder) -> None:
    """Where; runtimes have it for real numbers, bytes and wide integers."""
    condition, a, b = node.present_inputs
    names = [out.raw(condition), widened(out, a), widened(out, b)]
    store_as(out, "Where", names, node.output)


@lowers("Cast")
def cast(node: Node, out: OnnxBuilder) -> None:
    """Cast."""
    out.cast(out.raw(node.input(0)), node.output.dtype, node.output.name)


@lowers("Bitcast")
def bitcast(node: Node, out: OnnxBuilder) -> None:
    """Cast between signed and unsigned, which keeps the bits; ONNX has no other."""
    x, y = node.input(0), node.output
    if not (x.dtype.is_integer and y.dtype.is_integer and x.dtype.bits == y.dtype.bits):
        problem = Finding(node.name, node.op, str(y.dtype), f"bits of {x.dtype} taken as {y.dtype}")
        raise Unsupported("no ONNX form for this cast", [problem])
    out.cast(out.raw(x), y.dtype, y.name)
