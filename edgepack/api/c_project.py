"""The C project of an export: its memory plan, kernels for the target's core, its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgepack.api.options import ExportOptions
from edgepack.devices import Target
from edgepack.errors import Finding, Unsupported
from edgepack.ir import Graph
from edgepack.passes.manager import run_pass
from edgepack.passes.padding import fold_conv_pad
from edgepack.plan.c_memory import Prepared, prepare_c
from edgepack.report import FileInfo
from edgepack.writers.c import write_c

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


def without_kernel(prepared: Prepared) -> tuple[Finding, ...]:
    """Every node that there is no C kernel for."""
    try:
        write_c(prepared.graph, prepared.plan)
    except Unsupported as problem:
        return problem.findings
    return ()


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
