"""Whether a plan of the C runtime is right, found out without looking at how it was made."""

from __future__ import annotations

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir import Graph, Node, Value
from edgepack.ir.dtypes import Array
from edgepack.plan.c_loops import ALIGNMENT, LOOPS, alignment_of
from edgepack.plan.c_overlap import overlap, runs_of_concat, scratch_bytes, view
from edgepack.plan.c_plan import CPlan

_NOBODY = -1


def verify_plan(graph: Graph, plan: CPlan, optimize: str = "speed") -> None:
    """Raise InternalError unless every node finds its inputs whole, by the rules of overlap.

    Each byte of the arena gets a mark of whose byte it holds, and the nodes run in order: a node's
    inputs must bear their marks, outputs may lie over inputs as the rules allow and over nothing
    else that the node touches, then they leave their own marks. What a view shows keeps the marks
    of what it shows. In the end the outputs of the graph must bear theirs.
    """
    if sorted(map(id, plan.order)) != sorted(map(id, graph.nodes)):
        raise InternalError("the plan does not run every node once")
    arena = _Arena(plan)
    for value in graph.inputs:
        arena.write(value, arena.fresh_marks(value))
    for node in plan.order:
        if plan.is_free(node):
            for output in node.outputs:
                arena.marks[output] = _marks_of_output(node, output, arena)
            continue  # whether they are still needed, and there, their readers tell
        for value in _arena_inputs(node):
            arena.expect(value, node.name)
        _check_neighbours(node, plan, optimize)
        if node in plan.scratch:
            offset, nbytes = plan.scratch[node]
            arena.clear(offset, nbytes)
        for output in node.outputs:
            arena.write(output, _marks_of_output(node, output, arena))
        for output in node.outputs:
            arena.expect(output, node.name)
    for value in graph.outputs:
        if not value.is_const:
            arena.expect(value, "the end")


class _Arena:
    """The marks of the arena's bytes, and those that each value's bytes should bear."""

    def __init__(self, plan: CPlan) -> None:
        self.plan = plan
        self.bytes = np.full(plan.arena_bytes, _NOBODY, dtype=np.int64)
        self.marks: dict[Value, Array] = {}
        self.next_mark = 0

    def fresh_marks(self, value: Value) -> Array:
        first = self.next_mark
        self.next_mark += value.nbytes
        return np.arange(first, self.next_mark)

    def write(self, value: Value, marks: Array) -> None:
        self.marks[value] = marks
        self._part(self.plan.offsets[value], value.nbytes, value.name)[:] = marks
        if self.plan.offsets[value] % alignment_of(value):
            raise InternalError(f"{value.name} at {self.plan.offsets[value]} is not aligned")

    def clear(self, offset: int, nbytes: int) -> None:
        self._part(offset, nbytes, "scratch")[:] = _NOBODY
        if offset % ALIGNMENT:
            raise InternalError("scratch is not aligned")

    def expect(self, value: Value, where: str) -> None:
        part = self._part(self.plan.offsets[value], value.nbytes, value.name)
        if not np.array_equal(part, self.marks[value]):
            raise InternalError(f"{value.name} is damaged before {where} reads it")

    def _part(self, offset: int, nbytes: int, name: str) -> Array:
        if offset < 0 or offset + nbytes > self.plan.arena_bytes:
            raise InternalError(f"{name} at {offset} leaves the arena")
        return self.bytes[offset : offset + nbytes]


def _arena_inputs(node: Node) -> list[Value]:
    return [v for v in dict.fromkeys(node.present_inputs) if not v.is_const]


def _marks_of_output(node: Node, output: Value, arena: _Arena) -> Array:
    """Fresh ones, or for bytes that are an input's unchanged, those of the input."""
    if runs_of_concat(node) and not any(v.is_const for v in node.present_inputs):
        return np.concatenate([arena.marks[v] for v in node.present_inputs])
    shown = view(node, output)
    if shown is None or shown[0].is_const:
        return arena.fresh_marks(output)
    source, start = shown
    return arena.marks[source][start : start + output.nbytes]


def _check_neighbours(node: Node, plan: CPlan, optimize: str) -> None:
    """Inputs, outputs and scratch of one node: apart, or as the rules allow."""
    loops, offsets = LOOPS[optimize], plan.offsets
    needed = scratch_bytes(node, loops)
    scratch, given = plan.scratch.get(node, (0, 0))
    if given < needed:
        raise InternalError(f"{node.name} needs {needed} bytes of scratch and has {given}")
    touched = [(v.name, offsets[v], v.nbytes) for v in (*_arena_inputs(node), *node.outputs)]
    for name, offset, nbytes in touched:
        if _meet(offset, nbytes, scratch, given):
            raise InternalError(f"{name} overlaps the scratch memory of {node.name}")
    for output in node.outputs:
        for value in _arena_inputs(node):
            if _meet(offsets[value], value.nbytes, offsets[output], output.nbytes):
                _check_overlap(node, value, output, plan, optimize)


def _check_overlap(node: Node, value: Value, output: Value, plan: CPlan, optimize: str) -> None:
    distance = plan.offsets[value] - plan.offsets[output]
    rule = overlap(node, value, output, LOOPS[optimize])
    if rule is None or not rule.allows(distance):
        raise InternalError(f"{node.name} may not write {output.name} over {value.name}")


def _meet(start: int, nbytes: int, other: int, other_bytes: int) -> bool:
    return start < other + other_bytes and other < start + nbytes
