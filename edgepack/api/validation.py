"""Validates an exported folder: whether it is still right, and how fast it is here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from edgepack.api.exporting import accuracy_requirements
from edgepack.api.folder import replace_texts
from edgepack.api.options import ExportOptions
from edgepack.data import load_samples
from edgepack.errors import BadInput
from edgepack.ir import Array
from edgepack.profiles import load_target
from edgepack.report import Accuracy, FileInfo, Report
from edgepack.report.page import render_page
from edgepack.run.emulator import PLACE as EMULATOR
from edgepack.run.emulator import Wanted
from edgepack.validation.bundle import bundle_samples, read_interface
from edgepack.validation.emulated import Emulation
from edgepack.validation.files import EMULATED, NOT_RUN, OpenFile, open_files, runs_in_micro
from edgepack.validation.interface import Interface
from edgepack.validation.judge import Judgement, Pairs, judge, judge_data
from edgepack.validation.logits import ends_in_softmax
from edgepack.validation.watch import ON_DATA, drop_warnings

PLACES = ("host", "emulator[:gcc|zig][+unicorn|qemu]")
_FOLDER_HINT = "give a folder that `edgepack export` wrote"
MEASURED = "measured on"  # how the note begins that says which samples were used


def validate(folder: str | Path, data: Any = None, on: str = "host", **options: Any) -> Report:
    """Run the files of an exported folder and return the report, its figures renewed.

    `on` is `host`, this machine, or `emulator`: the C export on an emulated microcontroller, with
    compiler and emulator named if need be (`emulator:zig+unicorn`, `emulator:gcc+qemu`).
    `data` gives samples (with labels for accuracy); without it the samples in `device/` serve.
    Options: preprocess, input_range, samples, min_accuracy, max_drop, threads. The folder's report
    is rewritten. Raises BadInput for a folder that no export wrote or that is damaged,
    MissingDependency without the emulator, EmulationFault where the device would stop.
    """
    wanted = ExportOptions.of("validate", options)
    wanted.require_labels_for_limits(data, "--data")
    if data is None:
        wanted.refuse_without_data("--data", ("preprocess", "input_range", "samples"))
    place = _place(on)
    directory = Path(folder)
    report = read_report(directory)
    interface, files, stored = _contents(directory, report, sampled=data is None)
    emulation = None
    if place is not None:
        emulation = Emulation(
            directory, report, load_target(_profile(directory, report)), interface,
            wanted=place, threads=wanted.threads,
        )  # fmt: skip
        if emulation.misfit is not None:
            return _written(directory, emulation.completed(report))
    opened, notes = _opened(files, report, interface, emulation, wanted.threads)
    through: Callable[[Pairs], Pairs] = iter if emulation is None else emulation.through
    if data is None:
        notes.append(f"{MEASURED} the {len(stored)} samples in device/")
        pairs = through((sample, None) for sample in stored)
        judgement = judge(opened, None, pairs, tuple(notes))
    else:
        samples = load_samples(
            data, interface.specs(wanted.span()), preprocess=wanted.preprocess, limit=wanted.samples
        )
        name = data if isinstance(data, str | Path) else "the data given"
        notes.append(f"{MEASURED} {name}: {len(samples)} samples")
        judgement = judge_data(opened, None, samples, tuple(notes), through=through)
    accuracy = _with_float(judgement.accuracy, report.accuracy) if data is not None else None
    renewed = dataclasses.replace(
        report,
        accuracy=accuracy or report.accuracy,
        agreement=_agreement(report, judgement) if emulation is None else report.agreement,
        latency=judgement.latencies[0] if judgement.latencies else None,
        latencies=judgement.latencies,
        requirements=(
            *(r for r in report.requirements if not r.name.startswith("accuracy")),
            *accuracy_requirements(accuracy or report.accuracy, wanted, "--data"),
        ),
        warnings=report.warnings if accuracy is None else _warnings(report, judgement, accuracy),
        notes=(*_kept_notes(report), *judgement.notes),
    )
    return _written(directory, renewed if emulation is None else emulation.completed(renewed))


def _contents(
    directory: Path, report: Report, *, sampled: bool
) -> tuple[Interface, dict[str, bytes], list[dict[str, Array]]]:
    """What the folder has: its interface, the files that run here, if `sampled` those of device/.

    Raises BadInput for a folder that is damaged.
    """
    try:
        interface = read_interface(directory)
        files = {
            name: _intact(directory, i)
            for name, i in report.files.items()
            if i is not None and name != EMULATED
        }
        return interface, files, bundle_samples(directory, interface) if sampled else []
    except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile, zlib.error) as problem:
        raise BadInput(f"{directory} cannot be used: {problem}", hint="export again") from problem


def _place(on: str) -> Wanted | None:
    """None for this machine, else the tools of the emulator. Raises BadInput for other places."""
    if on.partition(":")[0] == EMULATOR:
        return Wanted.parse(on)
    if on != "host":
        raise BadInput(f"--on {on} is not available", hint=f"one of: {', '.join(PLACES)}")
    return None


def _opened(
    files: Mapping[str, bytes],
    report: Report,
    interface: Interface,
    emulation: Emulation | None,
    threads: int,
) -> tuple[list[OpenFile], list[str]]:
    """What is run, and notes on what cannot be."""
    if emulation is not None:
        return emulation.files(), []
    micro = runs_in_micro(report.memory.get("runtime"), report.quantization.io)
    opened, notes = open_files(files, interface, micro=micro, threads=threads)
    if report.files.get(EMULATED) is not None:
        notes.append(f"{NOT_RUN} this run: model_c, which --on emulator compiles and runs")
    return opened, notes


def _written(folder: Path, report: Report) -> Report:
    """`report`, also in the folder."""
    replace_texts(
        {folder / "report.json": report.to_json(), folder / "report.html": render_page(report)}
    )
    return report


def _profile(folder: Path, report: Report) -> str | Path:
    """The id of the target, or a profile of the user's own that lies in the folder."""
    own = folder / f"{report.target}.toml"
    return own if own.is_file() else report.target


