"""Several exports side by side: their figures row by row, and the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgepack.report.charts.timeline import scale_of, timeline_of
from edgepack.report.charts.treemap import treemap_of
from edgepack.report.figures import (
    RUNTIMES,
    base_name,
    in_bytes,
    in_decibels,
    in_full,
    in_percent,
    in_short,
    short_name,
    worst_sqnr,
)
from edgepack.report.model import LayerInfo, Report
from edgepack.report.notebook import html_table
from edgepack.report.page import in_lines, render, scheme_in_words
from edgepack.report.verdicts import verdicts

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Export:
    """A report and what tells it from the others: the end of its folder's path."""

    label: str
    folder: Path
    report: Report


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of every export; `values` are those of report.json, None where not known.

    `best` has the columns that are best, none where all are equal or no direction is better.
    """

    name: str
    values: tuple[float | None, ...]
    shown: tuple[str, ...]
    better: Better | None = None

    @property
    def best(self) -> frozenset[int]:
        """Columns of the best value."""
        known = {value for value in self.values if value is not None}
        if self.better is None or len(known) < 2:
            return frozenset()
        best = min(known) if self.better == "lower" else max(known)
        return frozenset(i for i, value in enumerate(self.values) if value == best)

    def change(self, column: int) -> str:
        """By how much a column differs from the first, such as `-12.5%`; empty where it does not.

        Shares and decibels differ in points and dB.
        """
        first, value = self.values[0], self.values[column]
        if column == 0 or first is None or value is None or value == first:
            return ""
        if self.shown[column].endswith("%"):
            return f"{100 * (value - first):+.2f} points"
        if self.shown[column].endswith("dB"):
            return f"{value - first:+.1f} dB"
        return f"{100 * (value - first) / first:+.1f}%" if first else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Exports side by side."""

    exports: tuple[Export, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The figures that at least one export has, those of most weight first."""
        return rows_of(self.exports)

    def to_dict(self) -> dict[str, Any]:
        """Each export's folder and whole report, and the rows, as plain data."""
        return {
            "exports": [
                {"label": e.label, "folder": str(e.folder), "report": e.report.to_dict()}
                for e in self.exports
            ],
            "rows": [{"name": row.name, "values": list(row.values)} for row in self.rows],
        }

    def _repr_html_(self) -> str:
        """The rows as a table, for notebooks."""
        heads = ["", *(export.label for export in self.exports)]
        verdict = {True: "yes", False: "no", None: "not known"}
        fits = ["fits", *(verdict[export.report.fits] for export in self.exports)]
        return html_table(heads, [fits, *([row.name, *row.shown] for row in self.rows)])


def exports_of(reports: Sequence[tuple[Path, Report]]) -> tuple[Export, ...]:
    """The exports, labelled with as much of their paths' ends as tells them apart."""
    paths = [folder.resolve().parts for folder, _ in reports]
    size = 1
    while size < max(map(len, paths)) and len({p[-size:] for p in paths}) < len(set(paths)):
        size += 1
    return tuple(
        Export("/".join(parts[-size:]), folder, report)
        for parts, (folder, report) in zip(paths, reports, strict=True)
    )


def rows_of(exports: Sequence[Export]) -> tuple[Row, ...]:
    """The figures that at least one export has, those of most weight first."""
    reports = [export.report for export in exports]
    return tuple(row for row in _rows(reports) if any(v is not None for v in row.values))


def _rows(reports: Sequence[Report]) -> Iterator[Row]:
    def row(
        name: str,
        get: Callable[[Report], float | None],
        show: Callable[[float | None], str],
        better: Better | None = None,
    ) -> Row:
        values = tuple(map(get, reports))
        return Row(name, values, tuple("–" if v is None else show(v) for v in values), better)

    yield row("arena", lambda r: r.memory["arena_bytes"], in_bytes, "lower")
    yield row("RAM budget", lambda r: r.memory["sram_budget_bytes"], in_bytes)
    yield row("flash", lambda r: r.memory["flash_bytes"], in_bytes, "lower")
    yield row("flash budget", lambda r: r.memory["flash_budget_bytes"], in_bytes)
    yield row("float accuracy", lambda r: r.accuracy.float_, in_percent)
    for key in _keys(report.accuracy.exported for report in reports):
        yield row(
            f"accuracy, {RUNTIMES.get(key, key)}",
            lambda r, key=key: r.accuracy.exported.get(key),  # type: ignore[misc]
            in_percent,
            "higher",
        )
    yield row("output SQNR", worst_sqnr, in_decibels, "higher")
    for where, unit in _keys(((e.where, e.unit) for e in r.latencies) for r in reports):
        yield row(
            where,
            lambda r, at=(where, unit): _latency(r, *at),  # type: ignore[misc]
            lambda value, unit=unit: f"{in_short(value)} {unit}",  # type: ignore[misc]
            "lower",
        )
    yield row("MACs", lambda r: r.compute.macs, in_full, "lower")
    yield row("parameters", lambda r: r.compute.params, in_full, "lower")
    for key in _keys(report.files for report in reports):
        yield row(
            _file_name(reports, key),
            lambda r, key=key: _file_bytes(r, key),  # type: ignore[misc]
            in_bytes,
            "lower",
        )


def _keys(found: Any) -> list[Any]:
    """All keys of all, in the order in which they are met."""
    return list(dict.fromkeys(key for keys in found for key in keys))


def _latency(report: Report, where: str, unit: str) -> float | None:
    found = (e.value for e in report.latencies if (e.where, e.unit) == (where, unit))
    return next(found, None)


def _file_bytes(report: Report, key: str) -> int | None:
    info = report.files.get(key)
    return None if info is None else info.bytes


def _file_name(reports: Sequence[Report], key: str) -> str:
    return next((info.path for r in reports if (info := r.files.get(key)) is not None), key)


def render_comparison(exports: Sequence[Export], page: Path) -> str:
    """The page's HTML; `page` is where it will be, for links to the exports' own pages."""
    scale = scale_of([export.report.memory for export in exports])
    columns = [
        {
            "index": i,
            "label": e.label,
            "name": base_name(e.report.source.path),
            "target": e.report.target,
            "scheme": scheme_in_words(e.report),
            "verdicts": verdicts(e.report),
            "timeline": timeline_of(e.report.memory, scale),
            "tiles": treemap_of(e.report.layers),
            "link": _link(e.folder / "report.html", page),
            "command": in_lines(e.report.command or ""),
            "ok": e.report.ok,
        }
        for i, e in enumerate(exports)
    ]
    return render(
        "comparison.html.jinja",
        version=exports[0].report.edgepack,
        columns=columns,
        rows=rows_of(exports),
        layers=_layers(exports),
    )


def _link(target: Path, page: Path) -> str | None:
    """A relative link, None where there is no such file or no relative way to it."""
    if not target.is_file():
        return None
    try:
        relative = os.path.relpath(target.resolve(), page.resolve().parent)
    except ValueError:  # another drive
        return None
    return Path(relative).as_posix()


def _layers(exports: Sequence[Export]) -> list[tuple[str, list[LayerInfo | None]]]:
    """Layers that have the same name in several exports, in the first's order, then the others."""
    by_name = [{layer.node: layer for layer in e.report.layers} for e in exports]
    return [(short_name(name), [found.get(name) for found in by_name]) for name in _keys(by_name)]
