"""Activations, arithmetic, comparison and logic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers import spelled_out
from edgepack.readers.emitter import Refused
from edgepack.readers.spelled_out import SELU_ALPHA, SELU_SCALE
from edgepack.readers.tensorflow.call import DTYPES, Call, Const, Item, dtype_name
from edgepack.readers.tensorflow.registry import READS, reads

_UNARY = {
    "Relu": "Relu", "Relu6": "Relu6", "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Elu": "Elu",
    "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt", "Rsqrt": "Rsqrt", "Abs": "Abs", "Neg": "Neg",
    "Sin": "Sin", "Cos": "Cos", "Erf": "Erf", "Floor": "Floor", "Ceil": "Ceil", "Round": "Round",
    "Rint": "Round", "Sign": "Sign", "LogicalNot": "LogicalNot",
}  # fmt: skip
_BINARY = {
    "Add": "Add", "Sub": "Sub", "Mul": "Mul", "RealDiv": "Div",
    "Div": "Div", "Maximum": "Maximum", "Minimum": "Minimum", "Pow": "Pow",
    "FloorDiv": "FloorDiv", "FloorMod": "FloorMod", "SquaredDifference": "SquaredDifference",
    "LogicalAnd": "LogicalAnd", "LogicalOr": "LogicalOr", "Equal": "Equal", "NotEqual": "NotEqual",
    "Less": "Less", "LessEqual": "LessEqual", "Greater": "Greater",
    "GreaterEqual": "GreaterEqual", "BitwiseXor": "BitwiseXor", "RightShift": "RightShift",
    "TruncateDiv": "Div",
}  # fmt: skip


def _emits(op: str) -> Callable[[Call], Value]:
    return lambda call: call.emit(op, *call.values())


READS.update({name: _emits(op) for name, op in {**_UNARY, **_BINARY}.items()})


@reads("AddV2")
def add(call: Call) -> Value:
    """Add; BatchNorm where it is the last step of one that is spelled out."""
    from edgepack.readers.tensorflow.normalization import spelled_out_batch_norm

    return spelled_out_batch_norm(call) or call.emit("Add", *call.values())


@reads("AddN")
def add_n(call: Call) -> Value:
    """Sum of all inputs."""
    first, *rest = call.values()
    for other in rest:
        first = call.emit("Add", first, other)
    return first


@reads("MulNoNan", "DivNoNan", "Xdivy")
def no_nan(call: Call) -> Value:
    """A product or quotient that is 0 where the second (quotient) operand is."""
    a, b = call.values()
    zero = 0.0
    if call.op == "Xdivy":
        return call.emit("Where", call.emit("Equal", a, zero), zero, call.emit("Div", a, b))
    op = "Mul" if call.op == "MulNoNan" else "Div"
    return call.emit("Where", call.emit("Equal", b, zero), zero, call.emit(op, a, b))


@reads("Square")
def square(call: Call) -> Value:
    """x * x."""
    x = call.value(0)
    return call.emit("Mul", x, x)


@reads("Reciprocal", "Inv")
def reciprocal(call: Call) -> Value:
    """1 / x."""
    return call.emit("Div", 1.0, call.value(0))


@reads("LeakyRelu")
def leaky_relu(call: Call) -> Value:
    """LeakyRelu."""
    return call.emit("LeakyRelu", call.value(0), alpha=float(call.attrs.get("alpha", 0.2)))


@reads("Selu")
def selu(call: Call) -> Value:
    """scale * elu(x, alpha)."""
    return spelled_out.elu(call, call.value(0), SELU_ALPHA, SELU_SCALE)


@reads("Softplus")
def softplus(call: Call) -> Value:
    """log(1 + e^x)."""
    return spelled_out.softplus(call, call.value(0))


@reads("Softsign")
def softsign(call: Call) -> Value:
    """x / (1 + |x|)."""
    return spelled_out.softsign(call, call.value(0))


@reads("Softmax", "LogSoftmax")
def softmax(call: Call) -> Value:
    """Along the last dimension."""
    return call.emit(call.op, call.value(0), axis=-1)


@reads("ClipByValue")
def clip(call: Call) -> Value:
    """A clip to constant or computed limits."""
    x, low, high = call.value(0), call.item(1), call.item(2)
    if isinstance(low, Const) and isinstance(high, Const) and low.array.size * high.array.size == 1:
        return spelled_out.clip(call, x, low.array.item(), high.array.item())
    return call.emit("Minimum", call.emit("Maximum", x, call.value(1)), call.value(2))


@reads("Expm1")
def expm1(call: Call) -> Value:
    """e^x - 1."""
    return call.emit("Sub", call.emit("Exp", call.value(0)), 1.0)


@reads("Log1p")
def log1p(call: Call) -> Value:
    """log(1 + x)."""
    return call.emit("Log", call.emit("Add", call.value(0), 1.0))


@reads("Tan")
def tan(call: Call) -> Value:
    """sin / cos."""
    x = call.value(0)
    return call.emit("Div", call.emit("Sin", x), call.emit("Cos", x))


@reads("Erfc")
def erfc(call: Call) -> Value:
    """1 - erf(x)."""
    return call.emit("Sub", 1.0, call.emit("Erf", call.value(0)))


@reads("IsNan", "IsInf")
def is_special(call: Call) -> Value:
    """x != x, or |x| == infinity."""
    x = call.value(0)
    if call.op == "IsNan":
        return call.emit("NotEqual", x, x)
    return call.emit("Equal", call.emit("Abs", x), math.inf)


@reads("IsFinite")
def is_finite(call: Call) -> Value:
    """|x| < infinity."""
    return call.emit("Less", call.emit("Abs", call.value(0)), math.inf)


@reads("LogicalXor")
def logical_xor(call: Call) -> Value:
    """a != b."""
    return call.emit("NotEqual", *call.values())


@reads("Select", "SelectV2")
def select(call: Call) -> Value:
    """Where; the old Select lets a vector choose whole rows."""
    condition, a, b = call.values()
    if call.op == "Select" and condition.rank == 1 and a.rank > 1:
        condition = call.reshape(condition, (condition.size, *(1,) * (a.rank - 1)))
    return call.emit("Where", condition, a, b)


@reads("Cast", "Bitcast")
def cast(call: Call) -> Value:
    """Cast."""
    name = dtype_name(str(call.attrs["DstT" if call.op == "Cast" else "type"]))
    if call.op == "Bitcast" or name not in DTYPES:
        raise Refused(f"a {call.op.lower()} to {name} has no equivalent")
    return call.cast(call.value(0), DType(name))


@reads("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape", "Snapshot",
       "ReadVariableOp", "PlaceholderWithDefault", "Enter", "Exit", "DeepCopy")  # fmt: skip
def identity(call: Call) -> Sequence[Item]:
    """The input itself."""
    return [call.item(0)]  # in a list of its own: the input may be a list of tensors


@reads("IdentityN")
def identity_n(call: Call) -> Sequence[Item]:
    """The inputs themselves."""
    return list(call.inputs)


@reads("ZerosLike", "OnesLike")
def like(call: Call) -> Const:
    """A constant of the input's shape."""
    x = call.value(0)
    return Const(np.full(x.shape, int(call.op == "OnesLike"), x.dtype.numpy))
