"""Arena plans from the graph alone: an estimate for LiteRT and ONNX Runtime.

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
    allocate_greedy,
    live_bytes,
)
from edgepack.plan.liveness import lifetimes
from edgepack.plan.memory import LivePoint, MemoryPlan, Placement

INTERPRETER_ALIGNMENT = 64  # kDefaultTensorAlignment in LiteRT, kAllocAlignment in ONNX Runtime


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
