"""Output folders that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepack.errors import BadInput

MARKER = "report.json"  # what a folder of ours holds; another folder is never replaced


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """A scratch folder that becomes `out` when the block ends well, and vanishes when it does not.

    An earlier output folder at `out` stays as it is until then. Raises BadInput when `out` is a
    file, holds something other than an export, or the disk cannot take it.
    """
    _refuse_strangers(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".partial", dir=out.parent))
    except OSError as problem:
        raise BadInput(f"cannot write to {out.parent}: {problem.strerror}") from problem
    try:
        yield scratch
        _swap(scratch, out)
    except OSError as problem:
        raise BadInput(
            f"cannot write {out}: {problem.strerror or problem}",
            hint="what was there before is untouched; free some space or choose another --out",
        ) from problem
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_strangers(out: Path) -> None:
    if out.is_file():
        raise BadInput(f"{out} is a file", hint="give --out the name of a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise BadInput(
            f"{out} holds other files (no {MARKER}), so it is not replaced",
            hint="give --out a new or empty folder, or one that an earlier export wrote",
        )


def _swap(scratch: Path, out: Path) -> None:
    scratch.chmod(0o755)
    if not out.exists():
        scratch.rename(out)
        return
    aside = scratch.with_suffix(".old")
    out.rename(aside)
    try:
        scratch.rename(out)
    except OSError:
        aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
