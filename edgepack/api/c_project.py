"""The C project of an export: its memory plan, kernels for the target's core, its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgepack.api.lowered import Lowered
from edgepack.api.options import ExportOptions
from edgepack.devices import Target
from edgepack.plan.c_plan import plan_c
from edgepack.report import FileInfo
from edgepack.writers.c import write_c

FOLDER: Final = "model_c"


def c_project(lowered: Lowered, target: Target, options: ExportOptions) -> dict[str, str]:
    """The text of each file by its name. Raises Unsupported with all nodes that have no kernel."""
    plan = plan_c(lowered.graph, options.optimize)
    return write_c(lowered.graph, plan, options.prefix, variant_of(target))


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
