"""Tables for people on stdout, progress on stderr, both through rich."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from edgepack.api.inspection import Inspection
from edgepack.api.sensitivity import LayerSensitivity
from edgepack.devices import Target
from edgepack.progress import shown_by
from edgepack.report import Compression, LayerInfo, Report
from edgepack.report.comparison import Comparison
from edgepack.report.figures import RUNTIMES

_NAME_WIDTH = 40


def report_table(report: Report, folder: Path | None) -> None:
    """The verdict and its figures."""
    console = _console()
    console.print(_summary(report))
    rows = _file_rows(report)
    if rows:
        console.print(_file_table(rows))
    if report.compression:
        _compression(console, report.compression)
    if report.emulator is not None:
        _emulated(console, report.emulator)
    for finding in report.unsupported:
        console.print(f"unsupported: {finding}", soft_wrap=True)
    for requirement in report.requirements:
        if not requirement.met:
            console.print(f"not met: {requirement.name}: {requirement.found}", soft_wrap=True)
    for warning in report.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if folder is not None:
        console.print(f"written to {folder}", soft_wrap=True)


def _compression(console: Console, stages: Sequence[Compression]) -> None:
    """A row for each step, after the model as it was before them."""
    heads = ("compression", "parameters", "MACs", "file", "arena", "SQNR", "top-1")
    table = _table(*heads)
    rows = [(f"before ({stages[0].before.form})", stages[0].before)]
    for name, figures in (*rows, *((stage.technique, stage.after) for stage in stages)):
        sqnr = "-" if figures.sqnr_db is None else f"{figures.sqnr_db:.1f} dB"
        top1 = "-" if figures.accuracy is None else _share(figures.accuracy)
        sizes = (_kib(figures.file_bytes), _kib(figures.arena_bytes))
        table.add_row(name, f"{figures.params:,}", f"{figures.macs:,}", *sizes, sqnr, top1)
    console.print(table)
    for stage in stages:
        lines = [*stage.notes]
        if stage.refused:
            more = f" and {len(stage.refused) - 1} more" if len(stage.refused) > 1 else ""
            lines.append(f"left alone: {stage.refused[0]}{more}")
        for line in lines:
            console.print(f"{stage.technique}: {line}", soft_wrap=True)


def _summary(report: Report) -> Table:
    memory, table = report.memory, _table("", "")
    verdict = {True: "yes", False: "NO", None: "not known"}[report.fits]
    table.add_row("target", report.target)
    table.add_row("fits", verdict)
    table.add_row("arena", f"{_kib(memory['arena_bytes'])} of {_kib(memory['sram_budget_bytes'])}")
    table.add_row("  peaks at", _short(memory["peak_node"] or "-"))
    table.add_row("flash", f"{_kib(memory['flash_bytes'])} of {_kib(memory['flash_budget_bytes'])}")
    table.add_row("work", f"{report.compute.macs:,} MACs, {report.compute.params:,} parameters")
    quantization = report.quantization
    scheme = "as in the source" if quantization.scheme == "source" else quantization.scheme
    if quantization.data not in ("none", "source"):
        scheme += f", ranges from {quantization.data}"
    if quantization.calibration_samples:
        scheme += f" ({quantization.calibration_samples} samples)"
    table.add_row("quantization", scheme)
    told = None
    for index, layer in enumerate(_worst(report)):
        alone = "" if layer.alone_db is None else f", alone {layer.alone_db} dB"
        text = f"{_short(layer.node)} ({layer.scheme}): {layer.sqnr_db} dB{alone}"
        remedy = "the same remedy" if layer.remedy == told else f"remedy: {layer.remedy}"
        table.add_row("" if index else "worst layers", f"{text}; {remedy}")
        told = layer.remedy
    return table


def _worst(report: Report) -> list[LayerInfo]:
    """The layers that have a remedy, the worst first."""
    found = [layer for layer in report.layers if layer.remedy is not None]
    return sorted(found, key=lambda layer: layer.alone_db or layer.sqnr_db or 0.0)


def _file_rows(report: Report) -> list[tuple[str, ...]]:
    accuracy = report.accuracy
    rows: list[tuple[str, ...]] = []
    if accuracy.float_ is not None:
        rows.append(("float", "LiteRT", "-", _share(accuracy.float_), "-", "-", "-"))
    latency = {entry.where: entry for entry in report.latencies}
    for key in accuracy.exported:
        info = report.files.get("tflite" if key == "tflm" else key)
        timed = latency.get(f"host, {RUNTIMES[key]}")
        sqnr = accuracy.output_sqnr_db.get(key)
        rows.append(
            (
                info.path if info else key,
                RUNTIMES[key],
                f"{info.bytes:,}" if info else "-",
                _share(accuracy.exported[key]),
                "-" if sqnr is None else f"{sqnr:.1f} dB",
                _agreement(report, key),
                "-" if timed is None else f"{timed.value:.3g} {timed.unit}",
            )
        )
    return rows


def _agreement(report: Report, key: str) -> str:
    """How this file agrees with the TFLite one in LiteRT."""
    for name in (f"tflite_vs_{key}", f"{key}_vs_tflite"):
        steps = report.agreement.get(f"{name}_within_1_lsb")
        if steps is not None:
            worst = report.agreement.get(f"{name}_max_lsb")
            return f"{steps * 100:.1f}% (max {worst:g})"
        apart = report.agreement.get(f"{name}_max_abs")
        if apart is not None:
            return f"max {apart:.2g} apart"
    return "-"


def _file_table(rows: Sequence[tuple[str, ...]]) -> Table:
    heads = ("file", "runtime", "bytes", "top-1", "SQNR", "within 1 LSB", "host")
    table = _table(*heads)
    for row in rows:
        table.add_row(*row)
    return table


def _emulated(console: Console, found: Mapping[str, Any]) -> None:
    """What the emulated device showed, and its instructions by node."""
    table, total = _table("", ""), found["instructions"]
    where = f"{found['core']} in {found['emulator']}, {found['toolchain']}"
    table.add_row("emulated", f"{where}; {found['samples']} samples")
    table.add_row("instructions", f"{total:,}")
    table.add_row("RAM", f"arena {found['arena_bytes']:,} B, stack {found['stack_bytes']:,} B")
    flash = f"{found['flash_bytes']:,} B, of which weights {found['weight_bytes']:,} B"
    if found.get("flash_predicted_bytes") is not None:
        flash += f"; predicted {found['flash_predicted_bytes']:,} B"
    table.add_row("flash", flash)
    console.print(table)
    nodes = _table("node", "op", "instructions", "share")
    for node in found["nodes"]:
        share = node["instructions"] / total if total else 0.0
        nodes.add_row(_short(node["node"]), node["op"], f"{node['instructions']:,}", f"{share:.1%}")
    console.print(nodes)


def comparison_table(found: Comparison, page: Path | None) -> None:
    """The figures of several exports, a column for each; `*` marks the best of a row."""
    console = _console()
    table = _table("", *(export.label for export in found.exports))
    verdict = {True: "yes", False: "NO", None: "not known"}
    table.add_row("target", *(export.report.target for export in found.exports))
    table.add_row("fits", *(verdict[export.report.fits] for export in found.exports))
    for row in found.rows:
        cells = (f"{text} *" if i in row.best else text for i, text in enumerate(row.shown))
        table.add_row(row.name, *cells)
    console.print(table)
    if page is not None:
        console.print(f"written to {page}", soft_wrap=True)


def inspection(found: Inspection) -> None:
    """Inputs, outputs, operators and layers."""
    console, table = _console(), _table("node", "op", "output", "MACs", "constants")
    for side, tensors in (("input", found.inputs), ("output", found.outputs)):
        for tensor in tensors:
            line = f"{side} {tensor.name}: {tensor.dtype}{list(tensor.shape)}"
            console.print(line)
    ops = ", ".join(f"{count} {op}" for op, count in found.ops.items())
    console.print(f"{found.compute.macs:,} MACs, {found.compute.params:,} parameters; {ops}")
    for layer in found.layers:
        shape = f"{layer.dtype}{list(layer.shape)}"
        table.add_row(
            _short(layer.node), layer.op, shape, f"{layer.macs:,}", f"{layer.weight_bytes:,} B"
        )
    console.print(table)
    if found.sensitivity is not None:
        _sensitivity(console, found.sensitivity)


def _sensitivity(console: Console, layers: Sequence[LayerSensitivity]) -> None:
    console.print("\nSQNR of the output in dB, with one layer alone quantized; the worst first")
    for layer in layers:
        if layer.remedy is not None:
            figure = _decibels(layer.alone_db["int8"])
            console.print(f"{_short(layer.node)}: {figure} dB in int8; remedy: {layer.remedy}")
    table = _table("node", "int8", "w4a8", "int16x8", "range", "clipped", "dead", "taken", "why")
    for layer in layers:
        span = "-" if layer.range is None else f"{layer.range[0]:.3g}..{layer.range[1]:.3g}"
        dead = "-" if layer.dead_channels is None else str(layer.dead_channels)
        figures = (_decibels(layer.alone_db[name]) for name in ("int8", "w4a8", "int16x8"))
        table.add_row(
            _short(layer.node), *figures, span, _share(layer.saturation), dead,
            layer.scheme or "-", layer.reason or "",
        )  # fmt: skip
    console.print(table)


def _decibels(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.1f}"


def target_list(found: Sequence[Target]) -> None:
    """One line per profile."""
    table = _table("id", "core", "runtime", "SRAM free", "flash free")
    for target in found:
        row = target_row(target)
        core = f"{row['core']} {row['clock_hz'] / 1e6:g} MHz"
        sram, flash = _kib(row["sram_budget_bytes"]), _kib(row["flash_budget_bytes"])
        table.add_row(row["id"], core, row["runtime"], sram, flash)
    _console().print(table)


def target_row(target: Target) -> dict[str, Any]:
    """The short form of a profile."""
    return {
        "id": target.id,
        "name": target.name,
        "core": target.cores[0].name,
        "clock_hz": target.clock_hz,
        "runtime": target.runtime.id,
        "sram_budget_bytes": target.sram_budget_bytes,
        "flash_budget_bytes": target.flash_budget_bytes,
    }


def target_dict(target: Target) -> dict[str, Any]:
    """The full profile as plain data; the runtime by its id, sets sorted."""
    return {
        **target_row(target),
        **{
            field.name: _plain(getattr(target, field.name))
            for field in dataclasses.fields(target)
            if field.name not in ("runtime", "kernel_set")
        },
        "kernel_set": target.kernel_set.name if target.kernel_set else None,
    }


def target_page(target: Target) -> None:
    """Every fact of a profile with its source."""
    console, table = _console(), _table("", "", "source")
    for core in target.cores:
        features = "".join(f", {feature}" for feature in sorted(core.isa))
        clock = f"{core.count} x {core.name} {core.clock_hz / 1e6:g} MHz{features}"
        table.add_row("core", clock, _sourced(core.source, core.unverified))
    for bank in target.banks:
        text = f"{bank.name}: {_kib(bank.bytes)}, {_kib(bank.reserved_bytes)} reserved"
        table.add_row(bank.kind, text, _sourced(bank.source, bank.unverified))
    table.add_row("runtime", target.runtime.name, target.runtime.source)
    for note in target.notes:
        table.add_row("note", note, "")
    console.print(f"{target.id}: {target.name}")
    console.print(table)


def _sourced(source: str, unverified: bool) -> str:
    return f"{source} (unverified)".strip() if unverified else source


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    if hasattr(value, "items"):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


@contextmanager
def progress_bar(quiet: bool) -> Iterator[None]:
    """A bar on stderr for long work inside the block, with the time left; none into a file."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(),
        console=console, transient=True,
    ) as bar:  # fmt: skip
        tasks: dict[str, TaskID] = {}

        def listen(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total, visible=done < total)

        with shown_by(listen):
            yield


def _console() -> Console:
    return Console(highlight=False, markup=False)


def _table(*heads: str) -> Table:
    return Table(*heads, box=None, show_header=any(heads), pad_edge=False)


def _kib(nbytes: float | None) -> str:
    if nbytes is None:
        return "not known"
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if nbytes >= 10 * size:
            return f"{nbytes / size:,.1f} {unit}"
    return f"{nbytes / 1024:,.1f} KiB"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.2f}%"


def _short(name: str) -> str:
    """The telling end of a long node name: some converters join all the names they fused."""
    last = name.split(";")[0]
    return last if len(last) <= _NAME_WIDTH else f"…{last[-_NAME_WIDTH:]}"
