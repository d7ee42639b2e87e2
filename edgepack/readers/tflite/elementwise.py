"""Rows of elementwise operators, activations, comparisons and quantization."""

from __future__ import annotations

import math
from typing import Final

from edgepack.errors import BadModel
from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.registry import OpView, reads

# TFLite builtin: IR operator; as many inputs as the IR's row takes, no options that matter.
_PLAIN: Final = {
    "RELU": "Relu", "RELU6": "Relu6", "RELU_N1_TO_1": "ReluN1To1", "RELU_0_TO_1": "Relu0To1",
    "ELU": "Elu",
    "LOGISTIC": "Sigmoid", "TANH": "Tanh", "HARD_SWISH": "HardSwish", "PRELU": "PRelu",
    "LOG_SOFTMAX": "LogSoftmax", "EXP": "Exp", "LOG": "Log", "SQRT": "Sqrt", "RSQRT": "Rsqrt",
    "ABS": "Abs", "NEG": "Neg", "SQUARE": "Square", "SIN": "Sin", "COS": "Cos", "FLOOR": "Floor",
    "CEIL": "Ceil", "ROUND": "Round", "SIGN": "Sign", "LOGICAL_NOT": "LogicalNot",
    "MAXIMUM": "Maximum", "MINIMUM": "Minimum", "POW": "Pow", "FLOOR_DIV": "FloorDiv",
    "FLOOR_MOD": "FloorMod", "SQUARED_DIFFERENCE": "SquaredDifference",
    "LOGICAL_AND": "LogicalAnd", "LOGICAL_OR": "LogicalOr", "BITWISE_XOR": "BitwiseXor",
    "RIGHT_SHIFT": "RightShift", "EQUAL": "Equal", "NOT_EQUAL": "NotEqual", "LESS": "Less",
    "LESS_EQUAL": "LessEqual", "GREATER": "Greater", "GREATER_EQUAL": "GreaterEqual",
    "SELECT_V2": "Where", "L2_NORMALIZATION": "L2Norm", "ATAN2": "Atan2",
}  # fmt: skip
_FUSED: Final = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}


def _of_one_type(op: OpView, *values: Value) -> list[Value]:
    """The values, which an operator can only combine when they are of one type."""
    if any(v.dtype is not values[0].dtype for v in values):
        raise BadModel(f"{op.builtin} cannot combine {' and '.join(v.dtype for v in values)}")
    return list(values)


@reads(*_PLAIN)
def plain(op: OpView) -> Value:
    """Operators without options."""
    values = op.all_inputs()
    if op.builtin == "SELECT_V2":
        _of_one_type(op, *values[1:])
    elif op.builtin != "PRELU":  # 16-bit activations have an 8-bit alpha
        _of_one_type(op, *values)
    return op.emit(_PLAIN[op.builtin], *values)


@reads(*_FUSED)
def fused(op: OpView) -> Value:
    """Arithmetic with a fused activation."""
    name = _FUSED[op.builtin]
    activation = op.activation(op.options(f"{name}Options").fusedActivationFunction)
    return op.emit(name, *_of_one_type(op, op.input(0), op.input(1)), activation=activation)


@reads("ADD_N")
def add_n(op: OpView) -> Value:
    """ADD_N as a chain of additions; real numbers only, since each step would round."""
    values = _of_one_type(op, *op.all_inputs())
    if values[0].quant is not None and len(values) > 2:
        raise Refused("the sum of more than two quantized values is not supported")
    total = values[0]
    for value in values[1:-1]:
        total = op.emit("Add", total, value)
    if len(values) == 1:
        return op.emit("Reshape", total, shape=total.shape)
    else:
        return op.emit("Add", total, values[-1])


@reads("LEAKY_RELU")
def leaky_relu(op: OpView) -> Value:
    """LEAKY_RELU."""
    return op.emit("LeakyRelu", op.input(0), alpha=float(op.options("LeakyReluOptions").alpha))


@reads("GELU")
def gelu(op: OpView) -> Value:
    """GELU."""
    return op.emit("Gelu", op.input(0), approximate=bool(op.options("GeluOptions").approximate))


@reads("SOFTMAX")
def softmax(op: OpView) -> Value:
    """SOFTMAX along the last axis."""
    beta = float(op.options("SoftmaxOptions").beta)
    if not 0 < beta < math.inf:  # kernels abort the process
        raise BadModel(f"its beta is {beta:g}")
    return op.emit("Softmax", op.input(0), beta=beta)


@reads("LOCAL_RESPONSE_NORMALIZATION")
def lrn(op: OpView) -> Value:
    """LOCAL_RESPONSE_NORMALIZATION across channels."""
    options = op.options("LocalResponseNormalizationOptions")
    return op.emit(
        "Lrn", op.input(0), radius=options.radius, bias=float(options.bias),
        alpha=float(options.alpha), beta=float(options.beta),
    )  # fmt: skip


@reads("SELECT")
def select(op: OpView) -> Value:
    """SELECT: a condition of rank 1 chooses whole slices along the first dimension."""
    condition, then, other = op.all_inputs()
    if condition.rank == 1 and then.rank > 1:
        shape = (*condition.shape, *(1,) * (then.rank - 1))
        condition = op.emit("Reshape", condition, shape=shape)
    return op.emit("Where", condition, then, other)


@reads("CAST", "BITCAST")
def cast(op: OpView) -> Value:
    """CAST and BITCAST to the type of the output."""
    if op.outputs[0].dtype is None:
        raise Refused(f"it casts to {op.outputs[0].type_name.lower()}")
    return op.emit(op.builtin.capitalize(), op.input(0), to=str(op.outputs[0].dtype))


@reads("QUANTIZE")
def quantize(op: OpView) -> Value:
    """QUANTIZE: from real numbers, or from one set of parameters to another."""
    if op.outputs[0].quant is None or op.outputs[0].dtype is None:
        raise BadModel("its output has no scale")
    return op.emit("Quantize", op.input(0), to=str(op.outputs[0].dtype))


@reads("DEQUANTIZE")
def dequantize(op: OpView) -> Value:
    """DEQUANTIZE; a constant (float16 weights, say) becomes a float32 constant."""
    x = op.input(0)
    if x.is_const:
        return op.const(x.real.astype("float32"))
    elif x.dtype is DType.FLOAT16:
        return op.emit("Cast", x, to="float32")
    elif x.quant is None:
        raise BadModel("its input has no scale")
    else:
        return op.emit("Dequantize", x)
