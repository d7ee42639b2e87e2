"""report.html: one self-contained page from the report's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgepack.report.model import Report

_RUNTIMES = {"tflite": "LiteRT", "tflm": "TensorFlow Lite Micro", "onnx": "ONNX Runtime"}
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
    return template.render(
        r=data,
        ok=report.ok,
        worst=worst[:10],
        peak=peak,
        agreement=agreement_rows(report.agreement),
        steps=[(stage["technique"], stage["after"]) for stage in data["compression"]],
    )


def agreement_rows(agreement: Mapping[str, float | None]) -> list[tuple[str, str, str]]:
    """The report's agreement in words: the runtimes compared, what was found, its value."""
    rows = []
    for key, value in agreement.items():
        pair, figure = _split(key)
        names = " vs ".join(_RUNTIMES.get(name, name) for name in pair.split("_vs_"))
        words, show = _FIGURES.get(figure, (figure, str))
        rows.append((names, words, "not measured" if value is None else show(value)))
    return rows


def _split(key: str) -> tuple[str, str]:
    """`tflite_vs_onnx_max_lsb` as `tflite_vs_onnx` and `max_lsb`."""
    for figure in _FIGURES:
        if key.endswith(f"_{figure}"):
            return key.removesuffix(f"_{figure}"), figure
    return key, ""


def _number(value: float) -> str:
    return f"{value:.3g}"


def _bytes(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,.0f} B" if value < 10_000 else f"{value / 1024:,.1f} KiB"


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{value * 100:.2f}%"


def _count(value: float | None) -> str:
    return "not known" if value is None else f"{value:,}"


_FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "max_lsb": ("largest difference, in steps", _number),
    "within_1_lsb": ("outputs within one step", _percent),
    "equal": ("outputs that are equal", _percent),
    "max_abs": ("largest difference", _number),
    "top1": ("samples with the same class", _percent),
}
