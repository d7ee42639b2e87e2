"""What is done to a float graph before its quantization is planned, and its statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgepack.calibrate.collect import collect
from edgepack.ir import Array, Graph
from edgepack.quantize.smooth import smooth, smoothed_values
from edgepack.quantize.statistics import StatisticsTable

Inputs = Iterable[Sequence[Array]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Statistics of the graph as it is now, and what was done to it, for the report."""

    seen: StatisticsTable
    notes: tuple[str, ...] = ()


def prepare(graph: Graph, first: Inputs, again: Inputs, *, threads: int = 2) -> Prepared:
    """Collect statistics of `graph`, float and legalized, and even out its channels in place.

    Both arguments are the calibration inputs; `again` is read only when something was changed.
    """
    channels = smoothed_values(graph)
    seen = collect(graph, first, threads=threads, channels=channels)
    changed = smooth(graph, seen)
    if not changed:
        return Prepared(seen)
    return Prepared(collect(graph, again, threads=threads), (smoothing_note(changed),))


def smoothing_note(changed: Sequence[str]) -> str:
    """What the report says about the values whose channels were evened out."""
    names = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
    return (
        f"{len(changed)} values have channels of very different sizes, which were evened out by "
        f"scaling the weights before and behind them: {names}"
    )
