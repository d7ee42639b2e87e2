"""Figures in words: bytes, shares, counts, times; and what a report's keys mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgepack.report.model import Latency, Report

RUNTIMES: Final = {
    "tflite": "LiteRT",
    "tflm": "TFLite Micro",
    "onnx": "ONNX Runtime",
    "c": "C",
    "reference": "the reference kernels",
}
_UNITS: Final = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_HOST: Final = "host"  # how the place of a latency measured on this machine begins


def in_bytes(value: float | None) -> str:
    """`9,999 B`, `53.7 KiB`, `16.0 GiB`; "not known" for None."""
    if value is None:
        return "not known"
    for unit, size in _UNITS:
        if value >= 10 * size or (unit == "GiB" and value >= size):
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} B"


def in_percent(value: float | None) -> str:
    """A share between 0 and 1 as `86.67%`; "not measured" for None."""
    return "not measured" if value is None else f"{value * 100:.2f}%"


def in_full(value: float | None) -> str:
    """`12,501,632`; "not known" for None."""
    return "not known" if value is None else f"{value:,}"


def in_short(value: float | None) -> str:
    """`12.5 M`, `850`; "not known" for None."""
    if value is None:
        return "not known"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def in_decibels(value: float | None) -> str:
    """`26.1 dB`; "not measured" for None."""
    return "not measured" if value is None else f"{value:.1f} dB"


def share_of(part: float | None, whole: float | None) -> float | None:
    """`part` by `whole`; None where one is not known or there is nothing to share."""
    return None if part is None or not whole else part / whole


def in_time(latency: Latency) -> str:
    """`8.03 ms`, `17.5 M instructions`; "not known" without a value."""
    value = latency.value
    if value is None:
        return "not known"
    shown = in_short(value) if latency.kind == "instructions" else f"{value:.3g}"
    if latency.kind != "instructions" and value >= 1000:
        shown = f"{value:,.0f}"
    return f"{shown} {latency.unit}"


def nearest_device(latencies: Sequence[Latency]) -> Latency | None:
    """The latency that says most of the device: measured there, estimated for it, counted, here."""
    known = [entry for entry in latencies if entry.value is not None]
    return min(known, key=_distance, default=None)


def _distance(latency: Latency) -> int:
    if latency.kind == "measured":
        return 3 if on_this_machine(latency) else 0
    return 1 if latency.kind == "estimated" else 2


def on_this_machine(latency: Latency) -> bool:
    """Whether it was measured where edgepack ran, which is not the device."""
    return latency.where.startswith(_HOST)


def base_name(path: str) -> str:
    """The last part of a path or of `package.module:factory`; a temporary name stays as it is."""
    return path.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def short_name(name: str) -> str:
    """The first of the names that some converters join with semicolons, without leading slashes."""
    return name.split(";")[0].strip("/") or name


# -- agreement -------------------------------------------------------------------------------------


def agreement_rows(agreement: Mapping[str, float | None]) -> list[tuple[str, str, str]]:
    """The report's agreement in words: the runtimes compared, what was found, its value."""
    rows = []
    for key, value in agreement.items():
        pair, figure = _split(key)
        names = " vs ".join(RUNTIMES.get(name, name) for name in pair.split("_vs_"))
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


_FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "max_lsb": ("largest difference, in steps", _number),
    "within_1_lsb": ("outputs within one step", in_percent),
    "equal": ("outputs that are equal", in_percent),
    "max_abs": ("largest difference", _number),
    "top1": ("samples with the same class", in_percent),
}


def worst_exported(report: Report) -> float | None:
    """The lowest accuracy of the exported files; None where none was measured."""
    found = [share for share in report.accuracy.exported.values() if share is not None]
    return min(found, default=None)


def worst_sqnr(report: Report) -> float | None:
    """The lowest SQNR in dB of the exported files' outputs; None where none was measured."""
    found = [db for db in report.accuracy.output_sqnr_db.values() if db is not None]
    return min(found, default=None)
