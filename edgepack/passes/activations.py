"""Clamps in one spelling, and fused into the operator before them.

Every clamp is min(max(x, low), high): Relu (0, inf), Relu6 (0, 6), ReluN1To1 (-1, 1), Clip, Maximum
or Minimum with a constant. Two in a row are one, with low = clamp(low1) and high = clamp(high1)
through the second.
"""

from __future__ import annotations

import math
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.passes.match import (
    ACTIVATED,
    bypass,
    declined,
    is_real,
    live,
    may_take_over,
    retire,
    sole_producer,
    supersede,
    take_over,
    uniform,
    variable_and_constant,
)

Bounds = tuple[float, float]

_NAMED: Final[dict[str, Bounds]] = {
    "Relu": (0.0, math.inf),
    "Relu6": (0.0, 6.0),
    "ReluN1To1": (-1.0, 1.0),
}
_FUSED: Final = {"Relu": "relu", "Relu6": "relu6", "ReluN1To1": "relu_n1_to_1"}
UNFUSED: Final = {fused: op for op, fused in _FUSED.items()}  # an activation's own operator
_BOUNDS_OF_FUSED: Final = {"none": (-math.inf, math.inf)} | {
    name: _NAMED[op] for op, name in _FUSED.items()
}
_UNIT: Final = ("Sigmoid", "Softmax")  # outputs in 0..1
CLAMPS: Final = (*_NAMED, "Clip", "Maximum", "Minimum")


def clamp_of(node: Node) -> tuple[Value, Bounds] | None:
    """(x, bounds) when a node clamps real numbers by constants, else None."""
    if node.op in _NAMED:
        return node.input(0), _NAMED[node.op]
    if node.op == "Clip":
        return node.input(0), (node.attrs["min"], node.attrs["max"])
    if node.op not in ("Maximum", "Minimum"):
        return None
    parts = variable_and_constant(node)
    limit = None if parts is None else uniform(parts[1])
    if parts is None or limit is None or parts[0].shape != node.output.shape:
        return None
    return parts[0], (limit, math.inf) if node.op == "Maximum" else (-math.inf, limit)


def merge_clamps(graph: Graph) -> int:
    """Spell each clamp by its shortest name, merge two in a row and drop those that do nothing."""
    count = 0
    for node in live(graph, *CLAMPS):
        found = clamp_of(node)
        if found is not None and is_real(node.output):
            count += _merge(graph, node, *found)
    return count


def _merge(graph: Graph, node: Node, x: Value, bounds: Bounds) -> bool:
    before = sole_producer(graph, x, *CLAMPS)
    inner = clamp_of(before) if before is not None else None
    if inner is not None:
        x, first = inner
        bounds = _clamped(first[0], bounds), _clamped(first[1], bounds)
    known = range_of(x)
    if bounds[0] <= known[0] and known[1] <= bounds[1] and may_take_over(graph, node.output, x):
        bypass(graph, node.output, x)
        return True
    op, attrs = _spelled(bounds)
    if inner is None and op == node.op:
        return False
    supersede(graph, node.output, op, [x], attrs)
    return True


def _clamped(value: float, bounds: Bounds) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _spelled(bounds: Bounds) -> tuple[str, dict[str, float]]:
    for op, named in _NAMED.items():
        if named == bounds:
            return op, {}
    return "Clip", {"min": bounds[0], "max": bounds[1]}


def range_of(x: Value) -> Bounds:
    """What is known of the numbers in `x` from the operator that makes it."""
    node = x.producer
    if node is None:
        return -math.inf, math.inf
    if node.op in _UNIT:
        return 0.0, 1.0
    if node.op in ("MaxPool2d", "Reshape", "Transpose"):
        known = range_of(node.input(0))
        own = _BOUNDS_OF_FUSED[node.attrs.get("activation", "none")]
        return _clamped(known[0], own), _clamped(known[1], own)
    if node.op in ACTIVATED:
        return _BOUNDS_OF_FUSED[node.attrs["activation"]]
    found = clamp_of(node)
    return found[1] if found else (-math.inf, math.inf)


def fuse_activation(graph: Graph) -> int:
    """Let Relu, Relu6 and ReluN1To1 be done by the operator before them; count the fused.

    act(f(x)) = f_act(x). Needs an f with no activation of its own and no other reader; between
    quantized values only where f already gives the activation's parameters, so that the integers
    stay the same.
    """
    count = 0
    for node in live(graph, *_FUSED):
        x = node.input(0)
        before = x.producer
        if before is None or before.op not in ACTIVATED:
            continue
        if why := _cannot_fuse(graph, before, node):
            declined("fuse_activation", node, why)
            continue
        before.attrs["activation"] = _FUSED[node.op]
        take_over(graph, node.output, x)
        retire(graph, node)
        count += 1
    return count


def _cannot_fuse(graph: Graph, before: Node, node: Node) -> str:
    x = node.input(0)
    if graph.only_user(x) is None:
        return f"{x.name} has other readers"
    if before.attrs["activation"] != "none":
        return f"{before.name} has an activation already"
    if x.quant != node.output.quant:
        return f"{x.name} has other parameters than {node.output.name}"
    if not x.dtype.is_float and x.quant is None:
        return "whole numbers have no fused activation"
    return ""
