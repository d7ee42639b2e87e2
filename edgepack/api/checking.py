"""Does it fit? Any supported file, before anything is exported."""

from __future__ import annotations

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
from edgepack.api.c_project import judged_in_c, prepared_for_c
from edgepack.api.command import command_line
from edgepack.api.diagnosis import diagnosed
from edgepack.api.lower import canonical, lower, scheme_of
from edgepack.api.lowered import Lowered, io_of, tflite_file
from edgepack.api.options import ExportOptions
from edgepack.api.ordering import frugally_ordered
from edgepack.api.source import read_source
from edgepack.devices import Target
from edgepack.errors import BadInput, Unsupported
from edgepack.ir import Graph
from edgepack.plan.device import fit
from edgepack.plan.fit import Fit
from edgepack.profiles import load_target
from edgepack.report import Quantization, Report
from edgepack.validation.layers import layer_infos


def check(model: Any, target: str | Path | Target, **options: Any) -> Report:
    """The report on `model` as it would be on `target`, without the parts that need an export.

    A quantized model is judged as it is, a float one as the target's default quantization (or
    `quantize=`) would make it. With `formats="c"` the memory and the kernels are those of the C
    project. Options: those of `export` that change what memory and operators the model needs
    (`edgepack.api.options.TAKEN`). Raises what reading raises; a model that does not
    fit is not an error but `report.fits == False`.
    """
    wanted = ExportOptions.of("check", options)
    profile = target if isinstance(target, Target) else load_target(target)
    in_c = wanted.format_list(profile.formats)[0] == "c"  # the first format is the one judged
    source = read_source(model, wanted)
    lowered = _as_exported(source, profile, wanted)
    verdict: Fit | None
    if in_c:
        prepared = prepared_for_c(lowered.graph, wanted.optimize)
        judged = judged_in_c(prepared, profile, wanted.prefix)
        verdict, findings, notes = judged.verdict, judged.findings, judged.notes
    else:
        verdict, notes = _verdict(model, source, lowered, profile)
        findings = unsupported_on(profile, lowered.graph)
    return Report(
        edgepack=edgepack.__version__,
        target=profile.id,
        fits=None if verdict is None else verdict.fits and not findings,
        source=source_info(source),
        quantization=lowered.quantization,
        memory=memory_of(verdict, profile),
        files={"tflite": None, "onnx": None, "c": None},
        compute=compute_of(lowered.graph),
        unsupported=findings,
        layers=diagnosed(layer_infos(lowered.graph, {}, {}), lowered, profile),
        requirements=fit_requirements(verdict, findings),
        notes=(*notes_on(lowered, profile), *notes),
        command=command_line("check", model, target, options),
    )


def _as_exported(source: Graph, target: Target, options: ExportOptions) -> Lowered:
    if source.source.format == "tflite" and scheme_of(source, target, options) == "source":
        _refuse_changes(options)  # judged as it is: what is in the file goes to the device
        kept = Quantization("source", "source", None, None, io_of(source))
        return Lowered(None, source, source, kept)
    return frugally_ordered(lower(canonical(source, options.input_layout), target, options), target)


def _refuse_changes(options: ExportOptions) -> None:
    for name in ("io", "input_layout", "per_tensor"):
        if getattr(options, name):
            raise BadInput(
                f"the model is quantized already and checked as it is, so "
                f"--{name.replace('_', '-')} is refused",
                hint="leave it out, or give the float model",
            )


def _verdict(
    model: Any, source: Graph, lowered: Lowered, target: Target
) -> tuple[Fit | None, tuple[str, ...]]:
    try:
        if lowered.graph is source and isinstance(model, str | Path):
            return fit(target, source, Path(model).read_bytes()), ()
        return fit(target, lowered.graph, tflite_file(lowered.graph)), ()
    except (Unsupported, BadInput) as problem:
        return None, (f"memory could not be planned: {problem.message}",)
