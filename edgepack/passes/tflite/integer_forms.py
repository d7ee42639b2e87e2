"""Operators spelled out in those that have integer kernels, before a graph is quantized.

The spellings for real numbers (`alternatives`) pass through values that eight bits do not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.match import all_real, live, supersede
from edgepack.passes.rules import Maker

# Whether the runtime has an integer kernel of this builtin.
Quantizes = Callable[[str], bool]

_REACH: Final = 4.0  # from here on, sigmoid differs from 0 or 1 by less than 2e-4


def spell_gelu_in_integers(graph: Graph, quantizes: Quantizes) -> int:
    """Replace GELU where the runtime has no integer kernel of it; return how many."""
    if quantizes("GELU"):
        return 0
    return sum(_gelu(graph, node) for node in live(graph, "Gelu"))


def _gelu(graph: Graph, node: Node) -> bool:
    """x * sigmoid(t * (2 a + 2 a 0.044715 t^2)), t = x within -4..4, a = sqrt(2 / pi).

    That is GELU's tanh form, at most 5e-4 from the exact one. t is computed in parts of 4, where
    the clamp is one that products have built in; without it, the cube would leave small x no bits.
    """
    if not all_real(node):
        return False
    make, x = Maker(graph, node), node.input(0)

    def scaled(op: str, value: Value, factor: float, activation: str = "none") -> Value:
        constant = make.constant(factor, DType.FLOAT32)
        return make(op, value, constant, attrs={"activation": activation})

    linear = 2 * math.sqrt(2 / math.pi) * _REACH
    cubic = linear * 0.044715 * _REACH**2
    part = scaled("Mul", x, 1 / _REACH, "relu_n1_to_1")
    slope = scaled("Add", scaled("Mul", make("Mul", part, part), cubic), linear)
    supersede(graph, node.output, "Mul", [x, make("Sigmoid", make("Mul", part, slope))])
    return True
