"""Activations that a framework spelled out, put together again."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edgepack.ir import Graph, Node, Value
from edgepack.passes.activations import clamp_of
from edgepack.passes.match import (
    as_float32,
    declined,
    is_real,
    live,
    producer,
    sole_producer,
    supersede,
    uniform,
    variable_and_constant,
)
from edgepack.passes.polynomial import Polynomial, base, polynomial, roots, same_polynomial

_HALF_SUM: Final[Polynomial] = {(1, 0): 0.5, (1, 1): 0.5}  # x * (1 + c) / 2
_TANH_GAIN: Final = math.sqrt(2 / math.pi)
_CUBIC: Final = 0.044715
_GELU: Final[dict[str, Polynomial]] = {
    "Erf": {(1,): math.sqrt(0.5)},
    "Tanh": {(1,): _TANH_GAIN, (3,): _TANH_GAIN * _CUBIC},
}
_CLAMPS: Final = ("Relu6", "Clip", "Minimum", "Maximum")


def recompose_gelu(graph: Graph) -> int:
    """x * (1 + erf(x / sqrt 2)) / 2 = Gelu(x), and the tanh form; any order of the factors."""
    count = 0
    for core in live(graph, *_GELU):
        x = base(graph, core.input(0))
        if x is None or graph.only_user(core.output) is None:
            continue
        if not same_polynomial(polynomial(graph, core.input(0), (x,)), _GELU[core.op]):
            continue
        attrs = {"approximate": core.op == "Tanh"}
        count += _replace_root(graph, core, x, "Gelu", attrs)
    return count


def _replace_root(graph: Graph, core: Node, x: Value, op: str, attrs: dict[str, bool]) -> bool:
    for root in roots(graph, core.output):
        if same_polynomial(polynomial(graph, root, (x, core.output)), _HALF_SUM):
            supersede(graph, root, op, [x], attrs)
            return True
    declined(f"recompose {op}", core, "no x * (1 + f(x)) / 2 around it, read once throughout")
    return False


def recompose_hard_swish(graph: Graph) -> int:
    """x * relu6(x + 3) / 6 = x * clip(x / 6 + 1 / 2, 0, 1) = HardSwish(x), however it is scaled.

    Read as x times a ramp of x: the ramp must be 0 up to x = -3, rise by 1 / 6, and end at 1.
    """
    count = 0
    for core in live(graph, *_CLAMPS):
        x = base(graph, core.input(0)) if is_real(core.output) else None
        found = None if x is None else _hard_swish_root(graph, core, x)
        if found is not None:
            supersede(graph, found, "HardSwish", [x])
            count += 1
    return count


def _hard_swish_root(graph: Graph, core: Node, x: Value) -> Value | None:
    clamp = clamp_of(core)
    inner = polynomial(graph, clamp[0], (x,)) if clamp and clamp[0] is not x else None
    if clamp is None or inner is None or not set(inner) <= {(0,), (1,)} or not inner.get((1,)):
        return None
    low, high = clamp[1]
    slope, offset = inner[(1,)], inner.get((0,), 0.0)
    for root in roots(graph, core.output):
        outer = polynomial(graph, root, (x, core.output))
        if outer is None or not set(outer) <= {(1, 0), (1, 1)}:
            continue
        gain, shift = outer.get((1, 1), 0.0), outer.get((1, 0), 0.0)
        ramp = (gain * slope, gain * low + shift, gain * high + shift, (low - offset) / slope)
        if np.allclose(ramp, (1 / 6, 0, 1, -3), atol=1e-4):
            return root
    return None


def recompose_leaky_relu(graph: Graph) -> int:
    """max(x, a x) with 0 <= a <= 1, and relu(x) - a relu(-x): LeakyRelu, PRelu where a varies."""
    count = 0
    for node in live(graph, "Maximum", "Add", "Sub"):
        if not is_real(node.output) or node.attrs.get("activation", "none") != "none":
            continue
        found = _from_maximum(graph, node) if node.op == "Maximum" else _from_relus(graph, node)
        if found is not None:
            _put_leaky(graph, node, *found)
            count += 1
    return count


def _put_leaky(graph: Graph, node: Node, x: Value, alpha: Value, sign: float) -> None:
    number = uniform(alpha)
    if number is not None:
        supersede(graph, node.output, "LeakyRelu", [x], {"alpha": sign * number})
        return
    slope = graph.constant(as_float32(sign * alpha.const), alpha.name) if sign < 0 else alpha
    supersede(graph, node.output, "PRelu", [x, slope])


def _from_maximum(graph: Graph, node: Node) -> tuple[Value, Value, float] | None:
    for x, scaled in (node.inputs, node.inputs[::-1]):
        product = sole_producer(graph, scaled, "Mul")
        parts = variable_and_constant(product) if product is not None else None
        if x is None or parts is None or parts[0] is not x or x.shape != node.output.shape:
            continue
        if ((parts[1].const >= 0) & (parts[1].const <= 1)).all():
            return x, parts[1], 1.0
        declined("recompose_leaky_relu", node, "its slope is not within 0..1")
    return None


def _from_relus(graph: Graph, node: Node) -> tuple[Value, Value, float] | None:
    orders = (node.inputs, node.inputs[::-1]) if node.op == "Add" else (node.inputs,)
    for left, right in orders:
        positive = sole_producer(graph, left, "Relu")
        product = sole_producer(graph, right, "Mul")
        parts = variable_and_constant(product) if product is not None else None
        if positive is None or parts is None:
            continue
        negative = sole_producer(graph, parts[0], "Relu")
        flipped = producer(negative.input(0), "Neg") if negative is not None else None
        x = positive.input(0)
        if flipped is not None and flipped.input(0) is x and x.shape == node.output.shape:
            return x, parts[1], 1.0 if node.op == "Sub" else -1.0
    return None


def uniform_prelu_to_leaky_relu(graph: Graph) -> int:
    """PRelu with one slope for all = LeakyRelu, which needs no tensor of slopes."""
    count = 0
    for node in live(graph, "PRelu"):
        alpha = uniform(node.input(1))
        if alpha is None or not is_real(*node.inputs, node.output):
            continue
        if node.input(0).shape != node.output.shape:
            declined("uniform_prelu_to_leaky_relu", node, "its slopes broadcast the result")
            continue
        supersede(graph, node.output, "LeakyRelu", [node.input(0)], {"alpha": alpha})
        count += 1
    return count
