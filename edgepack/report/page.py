"""report.html: one self-contained page from the report's record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.report.model import Report

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


def render_page(report: Report) -> str:
    """The page's HTML: no scripts, no network, every figure as in report.json."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(bytes=_bytes, percent=_percent, count=_count)
    data: dict[str, Any] = report.to_dict()
    worst = sorted(
        (layer for layer in data["layers"] if layer["sqnr_db"] is not None),
        key=lambda layer: layer["sqnr_db"],
    )
    peak = max((point["live_bytes"] for point in data["memory"]["timeline"]), default=0)
    template = environment.from_string(_TEMPLATE.read_text())
    return template.render(r=data, ok=report.ok, worst=worst[:10], peak=peak)


def _bytes(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,.0f} B" if value < 10_000 else f"{value / 1024:,.1f} KiB"


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{value * 100:.2f}%"


def _count(value: float | None) -> str:
    return "not known" if value is None else f"{value:,}"
