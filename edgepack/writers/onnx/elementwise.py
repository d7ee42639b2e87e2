"""Elementwise operators."""

from __future__ import annotations

from typing import Any, Final

from edgepack.errors import Finding, Unsupported
from edgepack.ir import DType, Node, Value
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need
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


@lowers("FloorMod")
def floor_mod(node: Node, out: OnnxBuilder) -> None:
    """Mod; of real numbers the remainder has the sign of a, so these must have none."""
    if not node.output.dtype.is_float:
        store_as(out, "Mod", [widened(out, v) for v in node.present_inputs], node.output)
        return
    makers = [v.producer for v in node.present_inputs]
    need(all(n is not None and n.op == "Abs" for n in makers), node, "of signed real numbers")
    out.emit("Mod", [out.real(v) for v in node.present_inputs], node.output, fmod=1)


@lowers("Atan2")
def atan2(node: Node, out: OnnxBuilder) -> None:
    """Atan; b must be 1."""
    a, b = node.present_inputs
    need(b.is_const and bool((b.const == 1).all()), node, "divides")
    out.emit("Atan", [out.real(a)], node.output)


@lowers(*_LOGIC)
def logic(node: Node, out: OnnxBuilder) -> None:
    """And, Or."""
    out.emit(_LOGIC[node.op], [out.raw(v) for v in node.present_inputs], node.output)


@lowers("BitwiseXor")
def bitwise_xor(node: Node, out: OnnxBuilder) -> None:
    """BitwiseXor; Xor of bools."""
    op = "Xor" if node.output.dtype is DType.BOOL else "BitwiseXor"
    out.emit_raw(op, [out.raw(v) for v in node.present_inputs], node.output)


@lowers(*_COMPARE)
def compare(node: Node, out: OnnxBuilder) -> None:
    """Comparisons; of integers with the same parameters by their integers."""
    values = list(node.present_inputs)
    if keeps_integers(node):
        names = [out.cast(out.raw(v), DType.INT32) for v in values]
    elif values[0].dtype is DType.BOOL:
        names = [out.raw(v) for v in values]
    else:
        names = [widened(out, v) for v in values]
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
