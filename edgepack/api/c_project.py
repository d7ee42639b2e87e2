"""The C project of an export: its memory plan, what it takes of a device, its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgepack.api.options import ExportOptions
from edgepack.devices import Target
from edgepack.errors import BadTarget, Finding, Unsupported
from edgepack.ir import Graph
from edgepack.passes.manager import run_pass
from edgepack.passes.padding import fold_conv_pad
from edgepack.plan.c_flash import c_flash
from edgepack.plan.c_memory import Prepared, prepare_c
from edgepack.plan.c_sizes import CodeSizes, code_sizes
from edgepack.plan.device import bank_notes, fit_in_c
from edgepack.plan.fit import Fit
from edgepack.plan.flash import FlashUse, weight_bytes
from edgepack.report import FileInfo
from edgepack.run.emulator.cores import processor_of
from edgepack.writers.c import write_c
from edgepack.writers.c.contents import contents

FOLDER: Final = "model_c"


def prepared_for_c(graph: Graph, optimize: str) -> Prepared:
    """A graph legalized for TFLite as the C project runs it; `graph` is not changed.

    TFLite needs an operator of its own for most kinds of padding, C has it within convolutions.
    """
    made = graph.copy()
    run_pass(made, fold_conv_pad)
    return prepare_c(made, optimize)


def c_project(prepared: Prepared, target: Target, options: ExportOptions) -> dict[str, str]:
    """The text of each file by its name. Raises Unsupported with all nodes that have no kernel."""
    return write_c(prepared.graph, prepared.plan, options.prefix, variant_of(target))


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a C project fits, every node that has no kernel, and what to say of it."""

    verdict: Fit
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def judged_in_c(prepared: Prepared, target: Target, prefix: str) -> Judged:
    """A project without its text; where kernels are missing, only its weights are counted."""
    try:
        found = contents(prepared.graph, prepared.plan, variant_of(target))
    except Unsupported as problem:
        verdict = fit_in_c(target, prepared, FlashUse(weight_bytes(prepared.graph), 0))
        return Judged(verdict, problem.findings, _prepared_note(prepared))
    flash = c_flash(found, _measured(target))
    verdict = fit_in_c(target, prepared, flash)
    notes = (
        *_prepared_note(prepared), *bank_notes(verdict, target, prefix), _flash_note(flash, target)
    )  # fmt: skip
    return Judged(verdict, (), notes)


def _prepared_note(prepared: Prepared) -> tuple[str, ...]:
    """What was done to the graph for C."""
    return () if prepared.note is None else (prepared.note,)


def _measured(target: Target) -> list[CodeSizes]:
    try:
        processor = processor_of(target)
    except BadTarget:  # no core that edgepack compiles for
        return []
    return code_sizes(processor.core.name, processor.floats, variant_of(target))


def _flash_note(flash: FlashUse, target: Target) -> str:
    if flash.compiler is None:
        return (
            f"the C project takes {flash.total_bytes:,} B of flash for weights and parameters, and "
            f"its code, whose size on {target.cores[0].name} is not known"
        )
    totals = " or ".join(f"{n:,} B with {name}" for name, n in flash.by_compiler.items())
    return (
        f"the C project takes {totals} of flash (kernels with -O2, the rest with -Os); its stack "
        "is measured by validate --on emulator"
    )


def variant_of(target: Target) -> str:
    """The kernels for the core that runs the model; they compile for every other core too."""
    isa = target.cores[0].isa
    return "mve" if "mve" in isa else "dsp" if "dsp" in isa else "portable"


def write_project(folder: Path, project: Mapping[str, str]) -> None:
    """Put the files into `folder`."""
    for name, text in project.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def project_info(project: Mapping[str, str]) -> FileInfo:
    """The folder as report.json has it: bytes of all files, and the SHA-256 of their texts."""
    texts = [project[name].encode() for name in sorted(project)]
    digest = hashlib.sha256(b"\0".join(texts)).hexdigest()
    return FileInfo(FOLDER, sum(map(len, texts)), digest)
