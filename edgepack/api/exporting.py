"""The main job: a model in; out a folder for the device, and a report on how good it is."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import edgepack
from edgepack.api.assess import (
    compute_of,
    fit_requirements,
    memory_of,
    notes_on,
    source_info,
    unsupported_on,
)
from edgepack.api.c_project import (
    FOLDER,
    c_project,
    judged_in_c,
    prepared_for_c,
    project_info,
    write_project,
)
from edgepack.api.command import command_line
from edgepack.api.compress import compressed, legalized, steps_of
from edgepack.api.diagnosis import diagnosed
from edgepack.api.folder import refuse_strangers, replaced_folder
from edgepack.api.integer import made_up_inputs
from edgepack.api.lower import canonical, is_quantized, lower
from edgepack.api.lowered import Lowered, tflite_file
from edgepack.api.options import ExportOptions
from edgepack.api.ordering import frugally_ordered
from edgepack.api.source import read_source
from edgepack.compress.frame import Step
from edgepack.compress.packing import same_numbers
from edgepack.data import load_samples, spread
from edgepack.devices import Target
from edgepack.errors import BadInput, Finding, Unsupported
from edgepack.ir import Array, Graph
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.onnx_exact import spell_exactly
from edgepack.plan.device import fit
from edgepack.plan.fit import Fit
from edgepack.profiles import load_target
from edgepack.quantize.options import INTEGER_SCHEMES
from edgepack.report import Accuracy, Compression, FileInfo, Report, Requirement
from edgepack.report.model_explorer import overlays
from edgepack.report.page import render_page
from edgepack.validation.bundle import DeviceSamples, write_bundle
from edgepack.validation.files import MICRO, OpenFile, open_files, runs_in_micro
from edgepack.validation.interface import Interface, layout_notes
from edgepack.validation.judge import Judgement, judge, judge_data
from edgepack.validation.layers import ValueFacts, layer_facts, layer_infos
from edgepack.validation.logits import before_softmax
from edgepack.validation.measure import agreement_of, run_files
from edgepack.validation.watch import drop_warnings
from edgepack.writers.onnx import write_onnx

_LAYER_SAMPLES = 4
_AGREEMENT_SAMPLES = 16
_BUNDLE_SAMPLES = 8
FILE_NAMES = {"tflite": "model.tflite", "onnx": "model.onnx"}


def export(model: Any, target: str | Path | Target, out: str | Path, **options: Any) -> Report:
    """Export `model` for `target` into the folder `out` and return the report.

    Options are those of the command line (`edgepack.api.options.ExportOptions`). The folder is
    written aside and renamed: it is whole or not there, and an earlier export stays until then.
    Raises Unsupported before anything is written when the target's runtime lacks operators (unless
    `allow_misfit`), BadInput, BadModel and BadData for what cannot be used. A model that does not
    fit (unless `allow_misfit`) or misses a requirement is exported, and `report.ok` is False.
    """
    wanted = ExportOptions.of("export", options)
    wanted.require_labels_for_limits(wanted.eval, "--eval")
    profile = target if isinstance(target, Target) else load_target(target)
    refuse_strangers(Path(out).resolve())  # now rather than after all the work
    formats = wanted.format_list(profile.formats)
    steps = steps_of(wanted)
    source = canonical(read_source(model, wanted), wanted.input_layout)
    graph, lowered, record = _lowered(source, steps, profile, wanted)
    findings = _refused(lowered, profile, wanted)
    made = _made(lowered, formats, profile, wanted)
    judgement, kept = _judge(lowered, made.files, made.verdict, wanted)
    report = _report(graph, lowered, made.files, profile, wanted, made.verdict, findings, judgement)
    report = dataclasses.replace(
        report,
        compression=record,
        notes=(*made.notes, *report.notes),
        files=_file_infos(report, formats, made.project),
        command=command_line("export", model, target, options, out),
    )
    named = {name: (FILE_NAMES[name], data) for name, data in made.files.items()}
    with replaced_folder(Path(out)) as folder:
        for key, (name, data) in named.items():
            if key in formats:
                (folder / name).write_bytes(data)
        write_project(folder / FOLDER, made.project)
        write_bundle(folder, named, lowered.interface, kept, profile.id)
        (folder / "report.json").write_text(report.to_json())
        (folder / "report.html").write_text(render_page(report), encoding="utf-8")
        for name, text in _overlays(report, lowered, made.files).items():
            (folder / name).write_text(text, encoding="utf-8")
    return report


def _lowered(
    source: Graph, steps: Sequence[Step], target: Target, options: ExportOptions
) -> tuple[Graph, Lowered, tuple[Compression, ...]]:
    """(the float graph after compression, what is made of it, the record of its compression)."""
    graph, record = compressed(source, target, options, steps)
    lowered = lower(graph, target, options)
    written, stored = compressed(lowered.graph, target, options, steps, "stored")
    lowered = frugally_ordered(with_stored(lowered, written), target)
    if graph is not source:
        lowered = dataclasses.replace(lowered, original=legalized(source))
    return graph, lowered, (*record, *stored)


def _refused(lowered: Lowered, target: Target, options: ExportOptions) -> tuple[Finding, ...]:
    """What the target cannot run. Raises Unsupported with it unless misfits are allowed."""
    if options.onnx_exact and not is_quantized(lowered.portable):
        raise BadInput(
            "--onnx-exact spells out integer operators; this model's activations are real numbers",
            hint="quantize it: --quantize int8",
        )
    findings = unsupported_on(target, lowered.graph)
    if findings and not options.allow_misfit:
        raise Unsupported(
            f"{target.name} ({target.runtime.name}) cannot run these operators",
            findings,
            hint="--allow-misfit exports all the same",
        )
    return findings


@dataclass(frozen=True, slots=True)
class _Made:
    """What goes into the folder, and whether the device has room for the first format of it.

    `files` are also what is run on this machine: where C is alone, the TFLite file of its integers.
    """

    files: dict[str, bytes]
    project: dict[str, str]
    verdict: Fit
    notes: tuple[str, ...] = ()


def _made(
    lowered: Lowered, formats: tuple[str, ...], target: Target, options: ExportOptions
) -> _Made:
    run_here = formats if formats != ("c",) else ("tflite",)
    files = write_files(lowered, run_here, exact=options.onnx_exact)
    if "c" not in formats:
        return _Made(files, {}, _fit_of_file(lowered, files, target))
    prepared = prepared_for_c(lowered.graph, options.optimize)
    judged = judged_in_c(prepared, target, options.prefix)
    first = judged.verdict if formats[0] == "c" else _fit_of_file(lowered, files, target)
    project = c_project(prepared, target, options)
    return _Made(files, project, first.beside(judged.verdict.flash), judged.notes)


def _fit_of_file(lowered: Lowered, files: Mapping[str, bytes], target: Target) -> Fit:
    return fit(target, lowered.graph, files.get("tflite") or tflite_file(lowered.graph))


def _file_infos(
    report: Report, formats: tuple[str, ...], project: Mapping[str, str]
) -> Mapping[str, FileInfo | None]:
    """What of the files is in the folder."""
    infos = {key: info if key in formats else None for key, info in report.files.items()}
    return infos | {"c": project_info(project) if project else None}


def with_stored(lowered: Lowered, written: Graph) -> Lowered:
    """`lowered` with weights changed as they are stored: ONNX files have the same integers."""
    if written is lowered.graph:
        return lowered
    if written.source.stream is not None:
        whole, portable = lowered.graph, written.copy()
        return dataclasses.replace(lowered, graph=written, portable=portable, whole=whole)
    if same_numbers(lowered.graph, written):
        return dataclasses.replace(lowered, graph=written)
    return dataclasses.replace(lowered, graph=written, portable=written.copy())


def _overlays(report: Report, lowered: Lowered, files: Mapping[str, bytes]) -> dict[str, str]:
    """What Model Explorer shows on the TFLite file, where there are figures by layer."""
    if "tflite" not in files or all(layer.sqnr_db is None for layer in report.layers):
        return {}
    return overlays(report.layers, {n.name: n.output.name for n in lowered.graph.nodes})


def write_files(
    lowered: Lowered, formats: tuple[str, ...], *, exact: bool = False
) -> dict[str, bytes]:
    """The bytes of each format asked for; `exact`: ONNX has its integers spelled out."""
    files: dict[str, bytes] = {}
    if "tflite" in formats:
        files["tflite"] = tflite_file(lowered.graph)
    if "onnx" in formats:
        portable = lowered.portable.copy()
        if lowered.onnx == "graph":  # the legalizer goes back to the source's layout by these
            portable.source.input_perms.clear()
            portable.source.output_perms.clear()
        if exact:
            spell_exactly(portable)
        legalize_onnx(portable, spelled=exact)
        files["onnx"] = write_onnx(portable)
    return files


def _report(
    graph: Graph,
    lowered: Lowered,
    files: Mapping[str, bytes],
    target: Target,
    options: ExportOptions,
    verdict: Fit,
    findings: tuple[Finding, ...],
    judgement: Judgement,
) -> Report:
    met = () if options.allow_misfit else fit_requirements(verdict, findings)
    return Report(
        edgepack=edgepack.__version__,
        target=target.id,
        fits=verdict.fits and not findings,
        source=source_info(graph),
        quantization=lowered.quantization,
        memory=memory_of(verdict, target),
        files={name: _file_info(files, name) for name in ("tflite", "onnx", "c")},
        compute=compute_of(lowered.graph),
        unsupported=findings,
        accuracy=judgement.accuracy,
        agreement=judgement.agreement,
        layers=diagnosed(
            layer_infos(lowered.graph, observed_facts(lowered, options), lowered.methods),
            lowered,
            target,
        ),
        latency=judgement.latencies[0] if judgement.latencies else None,
        latencies=judgement.latencies,
        requirements=(
            *met,
            *budget_requirements(lowered, verdict, options),
            *accuracy_requirements(judgement.accuracy, options, "--eval"),
        ),
        warnings=(
            *lowered.warnings,
            *judgement.warnings,
            *drop_warnings(judgement.accuracy),
        ),
        notes=(*exact_notes(options), *notes_on(lowered, target), *judgement.notes),
        versions=versions(),
    )


def exact_notes(options: ExportOptions) -> tuple[str, ...]:
    """What `--onnx-exact` makes of the ONNX file."""
    if not options.onnx_exact:
        return ()
    return (
        "model.onnx is the exact one, of plain integer operators with TensorFlow Lite Micro's "
        "rounding: it is for verification, and slower than the usual QuantizeLinear form",
    )


def _judge(
    lowered: Lowered, files: Mapping[str, bytes], verdict: Fit, options: ExportOptions
) -> tuple[Judgement, DeviceSamples]:
    """Run the files once: what that shows, and what goes to the device of it."""
    interface = lowered.interface
    micro = runs_in_micro(verdict.plan.runtime, lowered.quantization.io)
    opened, not_run = open_files(files, interface, micro=micro, threads=options.threads)
    notes = (*layout_notes(interface, tuple(files)), *not_run)
    reference = _open_float(lowered, options)
    agreement = _agreement_before_softmax(lowered, opened, options)
    if options.eval is not None:
        specs = interface.specs(options.span())
        samples = load_samples(options.eval, specs, preprocess=options.preprocess)
        kept = DeviceSamples(spread(len(samples), _BUNDLE_SAMPLES))
        found = judge_data(opened, reference, samples, notes, agreement=agreement, kept=kept)
    else:  # a file alone is only timed
        count = _AGREEMENT_SAMPLES if reference or len(opened) > 1 else _BUNDLE_SAMPLES
        pairs = ((sample, None) for sample in _inputs(lowered, options, count))
        kept = DeviceSamples(range(_BUNDLE_SAMPLES))
        found = judge(opened, reference, pairs, notes, agreement=agreement, kept=kept)
    return found, kept


def _open_float(lowered: Lowered, options: ExportOptions) -> OpenFile | None:
    float_graph = lowered.original or lowered.real
    changed = lowered.original or lowered.whole or lowered.quantization.scheme != "none"
    if float_graph is None or not changed:
        return None  # there is none, or it is what is exported
    real = {"tflite": tflite_file(float_graph)}
    interface = Interface.of(float_graph).as_streamed(lowered.interface)
    return open_files(real, interface, micro=False, threads=options.threads)[0][0]


def _agreement_before_softmax(
    lowered: Lowered, opened: Sequence[OpenFile], options: ExportOptions
) -> dict[str, float | None] | None:
    """Agreement of the same files cut before the softmax at their end; None without one."""
    graph, portable = before_softmax(lowered.graph), before_softmax(lowered.portable)
    if graph is None or portable is None:
        return None
    cut = dataclasses.replace(lowered, graph=graph, portable=portable)
    keys = [file.key for file in opened]
    files, _ = open_files(
        write_files(cut, tuple(key for key in keys if key in FILE_NAMES), exact=options.onnx_exact),
        cut.interface,
        micro=MICRO in keys,
        threads=options.threads,
    )
    samples = ((sample, None) for sample in _inputs(lowered, options, _AGREEMENT_SAMPLES))
    return agreement_of(run_files(files, samples))


def _inputs(lowered: Lowered, options: ExportOptions, count: int) -> Iterator[Mapping[str, Array]]:
    """Some inputs in the source's layout: calibration samples, or synthetic ones without them."""
    if lowered.samples is not None:
        for sample, _ in zip(lowered.samples, range(count), strict=False):
            yield sample.inputs
        return
    graph = lowered.real or lowered.whole or lowered.graph
    interface = Interface.of(graph)
    made_up = made_up_inputs(graph, options)
    for arrays, _ in zip(made_up, range(count), strict=False):
        yield {
            port.name: port.to_source(array)
            for port, array in zip(interface.inputs, arrays, strict=True)
        }


