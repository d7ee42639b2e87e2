"""A model as the C runtime runs it, and its memory in the terms of every runtime's plan."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ir import Graph, Value, node_macs
from edgepack.plan.c_patches import describe, patch
from edgepack.plan.c_plan import CPlan, plan_c
from edgepack.plan.memory import LivePoint, MemoryPlan, Placement


@dataclass(frozen=True, slots=True)
class Prepared:
    """`graph` is what the C writer writes, by `plan`; `note` says what was changed, if anything."""

    graph: Graph
    plan: CPlan
    note: str | None = None


def prepare_c(graph: Graph, optimize: str = "speed") -> Prepared:
    """`graph` planned for `optimize`; for "ram" the first layers run in strips where that helps.

    The graph given is not changed. Deterministic.
    """
    patches = patch(graph) if optimize == "ram" else None
    if patches is None:
        return Prepared(graph, plan_c(graph, optimize))
    note = describe(patches, sum(node_macs(node) for node in graph.nodes))
    return Prepared(patches.graph, patches.plan, note)


def c_memory(prepared: Prepared) -> MemoryPlan:
    """The arena as the C project declares it, to the byte."""
    plan = prepared.plan
    timeline = tuple(
        LivePoint(node.name, nbytes, node.op)
        for node, nbytes in zip(plan.order, plan.live_bytes, strict=True)
    )
    return MemoryPlan(
        runtime="c",
        arena_bytes=plan.arena_bytes,
        setup_bytes=plan.arena_bytes,
        head_bytes=plan.arena_bytes,
        persistent_bytes=0,
        timeline=timeline,
        placements=tuple(_placements(prepared)),
    )


def _placements(prepared: Prepared) -> list[Placement]:
    """Each value from the step it is made in to the last that reads it, then scratch memory."""
    plan, end = prepared.plan, len(prepared.plan.order)
    steps = {node: step for step, node in enumerate(plan.order, start=1)}

    def step_of(value: Value) -> int:
        return 0 if value.producer is None else steps[value.producer]

    found = []
    for value, offset in plan.offsets.items():
        first = step_of(value)
        read = max((steps[user] for user in value.users), default=first)
        last = end if prepared.graph.is_output(value) else read
        found.append(Placement(value.name, offset, value.nbytes, first, last))
    for node, (offset, nbytes) in plan.scratch.items():
        step = steps[node]
        found.append(Placement(f"{node.name} (scratch)", offset, nbytes, step, step))
    return found