def _agreement(report: Report, judgement: Judgement) -> Mapping[str, float | None]:
    """That of the export was measured before the softmax, on the very same files."""
    return report.agreement if ends_in_softmax(report.layers) else judgement.agreement


def _with_float(found: Accuracy, exported: Accuracy) -> Accuracy:
    """`found`, with the figures of the export that were measured on these data but not now."""
    if found.data_sha256 != exported.data_sha256:
        return dataclasses.replace(found, float_=None)
    return dataclasses.replace(
        found,
        float_=exported.float_,
        exported={**exported.exported, **found.exported},
        output_sqnr_db={**exported.output_sqnr_db, **found.output_sqnr_db},
    )


def _warnings(report: Report, judgement: Judgement, accuracy: Accuracy) -> tuple[str, ...]:
    """Those on the model, and those on the data that were used now."""
    kept = (warning for warning in report.warnings if not warning.startswith(ON_DATA))
    return (*kept, *judgement.warnings, *drop_warnings(accuracy))


def _kept_notes(report: Report) -> Iterator[str]:
    """What the export said of the files, without what it said of running them."""
    return (note for note in report.notes if not note.startswith((NOT_RUN, MEASURED)))


def _intact(folder: Path, info: FileInfo) -> bytes:
    """The bytes of an exported file; native runtimes may crash on a damaged one."""
    data = (folder / info.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != info.sha256:
        raise ValueError(f"{info.path} was changed or damaged after the export (sha256 differs)")
    return data


def _is_in_export(path: Path) -> bool:
    return path.exists() and (path.parent / "report.json").is_file()


def read_report(folder: Path) -> Report:
    """The report of an exported folder. Raises BadInput when there is none or it is damaged."""
    path = folder / "report.json"
    if not folder.is_dir() and not _is_in_export(folder):
        found = "is a file" if folder.exists() else "does not exist"
        raise BadInput(f"{folder} {found}", hint=_FOLDER_HINT)
    if not path.is_file():
        raise BadInput(
            f"{folder} is not the folder of an export: it has no report.json",
            hint=f"did you mean {folder.parent}?" if _is_in_export(folder) else _FOLDER_HINT,
        )
    return parse_report(path)


def parse_report(path: Path) -> Report:
    """The report in a file. Raises BadInput when it is none or damaged."""
    try:
        return Report.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise BadInput(f"{path} cannot be read: {problem.strerror or problem}") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadInput(f"{path} is damaged: {problem}", hint="export again") from problem