def observed_facts(lowered: Lowered, options: ExportOptions) -> dict[str, ValueFacts]:
    """What a few samples show of every value of a graph that edgepack made integer."""
    if lowered.real is None or lowered.quantization.scheme not in INTEGER_SCHEMES:
        return {}
    graph = lowered.whole or lowered.graph
    interface = Interface.of(graph)
    pairs = (
        (interface.feed(sample, "graph"), interface.encoded(sample, "graph"))
        for sample in _inputs(lowered, options, _LAYER_SAMPLES)
    )
    return layer_facts(lowered.real, graph, pairs, threads=options.threads)


def budget_requirements(
    lowered: Lowered, verdict: Fit, options: ExportOptions
) -> tuple[Requirement, ...]:
    """`--max-flash` and `--min-sqnr` against what mixed precision came to."""
    found, flash, wanted = [], options.flash_budget(), options.min_sqnr
    if flash is not None:
        taken = verdict.flash.total_bytes
        least = "" if taken <= flash else ": the least that 4-bit weights allow"
        text = f"{taken:,} bytes{least}"
        found.append(Requirement("flash", f"<= {flash:,} bytes", text, taken <= flash))
    if wanted is not None:
        db = lowered.output_sqnr_db
        met = db is not None and db >= wanted
        text = "the output is always zero" if db is None else f"{db:.2f} dB"
        found.append(Requirement("output SQNR", f">= {wanted:g} dB", text, met))
    return tuple(found)


