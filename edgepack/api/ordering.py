"""The order of operators in a file, where the runtime keeps to it and memory is scarce."""

from __future__ import annotations

import dataclasses

from edgepack.api.lowered import Lowered, tflite_file
from edgepack.devices import Target
from edgepack.errors import EdgepackError
from edgepack.ir import Graph
from edgepack.plan.device import keeps_file_order, plan_memory
from edgepack.plan.schedule import memory_order


def frugally_ordered(lowered: Lowered, target: Target) -> Lowered:
    """`lowered` with the TFLite graph in an order that takes a smaller arena on `target`.

    Where there is none, `lowered` as it is; so also for runtimes that plan otherwise. A note tells
    what was gained.
    """
    graph = lowered.graph
    if not keeps_file_order(target):
        return lowered
    order = memory_order(graph)
    if order == graph.nodes:
        return lowered
    other = graph.copy()
    position = {node.name: index for index, node in enumerate(order)}
    other.reorder(sorted(other.nodes, key=lambda node: position[node.name]))
    try:
        before, after = _arena(graph, target), _arena(other, target)
    except EdgepackError:  # what cannot be planned is told of where the plan is asked for
        return lowered
    if after >= before:
        return lowered
    note = (
        f"operators are in an order of their own, which takes the arena from {before[1]:,} to "
        f"{after[1]:,} bytes"
    )
    return dataclasses.replace(lowered, graph=other, notes=(*lowered.notes, note))


def _arena(graph: Graph, target: Target) -> tuple[int, int]:
    """What the target needs to set the arena up and to run, in bytes."""
    plan = plan_memory(target, graph, tflite_file(graph))
    return plan.setup_bytes, plan.arena_bytes
