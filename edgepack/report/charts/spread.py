"""Float and quantized histograms of one layer as outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.report.model import LayerInfo


@dataclass(frozen=True, slots=True)
class Spread:
    """Two outlines in a box of 100 by 100; heights are square roots of counts, so tails show."""

    index: int
    node: str
    op: str
    sqnr_db: float | None
    saturation: float | None
    low: float
    high: float
    float_area: str
    quantized_line: str


def spreads_of(layers: Sequence[LayerInfo]) -> tuple[Spread, ...]:
    """One for each layer that has a histogram, the lowest SQNR first."""
    found = []
    for index, layer in enumerate(layers):
        counts = layer.histogram
        if counts is None:
            continue
        top = math.sqrt(max([*counts.float_, *counts.quantized, 1]))
        found.append(
            Spread(
                index,
                layer.node,
                layer.op,
                layer.sqnr_db,
                layer.saturation,
                counts.low,
                counts.high,
                f"M0 100{_outline(counts.float_, top)}V100Z",
                _line(counts.quantized, top),
            )  # fmt: skip
        )
    return tuple(sorted(found, key=lambda s: math.inf if s.sqnr_db is None else s.sqnr_db))


def _outline(counts: Sequence[int], top: float) -> str:
    wide = 100 / len(counts)
    steps = (
        f"V{100 - 96 * math.sqrt(count) / top:.1f}H{(i + 1) * wide:.2f}"
        for i, count in enumerate(counts)
    )
    return "".join(steps)


def _line(counts: Sequence[int], top: float) -> str:
    return f"M0 100{_outline(counts, top)}V100"