def accuracy_requirements(
    accuracy: Accuracy, options: ExportOptions, given_by: str
) -> tuple[Requirement, ...]:
    """`--min-accuracy` and `--max-drop` against the worst exported file.

    `given_by` is the option that takes labelled data.
    """
    found = [a for a in accuracy.exported.values() if a is not None]
    worst, real = min(found, default=None), accuracy.float_
    unknown = f"not measured: the data of {given_by} has no labels"
    requirements = []
    if options.min_accuracy is not None:
        met = worst is not None and worst >= options.min_accuracy
        requirements.append(
            Requirement("accuracy", f">= {options.min_accuracy:g}", _share(worst, unknown), met)
        )
    if options.max_drop is not None:
        drop = None if worst is None or real is None else real - worst
        met = drop is not None and drop <= options.max_drop
        if worst is not None:
            unknown = "not measured: export with --eval and these data to know float's accuracy"
        requirements.append(
            Requirement("accuracy drop", f"<= {options.max_drop:g}", _share(drop, unknown), met)
        )
    return tuple(requirements)


def _share(share: float | None, unknown: str) -> str:
    return unknown if share is None else f"{share:.4g}"


def _file_info(files: Mapping[str, bytes], name: str) -> FileInfo | None:
    if name not in files:
        return None
    data = files[name]
    return FileInfo(FILE_NAMES[name], len(data), hashlib.sha256(data).hexdigest())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that took part."""
    found = {"python": platform.python_version()}
    for package in ("edgepack", "numpy", "onnx", "onnxruntime", "ai-edge-litert", "tflite-micro"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
