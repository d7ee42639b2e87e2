"""RAM through one inference: a step for each operator, and the lines that it must stay below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgepack.report.figures import in_bytes

_HEADROOM: Final = 1.12
_NEAR: Final = 2.5  # times what is used: a budget within that is drawn to scale
_TICKS: Final = 4
_NICE: Final = (1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 50, 64, 80, 100, 128, 200, 256, 400, 500, 512)


@dataclass(frozen=True, slots=True)
class Step:
    """One operator: its place in the order and its live bytes, `height` in percent of the chart."""

    index: int
    node: str
    op: str
    live_bytes: int
    height: float
    is_peak: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A level with its name, `height` in percent of the chart."""

    label: str
    bytes: float
    height: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """`budget` is None where none is known; `budget_to_scale` says whether its height is true."""

    steps: tuple[Step, ...]
    ticks: tuple[Line, ...]
    arena: Line | None
    budget: Line | None
    budget_to_scale: bool
    peak: Step


def timeline_of(memory: Mapping[str, Any], top_bytes: float | None = None) -> Timeline | None:
    """The chart of `memory` in report.json; `top_bytes` is the scale's end, for charts to compare.

    None where no plan was made.
    """
    points: Sequence[Mapping[str, Any]] = memory["timeline"]
    if not points:
        return None
    live = [point["live_bytes"] for point in points]
    arena, budget = memory["arena_bytes"], memory["sram_budget_bytes"]
    used = max([*live, arena or 0, 1])
    to_scale = bool(budget) and budget <= _NEAR * used
    top = top_bytes or _HEADROOM * max(used, budget if to_scale else 0)
    to_scale = bool(budget) and budget <= top
    steps = tuple(
        Step(i, p["node"], p.get("op", ""), p["live_bytes"], 100 * p["live_bytes"] / top, False)
        for i, p in enumerate(points)
    )
    at = live.index(max(live))
    peak = Step(at, steps[at].node, steps[at].op, live[at], steps[at].height, True)
    return Timeline(
        steps=(*steps[:at], peak, *steps[at + 1 :]),
        ticks=_ticks(top),
        arena=_line("arena", arena, top),
        budget=_line("budget", budget, top if to_scale else budget or 1),
        budget_to_scale=to_scale,
        peak=peak,
    )


def scale_of(memories: Sequence[Mapping[str, Any]]) -> float:
    """One scale for the charts of several exports: what is used most."""
    used: list[float] = [p["live_bytes"] for memory in memories for p in memory["timeline"]]
    return _HEADROOM * max([*used, *(memory["arena_bytes"] or 0 for memory in memories), 1])


def _line(label: str, nbytes: float | None, top: float) -> Line | None:
    return None if not nbytes else Line(label, nbytes, 100 * nbytes / top)


def _ticks(top: float) -> tuple[Line, ...]:
    """Round numbers of bytes, KiB or MiB, about four of them."""
    unit = next((u for u in (1 << 30, 1 << 20, 1 << 10) if top >= 4 * u), 1)
    step = unit * next((n for n in _NICE if n * unit * _TICKS >= top), _NICE[-1])
    return tuple(
        Line(in_bytes(n * step) if unit == 1 else _round(n * step, unit), n * step, height)
        for n in range(1, int(top // step) + 1)
        if (height := 100 * n * step / top) < 97
    )


def _round(nbytes: float, unit: int) -> str:
    name = {1 << 30: "GiB", 1 << 20: "MiB", 1 << 10: "KiB"}[unit]
    return f"{nbytes / unit:,.0f} {name}"
