"""Elementwise operators without a builtin, or whose builtin asks more of its inputs."""

from __future__ import annotations

import math
from typing import Final

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes import compositions
from edgepack.passes.affine import decompose_batchnorm
from edgepack.passes.match import is_real, supersede
from edgepack.passes.rules import Maker
from edgepack.passes.tflite.rules import legalizes

_NAMED: Final = {(0.0, math.inf): "Relu", (0.0, 6.0): "Relu6", (-1.0, 1.0): "ReluN1To1"}
_BOUNDS: Final = {name: bounds for bounds, name in _NAMED.items()}


@legalizes("Clip")
def clip(graph: Graph, node: Node) -> bool:
    """Relu and its kin where the bounds are theirs, else Maximum and Minimum with constants."""
    bounds = node.attrs["min"], node.attrs["max"]
    x = node.input(0)
    real = x.dtype.is_float or x.quant is not None
    if real and bounds in _NAMED:
        supersede(graph, node.output, _NAMED[bounds], [x])
    else:
        _clamp(graph, node, *bounds)
    return True


@legalizes("Relu", "Relu6", "ReluN1To1")
def clamp_of_whole_numbers(graph: Graph, node: Node) -> bool:
    """Maximum and Minimum where the kernel would need real numbers."""
    x = node.input(0)
    if x.dtype.is_float or x.quant is not None:
        return False
    _clamp(graph, node, *_BOUNDS[node.op])
    return True


def _clamp(graph: Graph, node: Node, low: float, high: float) -> None:
    make, x, out = Maker(graph, node), node.input(0), node.output
    steps = []
    if low > _least(x):
        steps.append(("Maximum", low))
    if high < _most(x):
        steps.append(("Minimum", high))
    if not steps:
        supersede(graph, out, "Reshape", [x], {"shape": x.shape})
        return
    for op, limit in steps[:-1]:
        x = make(op, x, make.constant(limit, x))
        x.quant = out.quant
    op, limit = steps[-1]
    supersede(graph, out, op, [x, make.constant(limit, x)])


def _least(x: Value) -> float:
    return -math.inf if x.dtype.is_float or x.quant else x.dtype.limits[0]


def _most(x: Value) -> float:
    return math.inf if x.dtype.is_float or x.quant else x.dtype.limits[1]


# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: |error| <= 1.5e-7
_ERF_P: Final = 0.3275911
_ERF_A: Final = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@legalizes("Erf")
def erf(graph: Graph, node: Node) -> bool:
    """sign(x) * (1 - poly(t) * exp(-x * x)), t = 1 / (1 + p |x|); the error stays below 1e-6."""
    x = node.input(0)
    if x.dtype is not DType.FLOAT32:
        return False
    make = Maker(graph, node)

    def number(value: float) -> Value:
        return make.constant(value, DType.FLOAT32)

    size = make("Abs", x)
    t = make("Div", number(1.0), make("Add", make("Mul", size, number(_ERF_P)), number(1.0)))
    poly = number(_ERF_A[0])
    for coefficient in _ERF_A[1:]:
        poly = make("Add", make("Mul", t, poly), number(coefficient))
    tail = make("Exp", make("Mul", make("Mul", x, x), number(-1.0)))
    rest = make("Sub", number(1.0), make("Mul", make("Mul", poly, t), tail))
    supersede(graph, node.output, "Mul", [make("Sign", x), rest])
    return True


@legalizes("BatchNorm")
def batchnorm(graph: Graph, node: Node) -> bool:
    """Mul and Add; by constants where the statistics are constant."""
    if all(v.is_const for v in node.inputs[1:] if v is not None) and is_real(*node.inputs):
        return bool(decompose_batchnorm(graph))
    return compositions.batchnorm(graph, node)


_DEQUANTIZED: Final = (DType.INT8, DType.UINT8, DType.INT4)


@legalizes("Dequantize")
def dequantize(graph: Graph, node: Node) -> bool:
    """(x - zero point) * scale in real numbers, where DEQUANTIZE does not take the type.

    It takes int16 without a zero point, and no wider ones. The parameters leave the value: TFLite
    has no tensor of that kind to bear them.
    """
    x, quant = node.input(0), node.input(0).quant
    if quant is None or x.dtype in _DEQUANTIZED:
        return False
    if x.dtype is DType.INT16 and not quant.zero_point.any():
        return False
    if x.producer is not None or any(user.op != "Dequantize" for user in x.users):
        return False
    shape = [1] * x.rank
    if quant.axis is not None:
        shape[quant.axis] = -1
    for user in list(x.users):
        make = Maker(graph, user)
        zero = make.constant(quant.zero_point.reshape(shape), DType.FLOAT32)
        scale = make.constant(quant.scale.reshape(shape), DType.FLOAT32)
        real = make("Cast", x, attrs={"to": str(DType.FLOAT32)})
        supersede(graph, user.output, "Mul", [make("Sub", real, zero), scale])
    x.quant = None
    return True


@legalizes("LayerNorm", "RmsNorm")
def layer_norm(graph: Graph, node: Node) -> bool:
    """Once it computes in the one type that all of its steps have."""
    return node.input(0).dtype is DType.FLOAT32 and compositions.layer_norm(graph, node)


@legalizes("PRelu", "Atan2")
def broadcast_first(graph: Graph, node: Node) -> bool:
    """PRELU broadcasts its slopes only, ATAN2 nothing."""
    return compositions.broadcast_inputs(graph, node, *([0] if node.op == "PRelu" else [0, 1]))
