"""What is done to a float graph before its quantization is planned, and its statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgepack.calibrate.collect import collect
from edgepack.ir import Array, DType, Graph
from edgepack.quantize.options import Precision
from edgepack.quantize.plan import HasKernel
from edgepack.quantize.recurrent import soften_resets
from edgepack.quantize.smooth import smooth, smoothed_values
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.tails import TakesFloat, find_tails, level, levelled_values

Inputs = Iterable[Sequence[Array]]
_BYTE: Final = Precision()
REMEDY: Final = "give --io float, or let the model have them as outputs of their own"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Statistics of the graph as it is now, and what was done to it.

    `layers` are the nodes to keep in float, by name; `notes` and `warnings` are for the report.
    """

    seen: StatisticsTable
    layers: Mapping[str, Precision | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def needs_inputs(graph: Graph) -> bool:
    """Whether there is something to prepare that only a run of the model shows the sizes of."""
    return bool(smoothed_values(graph)) or bool(graph.nodes_of("Lstm"))


def prepare(
    graph: Graph,
    first: Inputs,
    again: Inputs,
    *,
    takes_float: TakesFloat = lambda node: False,
    has_kernel: HasKernel = lambda node, precision: True,
    precision: Precision = _BYTE,
    threads: int = 2,
) -> Prepared:
    """Collect statistics of `graph`, float and legalized; rewrite it in place where that helps.

    LSTMs that have an integer kernel get an emptying step that 8 bits hold (`quantize.recurrent`).
    Channels are evened out (`quantize.smooth`), outputs of very different parts get tails in float
    (`quantize.tails`) of nodes for which `takes_float` holds. Both arguments are the calibration
    inputs; `again` is read only when something was changed.
    """
    channels = smoothed_values(graph) | levelled_values(graph)
    seen = collect(graph, first, threads=threads, channels=channels)
    changed = smooth(graph, seen)
    size = len(graph)
    tails = keep_tails(graph, seen, takes_float, precision.activations)
    kernel = Precision(precision.activations)
    emptied = soften_resets(graph, seen, lambda node: has_kernel(node, kernel))
    if not changed and not emptied and len(graph) == size:
        return tails
    table = collect(graph, again, threads=threads)
    return dataclasses.replace(tails, seen=table, notes=(*smoothing_notes(changed), *tails.notes))


def keep_tails(
    graph: Graph,
    seen: StatisticsTable,
    takes_float: TakesFloat,
    activations: DType = DType.INT8,
) -> Prepared:
    """Decide on tails in float, levelling layers in place; `takes_float` says where they may be.

    Statistics of levelled layers, which need those of channels, are out of date afterwards.
    """
    layers: dict[str, Precision | None] = {}
    notes, warnings = [], []
    for tail in find_tails(graph, seen, activations):
        if not all(map(takes_float, tail.nodes)) or (tail.layer and not takes_float(tail.layer)):
            warnings.append(
                f"output {tail.output} holds values of very different sizes, of which the small "
                f"ones get few of its steps ({tail.parts}); {REMEDY}"
            )
            continue
        kept = tail.nodes if tail.layer is None else (level(graph, tail, seen), *tail.nodes)
        layers.update(dict.fromkeys(node.name for node in kept))
        notes.append(
            f"output {tail.output} ends in float, for it holds values of very different sizes "
            f"({tail.parts})"
        )
    return Prepared(seen, layers, tuple(notes), tuple(warnings))


def smoothing_notes(changed: Sequence[str]) -> tuple[str, ...]:
    """What the report says about the values whose channels were evened out."""
    if not changed:
        return ()
    names = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
    return (
        f"channels of very different sizes were evened out by scaling the weights before and "
        f"behind {len(changed)} values: {names}",
    )
