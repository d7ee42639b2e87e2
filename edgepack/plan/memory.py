"""What planning a model's memory finds; all sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LivePoint:
    """Bytes alive in the arena while `node` runs; `op` is its operator, as the planner names it."""

    node: str
    live_bytes: int
    op: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one buffer lies in the arena, and the first and last step that it is needed at."""

    name: str
    offset: int
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The working memory of one model in one runtime.

    `arena_bytes` is what the runtime says it uses, `head_bytes` (activations and scratch) and
    `persistent_bytes` (the runtime's own records) together. `setup_bytes` is the smallest arena in
    which the runtime can also set itself up, so what the firmware must reserve. `unmodelled` names
    the operators whose own needs are not known: the plan then is a lower estimate.
    """

    runtime: str
    arena_bytes: int
    setup_bytes: int
    head_bytes: int
    persistent_bytes: int
    timeline: tuple[LivePoint, ...]
    placements: tuple[Placement, ...]
    unmodelled: tuple[str, ...] = ()

    @property
    def peak_node(self) -> str | None:
        """The node during which most bytes are alive; None for a model without nodes."""
        peak = max(self.timeline, key=lambda point: point.live_bytes, default=None)
        return peak.node if peak else None
