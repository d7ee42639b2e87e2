"""Elementwise operators and normalizations that ONNX has not, or not for all inputs."""

from __future__ import annotations

import math
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.passes import compositions
from edgepack.passes.match import producer, supersede, uniform
from edgepack.passes.onnx.rules import legalizes
from edgepack.passes.rules import Maker, on_reals
from edgepack.writers.onnx.integers import wide_dtype

_L2_FLOOR: Final = 1e-6  # the length that L2_NORMALIZATION divides by is at least this

legalizes("SquaredDifference")(on_reals(compositions.squared_difference))
legalizes("RmsNorm")(on_reals(compositions.layer_norm))
legalizes("Gelu")(on_reals(compositions.gelu))  # the operator itself came with operator set 20


@legalizes("Square")
def square(graph: Graph, node: Node) -> bool:
    """x * x."""
    supersede(graph, node.output, "Mul", [node.input(0)] * 2)
    return True


@legalizes("NotEqual")
def not_equal(graph: Graph, node: Node) -> bool:
    """not (a == b)."""
    supersede(graph, node.output, "LogicalNot", [Maker(graph, node)("Equal", *node.inputs)])
    return True


# -- activations -----------------------------------------------------------------------------------


@legalizes("PRelu")
def prelu(graph: Graph, node: Node) -> bool:
    """PRelu broadcasts its slopes only."""
    return compositions.broadcast_inputs(graph, node, 0)


@legalizes("Softmax")
def softmax_beta(graph: Graph, node: Node) -> bool:
    """A beta other than 1 is a Mul before it."""
    return node.attrs["beta"] != 1.0 and _scaled_softmax(graph, node)


@on_reals
def _scaled_softmax(graph: Graph, node: Node) -> bool:
    make, x = Maker(graph, node), node.input(0)
    scaled = make("Mul", x, make.constant(node.attrs["beta"], x.dtype))
    supersede(graph, node.output, "Softmax", [scaled], {**node.attrs, "beta": 1.0})
    return True


# -- division and its kin --------------------------------------------------------------------------


@legalizes("FloorDiv")
@on_reals
def floor_div(graph: Graph, node: Node) -> bool:
    """floor(a / b); of whole numbers (a - a mod b) / b, which leaves nothing to round."""
    make, out = Maker(graph, node), node.output
    if out.dtype.is_float:
        supersede(graph, out, "Floor", [make("Div", *node.inputs)])
    else:
        _whole_division(make, node, *(_widened(make, v) for v in node.present_inputs))
    return True


@legalizes("RightShift")
def right_shift(graph: Graph, node: Node) -> bool:
    """floor(a / 2**b): ONNX shifts unsigned integers only."""
    make = Maker(graph, node)
    a, b = (_widened(make, v) for v in node.present_inputs)
    _whole_division(make, node, a, make("Pow", make.constant(2, b.dtype), b))
    return True


def _whole_division(make: Maker, node: Node, a: Value, b: Value) -> None:
    """Let the node's output be (a - a mod b) / b."""
    out, parts = node.output, (make("Sub", a, make("FloorMod", a, b)), b)
    if a.dtype is out.dtype:
        supersede(make.graph, out, "Div", parts)
    else:
        supersede(make.graph, out, "Cast", [make("Div", *parts)], {"to": str(out.dtype)})


def _widened(make: Maker, value: Value) -> Value:
    """In a type wide enough for steps in between, and that runtimes have arithmetic for."""
    wide = wide_dtype(value)
    return value if wide is None else make("Cast", value, attrs={"to": str(wide)})


@legalizes("FloorMod")
@on_reals
def floor_mod(graph: Graph, node: Node) -> bool:
    """The remainder with the sign of b, from that of |a| and |b|, which needs no sign.

    ONNX's of real numbers has the sign of a. a - b * floor(a / b) would lose digits where a / b is
    large.
    """
    a, b = node.input(0), node.input(1)
    if not node.output.dtype.is_float or all(map(_has_no_sign, (a, b))):
        return False
    make, zero = Maker(graph, node), Maker(graph, node).constant(0.0, a.dtype)
    rest = make("FloorMod", make("Abs", a), make("Abs", b))
    rest = make("Mul", make("Sign", a), rest)
    other_sign = make("Less", make("Mul", make("Sign", rest), b), zero)
    supersede(graph, node.output, "Where", [other_sign, make("Add", rest, b), rest])
    return True


def _has_no_sign(value: Value) -> bool:
    return producer(value, "Abs") is not None


@legalizes("Atan2")
@on_reals
def atan2(graph: Graph, node: Node) -> bool:
    """atan(a / b), turned by half a circle where b is negative; atan is atan2 with b = 1."""
    a, b = node.input(0), node.input(1)
    if uniform(b) == 1.0 and a.shape == node.output.shape:
        return False
    make = Maker(graph, node)
    zero, half, back = (make.constant(v, a.dtype) for v in (0.0, math.pi, -math.pi))
    angle = make("Atan2", make("Div", a, b), make.constant(1.0, a.dtype))
    turned = make("Add", angle, make("Where", make("Less", a, zero), back, half))
    supersede(graph, node.output, "Where", [make("Less", b, zero), turned, angle])
    return True


# -- normalization ---------------------------------------------------------------------------------


@legalizes("L2Norm")
@on_reals
def l2_norm(graph: Graph, node: Node) -> bool:
    """X over its length along the last axis, which counts as 1e-6 at least."""
    make, x = Maker(graph, node), node.input(0)
    squares = make("ReduceSum", make("Mul", x, x), attrs={"axes": (-1,), "keepdims": True})
    length = make("Maximum", make("Sqrt", squares), make.constant(_L2_FLOOR, x.dtype))
    supersede(graph, node.output, "Div", [x, length])
    return True
