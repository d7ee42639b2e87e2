"""Arena plans from the graph alone: exact for C, an estimate for LiteRT and ONNX Runtime.

The two interpreters place activations much as `allocate_greedy` does, 64-byte aligned, but also
take memory for packed weights and im2col buffers that they do not report: the estimate is that of
the activations.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Graph, Node
from edgepack.plan.arena import (
    Buffer,
    aligned,
    allocate_best,
    allocate_greedy,
    live_bytes,
    verify_allocation,
)
from edgepack.plan.liveness import Lifetimes, lifetimes
from edgepack.plan.memory import LivePoint, MemoryPlan, Placement

C_ALIGNMENT = 16
INTERPRETER_ALIGNMENT = 64  # kDefaultTensorAlignment in LiteRT, kAllocAlignment in ONNX Runtime


def plan_c(
    graph: Graph, order: Sequence[Node] | None = None, *, scratch: Sequence[int] = ()
) -> MemoryPlan:
    """The static arena of the C export: every value's offset, operators in place where possible.

    `scratch` holds the bytes that each node needs while it runs, in order; empty for none.
    """
    nodes = list(graph.nodes if order is None else order)
    times = lifetimes(graph, nodes, share=True)
    working = [
        Buffer(f"{node.name} (scratch)", nbytes, step, step)
        for step, (node, nbytes) in enumerate(zip(nodes, scratch, strict=False), start=1)
        if nbytes
    ]
    buffers = [*times.buffers, *working]
    allocation = allocate_best(buffers, C_ALIGNMENT)
    verify_allocation(buffers, allocation, C_ALIGNMENT)
    offsets = allocation.offsets
    named = _value_placements(graph, nodes, times, offsets)
    scratch_at = (
        Placement(b.name, offsets[len(times.buffers) + i], b.nbytes, b.first, b.last)
        for i, b in enumerate(working)
    )
    return _plan("c", nodes, buffers, allocation.arena_bytes, (*named, *scratch_at), C_ALIGNMENT)


def plan_interpreter(graph: Graph, runtime: str) -> MemoryPlan:
    """The activations of `litert` or `onnxruntime`, as an estimate."""
    times = lifetimes(graph)
    allocation = allocate_greedy(times.buffers, INTERPRETER_ALIGNMENT)
    placements = tuple(
        Placement(b.name, offset, b.nbytes, b.first, b.last)
        for b, offset in zip(times.buffers, allocation.offsets, strict=True)
    )
    return _plan(
        runtime, graph.nodes, times.buffers, allocation.arena_bytes, placements,
        INTERPRETER_ALIGNMENT,
    )  # fmt: skip


def _value_placements(
    graph: Graph, nodes: Sequence[Node], times: Lifetimes, offsets: Sequence[int]
) -> list[Placement]:
    """One entry for each value by its own name; values that share a buffer share its offset."""
    values = [*graph.inputs, *(v for node in nodes for v in node.outputs)]
    found = []
    for value in values:
        index = times.buffer_of[value.name]
        buffer = times.buffers[index]
        found.append(Placement(value.name, offsets[index], value.nbytes, buffer.first, buffer.last))
    return found


def _plan(
    runtime: str,
    nodes: Sequence[Node],
    buffers: Sequence[Buffer],
    arena_bytes: int,
    placements: tuple[Placement, ...],
    alignment: int,
) -> MemoryPlan:
    live = live_bytes(aligned(buffers, alignment), len(nodes) + 1)
    timeline = tuple(LivePoint(n.name, b, n.op) for n, b in zip(nodes, live[1:], strict=True))
    return MemoryPlan(
        runtime=runtime,
        arena_bytes=arena_bytes,
        setup_bytes=arena_bytes,
        head_bytes=arena_bytes,
        persistent_bytes=0,
        timeline=timeline,
        placements=placements,
    )
