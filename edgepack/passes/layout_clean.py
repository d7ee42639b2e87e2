"""Local rewritings of Transpose and Reshape; each is a pass of its own."""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import Array, Graph, Node, QuantParams, Value
from edgepack.passes.layout_perm import Perm, compose, identity, moves_only_ones


def clean_transposes(graph: Graph) -> int:
    """Compose, share, fold and drop transposes until nothing changes; return the rewrites."""
    total = 0
    while count := sum(step(graph) for step in _TRANSPOSES):
        graph.sort()  # dead nodes go from the end: readers before what they read
        graph.remove_dead()
        total += count
    return total


def compose_transposes(graph: Graph) -> int:
    """Transpose(Transpose(x)) is one Transpose of x."""
    count = 0
    for node in graph.nodes_of("Transpose"):
        first = node.input(0).producer
        if first is None or first.op != "Transpose":
            continue
        node.attrs = {"perm": compose(first.attrs["perm"], node.attrs["perm"])}
        node.set_inputs(first.inputs)
        count += 1
    return count


def drop_identity_transposes(graph: Graph) -> int:
    """Transpose that moves nothing is its input."""
    nodes = graph.nodes_of("Transpose")
    return sum(
        _bypass(graph, node) for node in nodes if node.attrs["perm"] == identity(node.output.rank)
    )


def share_transposes(graph: Graph) -> int:
    """Of equal transposes of one value the first serves all readers."""
    count = 0
    first: dict[tuple[Value, Perm], Node] = {}
    for node in graph.nodes_of("Transpose"):
        twin = first.setdefault((node.input(0), node.attrs["perm"]), node)
        if twin is not node and not graph.is_output(node.output):
            graph.replace(node.output, twin.output)
            count += 1
    return count


def fold_constant_moves(graph: Graph) -> int:
    """Transpose and Reshape of a constant are a constant."""
    count = 0
    for node in graph.nodes_of("Transpose", "Reshape"):
        if not node.input(0).is_const or not node.output.users or graph.is_output(node.output):
            continue
        moved = _moved_constant(graph, node)
        if moved is not None:
            graph.replace(node.output, moved)
            count += 1
    return count


def turn_transposes_of_ones_to_reshapes(graph: Graph) -> int:
    """Transpose that moves only dimensions of one leaves memory as it is: a Reshape."""
    count = 0
    for node in graph.nodes_of("Transpose"):
        if moves_only_ones(node.input(0).shape, node.attrs["perm"]):
            node.op, node.attrs = "Reshape", {"shape": node.output.shape}
            count += 1
    return count


def merge_reshapes(graph: Graph) -> int:
    """Reshape(Reshape(x)) is one Reshape of x."""
    count = 0
    for node in graph.nodes_of("Reshape"):
        first = node.input(0).producer
        if first is not None and first.op == "Reshape":
            node.set_inputs(first.inputs)
            count += 1
    return count


def drop_identity_reshapes(graph: Graph) -> int:
    """Reshape to the shape it has is its input."""
    nodes = graph.nodes_of("Reshape")
    return sum(_bypass(graph, node) for node in nodes if node.input(0).shape == node.attrs["shape"])


_TRANSPOSES = (
    share_transposes, fold_constant_moves, compose_transposes, drop_identity_transposes,
)  # fmt: skip


def _bypass(graph: Graph, node: Node) -> bool:
    """Let all readers take the node's input; declines where an output would become an input."""
    source = node.input(0)
    if graph.is_output(node.output) and (source.producer is None or graph.is_output(source)):
        return False
    if not node.output.users and not graph.is_output(node.output):
        return False
    graph.replace(node.output, source)
    return True


def moved_quant(quant: QuantParams | None, perm: Perm) -> QuantParams | None:
    """The parameters of x.transpose(perm), given those of x."""
    if quant is None or quant.axis is None:
        return quant
    return quant.moved(perm.index(quant.axis % len(perm)))


def constant_like(graph: Graph, old: Value, data: Array, quant: QuantParams | None) -> Value:
    """A new constant of the dtype of `old`, named after it."""
    value = graph.constant(np.ascontiguousarray(data), old.name, quant)
    value.dtype = old.dtype  # int4 lives in int8 arrays
    return value


def _moved_constant(graph: Graph, node: Node) -> Value | None:
    old, quant = node.input(0), node.input(0).quant
    if node.op == "Transpose":
        perm = node.attrs["perm"]
        return constant_like(graph, old, old.const.transpose(perm), moved_quant(quant, perm))
    if quant is not None and quant.axis is not None:
        axis = _reshaped_axis(old.shape, quant.axis % old.rank, node.output.shape)
        if axis is None:
            return None
        quant = quant.moved(axis)
    return constant_like(graph, old, old.const.reshape(node.attrs["shape"]), quant)


def _reshaped_axis(old: tuple[int, ...], axis: int, new: tuple[int, ...]) -> int | None:
    """The dimension of `new` that is the dimension `axis` of `old`; None when it was cut up."""
    before = math.prod(old[:axis])
    matches = (i for i, d in enumerate(new) if d == old[axis] and math.prod(new[:i]) == before)
    return next(matches, None)
