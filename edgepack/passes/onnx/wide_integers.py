"""Comparisons of integers beyond 32 bits, in operators whose kernels get them right.

ONNX Runtime's Max, Min, Clip, Sign, ReduceMax and ReduceMin of int64 compare the low words as
signed numbers where the high words are equal (on x86 without AVX-512). Its Less, Greater and TopK
are right.

Rules of their own, since graphs that `passes/onnx_exact` has spelled out know better: there, what
is compared as int64 mostly lies within 32 bits.
"""

from __future__ import annotations

import math
from typing import Final

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.activations import clamp_of
from edgepack.passes.manager import run_to_fixpoint
from edgepack.passes.match import live, supersede, take_over
from edgepack.passes.rules import Maker, Rules
from edgepack.writers.onnx.integers import wide_dtype

_WINS: Final = {"Maximum": "Greater", "Minimum": "Less"}
_RULES: Final = Rules()


def compare_wide_integers(graph: Graph) -> int:
    """Spell out what compares integers beyond 32 bits; return the number of rewrites."""
    return run_to_fixpoint(graph, (_spell_out,))


def _spell_out(graph: Graph) -> int:
    return sum(_RULES.legalize(graph, node) for node in live(graph))


def _is_wide(value: Value) -> bool:
    """Whether it is compared as int64."""
    return value.quant is None and DType.INT64 in (value.dtype, wide_dtype(value))


@_RULES(*_WINS)
def extremum(graph: Graph, node: Node) -> bool:
    """Where(a > b, a, b)."""
    if not _is_wide(node.output):
        return False
    wins = Maker(graph, node)(_WINS[node.op], *node.inputs)
    supersede(graph, node.output, "Where", [wins, *node.inputs])
    return True


@_RULES("Relu", "Relu6", "ReluN1To1", "Relu0To1", "Clip")
def clamp(graph: Graph, node: Node) -> bool:
    """The smaller of `high` and the larger of `low` and x, of the bounds that there are."""
    found, y = clamp_of(node), node.input(0)
    if found is None or not _is_wide(y):
        return False
    make = Maker(graph, node)
    for op, bound in zip(_WINS, found[1], strict=True):
        if math.isfinite(bound):
            y = make(op, y, make.constant(int(bound), y.dtype))
    if y is node.input(0):
        return False
    take_over(graph, node.output, y)
    return True


@_RULES("Sign")
def sign(graph: Graph, node: Node) -> bool:
    """1 where x > 0, -1 where x < 0, else 0."""
    x = node.input(0)
    if not _is_wide(x):
        return False
    make = Maker(graph, node)
    zero, one, minus = (make.constant(v, x.dtype) for v in (0, 1, -1))
    below = make("Where", make("Less", x, zero), minus, zero)
    supersede(graph, node.output, "Where", [make("Greater", x, zero), one, below])
    return True


@_RULES("ReduceMax", "ReduceMin")
def reduced_extremum(graph: Graph, node: Node) -> bool:
    """The first of TopK, all reduced axes as one; of -1 - x the largest stands for the smallest."""
    x, axes = node.input(0), sorted(axis % node.input(0).rank for axis in node.attrs["axes"])
    if not axes or not _is_wide(x):
        return False
    make = Maker(graph, node)
    kept = [axis for axis in range(x.rank) if axis not in axes]
    rows = (*(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes))
    y = make("Reshape", make("Transpose", x, attrs={"perm": (*kept, *axes)}), attrs={"shape": rows})
    last = make.constant(-1 if x.dtype is DType.INT64 else x.dtype.limits[1], x.dtype)
    if node.op == "ReduceMin":
        y = make("Sub", last, y)
    y, _ = make.parts("TopK", y, attrs={"k": 1})
    if node.op == "ReduceMin":
        y = make("Sub", last, y)
    supersede(graph, node.output, "Reshape", [y], {"shape": node.output.shape})
    return True
