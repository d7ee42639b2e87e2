"""report.html: one self-contained page from the report's record."""

from __future__ import annotations

import base64
import functools
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgepack.report.charts.layered import drawing_of
from edgepack.report.charts.spread import spreads_of
from edgepack.report.charts.timeline import timeline_of
from edgepack.report.charts.treemap import treemap_of
from edgepack.report.figures import (
    RUNTIMES,
    agreement_rows,
    base_name,
    in_bytes,
    in_decibels,
    in_full,
    in_percent,
    in_time,
    short_name,
)
from edgepack.report.model import Latency, Report
from edgepack.report.verdicts import headline, verdicts

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: Final = Path(__file__).with_name("templates")
_WORST: Final = 10
_MARKED: Final = 3
_LISTED: Final = 15  # operators by work
_TOP_DB: Final = 60  # of the chart; more is no worse
_TAIL: Final = 26


def render_page(report: Report) -> str:
    """The page's HTML: nothing is fetched, every figure is as in report.json."""
    return render("page.html.jinja", version=report.edgepack, **_content(report))


def render(template: str, **content: Any) -> str:
    """One of our templates, with the style and the script that all have."""
    script = (_TEMPLATES / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    parts = {"script": _safe(script), "style": _safe(style), "script_hash": digest}
    return _environment().get_template(template).render(**parts, **content)


def _safe(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # files of ours


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        loader=FileSystemLoader(_TEMPLATES),
    )
    environment.filters.update(
        bytes=in_bytes, percent=in_percent, count=in_full, decibels=in_decibels,
        short=short_name, tail=tail, time=in_time, zip=_zip,
    )  # fmt: skip
    return environment


def _zip(one: Sequence[Any], two: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(one, two, strict=True)


def tail(name: str, width: int = _TAIL) -> str:
    """The telling end of a long name."""
    return name if len(name) <= width else f"…{name[-width:]}"


def scheme_in_words(report: Report) -> str:
    """How the model was quantized, and where ranges are from."""
    quantization = report.quantization
    if quantization.scheme == "none":
        return "float32"
    scheme = {"source": "quantized as in the source"}.get(quantization.scheme, quantization.scheme)
    if quantization.data in ("none", "source"):
        return scheme
    count = quantization.calibration_samples
    samples = f" ({count} samples)" if count else ""
    if quantization.data == "data-free":
        return f"{scheme}, ranges without data"
    return f"{scheme}, ranges from {quantization.data}{samples}"


def _content(report: Report) -> dict[str, Any]:
    data: dict[str, Any] = report.to_dict()
    noisy = [(i, la) for i, la in enumerate(data["layers"]) if la["sqnr_db"] is not None]
    worst = sorted((layer for _, layer in noisy), key=lambda layer: layer["sqnr_db"])
    work = _work(report)
    top = max((layer["sqnr_db"] for layer in worst), default=0)
    content: dict[str, Any] = {
        "r": data,
        "name": base_name(report.source.path),
        "ok": report.ok,
        "headline": headline(report),
        "scheme": scheme_in_words(report),
        "verdicts": verdicts(report),
        "files": _files(report),
        "latencies": report.latencies,
        "agreement": agreement_rows(report.agreement),
        "timeline": timeline_of(report.memory),
        "tiles": treemap_of(report.layers),
        "weight_bytes": sum(layer.weight_bytes for layer in report.layers),
        "noisy": noisy,
        "noise_top": min(_TOP_DB, 10 * (int(top // 10) + 1)),
        "worst": worst[:_WORST],
        "worst_names": {layer["node"] for layer in worst[:_MARKED]},
        "has_alone": any(layer["alone_db"] is not None for layer in worst[:_WORST]),
        "remedies": _remedies(worst),
        "command": in_lines(report.command or ""),
        "spreads": spreads_of(report.layers),
        "work": work[:_LISTED],
        "smaller": work[_LISTED:],
        "instructions": _instructions(report),
        "drawing": drawing_of(report.layers),
        "steps": [(stage["technique"], stage["after"]) for stage in data["compression"]],
    }
    return {**content, "sections": list(_sections(content))}


def _sections(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Ids and titles of the sections that there are."""
    report = content["r"]
    known = (
        ("unsupported", "Unsupported operators", report["unsupported"]),
        ("memory", "Memory", content["timeline"]),
        ("size", "Size by layer", content["tiles"]),
        ("files", "Files", content["files"]),
        ("accuracy", "Accuracy by layer", content["noisy"]),
        ("time", "Instructions" if report["emulator"] else "Work", content["work"]),
        ("graph", "Graph", content["drawing"]),
        ("compression", "Compression", report["compression"]),
        ("layers", "All layers", report["layers"]),
        ("reproduce", "To reproduce", True),
    )
    yield from ((name, title) for name, title, there in known if there)


def _files(report: Report) -> list[dict[str, Any]]:
    """A row for each file in each runtime that it was run in, and for those that were not run."""
    accuracy = report.accuracy
    keys = dict.fromkeys(accuracy.exported)
    keys.update(dict.fromkeys(key for key, info in report.files.items() if info))
    rows = []
    for key in keys:
        file = "tflite" if key == "tflm" else key
        info = report.files.get(file)
        run = key in accuracy.exported
        timed = next((e for e in report.latencies if _is_here(e, key)), None)
        rows.append(
            {
                "key": key,
                "file": file if info else None,
                "path": info.path if info else key,
                "bytes": info.bytes if info else None,
                "runtime": RUNTIMES.get(key, key) if run else "not run here",
                "accuracy": accuracy.exported.get(key),
                "sqnr_db": accuracy.output_sqnr_db.get(key),
                "time": None if timed is None else in_time(timed),
            }
        )
    return rows


def _is_here(latency: Latency, key: str) -> bool:
    """Whether a latency is that of a file on this machine."""
    return latency.where == f"host, {RUNTIMES.get(key, key)}"


def _remedies(worst: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """What would help, with the layers that it would help."""
    found: dict[str, list[str]] = {}
    for layer in worst:
        if layer["remedy"] not in (None, "none needed"):
            found.setdefault(layer["remedy"], []).append(short_name(layer["node"]))
    return found


def in_lines(command: str) -> str:
    """A shell's line as several, one for each option."""
    lines: list[list[str]] = [[]]
    for word in shlex.split(command):
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return " \\\n    ".join(shlex.join(line) for line in lines)


def _instructions(report: Report) -> dict[str, int | None]:
    """What was counted on an emulated device, by layer."""
    nodes = report.emulator["nodes"] if report.emulator else ()
    counted = {node["node"]: node["instructions"] for node in nodes}
    return {layer.node: counted.get(layer.node) for layer in report.layers}


def _work(report: Report) -> list[dict[str, Any]]:
    """Instructions by node where they were counted, else MACs by layer; the most first."""
    index = {layer.node: i for i, layer in enumerate(report.layers)}
    if report.emulator:
        found = [(n["node"], n["op"], n["instructions"]) for n in report.emulator["nodes"]]
    else:
        found = [(layer.node, layer.op, layer.macs) for layer in report.layers]
    total, most = sum(v for *_, v in found), max((v for *_, v in found), default=0)
    return [
        {
            "index": index.get(node, ""),
            "node": node,
            "op": op,
            "value": value,
            "share": value / total,
            "length": value / most,
        }
        for node, op, value in sorted(found, key=lambda row: -row[2])
        if value
    ]
