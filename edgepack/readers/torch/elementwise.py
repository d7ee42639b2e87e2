"""Arithmetic, comparison and logic, with torch's type promotion made explicit by Cast."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import READS, reads

_UNARY = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "rsqrt": "Rsqrt", "abs": "Abs", "neg": "Neg", "sin": "Sin", "cos": "Cos",
    "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "sign": "Sign", "sgn": "Sign",
}  # fmt: skip
_BINARY = {
    "maximum": "Maximum", "minimum": "Minimum", "remainder": "FloorMod",
    "floor_divide": "FloorDiv", "bitwise_xor": "BitwiseXor",
    "bitwise_right_shift": "RightShift", "__rshift__": "RightShift",
}  # fmt: skip
_COMPARISONS = {
    "eq": "Equal", "ne": "NotEqual", "lt": "Less", "le": "LessEqual", "gt": "Greater",
    "ge": "GreaterEqual",
}  # fmt: skip
_LOGIC = {"logical_and": "LogicalAnd", "logical_or": "LogicalOr", "logical_xor": "NotEqual"}
_BITWISE = {"bitwise_and": "LogicalAnd", "bitwise_or": "LogicalOr", "__and__": "LogicalAnd",
            "__or__": "LogicalOr"}  # fmt: skip


def _register(names: dict[str, str], build: Callable[[str], Callable[[Call], Value]]) -> None:
    for name, op in names.items():
        READS[f"aten.{name}"] = build(op)


def _unary(op: str) -> Callable[[Call], Value]:
    return lambda call: call.emit(op, call.value("self", call.dtype))


def _binary(op: str) -> Callable[[Call], Value]:
    return lambda call: call.emit(op, *_operands(call, call.dtype))


def _comparison(op: str) -> Callable[[Call], Value]:
    return lambda call: call.emit(op, *_operands(call, _common(call)))


def _logic(op: str) -> Callable[[Call], Value]:
    return lambda call: call.emit(op, *_operands(call, DType.BOOL))


def _bitwise(op: str) -> Callable[[Call], Value]:
    def read(call: Call) -> Value:
        if call.dtype is not DType.BOOL:
            raise Refused("bitwise logic has an equivalent for bool only")
        return call.emit(op, *_operands(call, DType.BOOL))

    return read


_register(_UNARY, _unary)
_register(_BINARY, _binary)
_register(_COMPARISONS, _comparison)
_register(_LOGIC, _logic)
_register(_BITWISE, _bitwise)


def _operands(call: Call, dtype: DType) -> tuple[Value, Value]:
    return call.value("self", dtype), call.value("other", dtype)


def _common(call: Call) -> DType:
    """The type in which torch compares `self` and `other`."""
    items = [call["self"], call["other"]]
    if any(isinstance(i, float) for i in items):
        return DType.FLOAT32
    kinds = [call.as_value(i).dtype for i in items if not isinstance(i, int)]
    if len(set(kinds)) == 1:
        return kinds[0]
    return DType.FLOAT32 if DType.FLOAT32 in kinds else DType.INT64


@reads("aten.add", "aten.sub", "aten.rsub", "aten.subtract")
def add(call: Call) -> Value:
    """self +- alpha * other; rsub: other - alpha * self."""
    a, b = _operands(call, call.dtype)
    if "rsub" in call.target:
        a, b = b, a
    alpha = call.get("alpha", 1)
    if alpha != 1:
        b = call.emit("Mul", b, alpha)
    return call.emit("Add" if "add" in call.target else "Sub", a, b)


@reads("aten.mul", "aten.multiply")
def mul(call: Call) -> Value:
    """self * other; of bools: and."""
    op = "LogicalAnd" if call.dtype is DType.BOOL else "Mul"
    return call.emit(op, *_operands(call, call.dtype))


@reads("aten.div", "aten.divide", "aten.true_divide")
def div(call: Call) -> Value:
    """self / other, rounded as asked; by a constant: times its reciprocal."""
    a, b = _operands(call, call.dtype)
    mode = call.get("rounding_mode")
    if mode == "floor":
        return call.emit("FloorDiv", a, b)
    if mode is None and isinstance(call["other"], int | float):
        return call.emit("Mul", a, 1 / call["other"])
    quotient = call.emit("Div", a, b)
    return trunc_of(call, quotient) if mode == "trunc" and call.dtype.is_float else quotient


def trunc_of(call: Call, x: Value) -> Value:
    """`x` rounded toward zero."""
    return call.emit("Mul", call.emit("Sign", x), call.emit("Floor", call.emit("Abs", x)))


@reads("aten.trunc", "aten.fix")
def trunc(call: Call) -> Value:
    """Toward zero."""
    return trunc_of(call, call.value("self"))


@reads("aten.frac")
def frac(call: Call) -> Value:
    """x - trunc(x)."""
    x = call.value("self")
    return call.emit("Sub", x, trunc_of(call, x))


@reads("aten.fmod")
def fmod(call: Call) -> Value:
    """a - b * trunc(a / b)."""
    a, b = _operands(call, call.dtype)
    quotient = call.emit("Div", a, b)
    if call.dtype.is_float:
        quotient = trunc_of(call, quotient)
    return call.emit("Sub", a, call.emit("Mul", b, quotient))


@reads("aten.round")
def round_(call: Call) -> Value:
    """Ties to even, to whole numbers or to `decimals`."""
    x, decimals = call.value("self"), int(call.get("decimals", 0))
    if decimals == 0:
        return call.emit("Round", x)
    scaled = call.emit("Round", call.emit("Mul", x, 10.0**decimals))
    return call.emit("Mul", scaled, 10.0**-decimals)


@reads("aten.square")
def square(call: Call) -> Value:
    """x * x."""
    x = call.value("self")
    return call.emit("Mul", x, x)


@reads("aten.reciprocal")
def reciprocal(call: Call) -> Value:
    """1 / x."""
    return call.emit("Div", 1.0, call.value("self", DType.FLOAT32))


@reads("aten.pow")
def pow_(call: Call) -> Value:
    """A power; small constant exponents become products and roots."""
    exponent = call["exponent"]
    if isinstance(call["self"], int | float):
        base = float(call["self"])
        return call.emit("Pow", base, call.value("exponent", DType.FLOAT32))
    x = call.value("self", call.dtype)
    if isinstance(exponent, int | float) and float(exponent) in _POWERS:
        return _POWERS[float(exponent)](call, x)
    return call.emit("Pow", x, call.value("exponent", call.dtype))


def _square(call: Call, x: Value) -> Value:
    return call.emit("Mul", x, x)


_POWERS: dict[float, Callable[[Call, Value], Value]] = {
    1.0: lambda call, x: x,
    2.0: _square,
    3.0: lambda call, x: call.emit("Mul", _square(call, x), x),
    4.0: lambda call, x: _square(call, _square(call, x)),
    0.5: lambda call, x: call.emit("Sqrt", x),
    -0.5: lambda call, x: call.emit("Rsqrt", x),
    -1.0: lambda call, x: call.emit("Div", 1.0, x),
    -2.0: lambda call, x: call.emit("Div", 1.0, _square(call, x)),
}


def _scaled_log(call: Call, factor: float, shift: float = 0.0) -> Value:
    x = call.value("self", DType.FLOAT32)
    x = call.emit("Add", x, shift) if shift else x
    y = call.emit("Log", x)
    return y if factor == 1.0 else call.emit("Mul", y, factor)


READS["aten.log2"] = lambda call: _scaled_log(call, 1 / math.log(2))
READS["aten.log10"] = lambda call: _scaled_log(call, 1 / math.log(10))
READS["aten.log1p"] = lambda call: _scaled_log(call, 1.0, 1.0)


@reads("aten.expm1")
def expm1(call: Call) -> Value:
    """e^x - 1."""
    return call.emit("Sub", call.emit("Exp", call.value("self")), 1.0)


@reads("aten.exp2")
def exp2(call: Call) -> Value:
    """2^x."""
    return call.emit("Exp", call.emit("Mul", call.value("self"), math.log(2)))


@reads("aten.tan")
def tan(call: Call) -> Value:
    """sin / cos."""
    x = call.value("self")
    return call.emit("Div", call.emit("Sin", x), call.emit("Cos", x))


@reads("aten.logical_not", "aten.bitwise_not")
def logical_not(call: Call) -> Value:
    """Not x; of whole numbers only as a truth value."""
    if "bitwise" in call.target and call.dtype is not DType.BOOL:
        raise Refused("bitwise logic has an equivalent for bool only")
    return call.emit("LogicalNot", call.value("self", DType.BOOL))


@reads("aten.isnan")
def isnan(call: Call) -> Value:
    """x != x."""
    x = call.value("self")
    return call.emit("NotEqual", x, x)


@reads("aten.isinf")
def isinf(call: Call) -> Value:
    """|x| == infinity."""
    return call.emit("Equal", call.emit("Abs", call.value("self")), math.inf)


@reads("aten.where")
def where(call: Call) -> Value:
    """Where."""
    condition = call.value("condition", DType.BOOL)
    return call.emit("Where", condition, *_operands(call, call.dtype))


@reads("aten.masked_fill")
def masked_fill(call: Call) -> Value:
    """The value where the mask holds."""
    mask, x = call.value("mask", DType.BOOL), call.value("self", call.dtype)
    return call.emit("Where", mask, call.value("value", call.dtype), x)


@reads("aten.addcmul", "aten.addcdiv")
def addcmul(call: Call) -> Value:
    """self + value * tensor1 * tensor2, or / tensor2."""
    op = "Mul" if "addcmul" in call.target else "Div"
    x, a, b = (call.value(name, call.dtype) for name in ("self", "tensor1", "tensor2"))
    product = call.emit(op, a, b)
    if call.get("value", 1) != 1:
        product = call.emit("Mul", product, call["value"])
    return call.emit("Add", x, product)


@reads("aten.lerp")
def lerp(call: Call) -> Value:
    """self + weight * (end - self)."""
    x, weight = call.value("self"), call.value("weight", call.dtype)
    return call.emit("Add", x, call.emit("Mul", call.emit("Sub", call.value("end"), x), weight))


@reads("aten._to_copy", "aten.to", "aten.type_as", "aten.float", "aten.long", "aten.int",
       "aten.bool", "aten.half")  # fmt: skip
def to(call: Call) -> Value:
    """Cast, when the type changes."""
    return call.value("self", call.dtype)


_SAME: tuple[Any, ...] = (
    "clone", "contiguous", "alias", "detach", "detach_", "lift_fresh_copy", "lift_fresh",
    "_assert_tensor_metadata", "positive", "resolve_conj", "resolve_neg", "real",
)  # fmt: skip


@reads(*(f"aten.{name}" for name in _SAME))
def same(call: Call) -> Value:
    """Nothing to do: memory formats and gradients do not matter here."""
    return call.value(next(iter(call.arguments)))
