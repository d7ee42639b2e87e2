"""Output folders that are whole or not there: written aside, then renamed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgepack.errors import BadInput

_MARKER: Final = "report.json"  # with our name in it: what tells an export from other folders
_OURS: Final = (
    "model.tflite", "model.onnx", "model_c", "report.json", "report.html", "device",
    "model_explorer.json", "model_explorer_bits.json",
)  # fmt: skip


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """A scratch folder that becomes `out` when the block ends well, and vanishes when it does not.

    An earlier output folder at `out` stays as it is until then; what else lies in it is kept.
    Raises BadInput when `out` is a file, holds something other than an export, or the disk cannot
    take it.
    """
    out = out.resolve()
    refuse_strangers(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".partial", dir=out.parent))
    except OSError as problem:
        raise _cannot_write(out.parent, problem) from problem
    try:
        yield scratch
        _swap(scratch, out)
    except OSError as problem:
        raise _cannot_write(out, problem) from problem
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_texts(texts: Mapping[Path, str]) -> None:
    """Write files of one folder aside, then rename all: each is its old or its new self.

    Raises BadInput when the folder or the disk does not take them.
    """
    scratch = {path: path.with_name(f".{path.name}.partial") for path in texts}
    try:
        for path, text in texts.items():
            scratch[path].write_text(text, encoding="utf-8")
        for path, aside in scratch.items():
            aside.replace(path)
    except OSError as problem:
        raise _cannot_write(next(iter(texts)).parent, problem) from problem
    finally:
        for aside in scratch.values():
            aside.unlink(missing_ok=True)


def refuse_strangers(out: Path) -> None:
    """Raise BadInput when an export may not take the place of what is at `out`."""
    try:
        if out.is_dir() and any(out.iterdir()) and not _is_export(out):
            raise BadInput(
                f"{out} holds other files and no export, so it is not replaced",
                hint="give --out a new or empty folder, or one that an earlier export wrote",
            )
        if out.exists() and not out.is_dir():
            raise BadInput(f"{out} is a file", hint="give --out the name of a folder")
    except OSError as problem:
        raise _cannot_write(out, problem) from problem


def _is_export(folder: Path) -> bool:
    marker = folder / _MARKER
    return marker.is_file() and b'"edgepack"' in marker.read_bytes()


def _cannot_write(place: Path, problem: OSError) -> BadInput:
    return BadInput(
        f"cannot write to {place}: {problem.strerror or problem}",
        hint="what was there before is untouched; free some space or choose another place",
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
    except BaseException:
        aside.rename(out)
        raise
    for entry in aside.iterdir():
        if entry.name not in _OURS:
            entry.rename(out / entry.name)
    shutil.rmtree(aside, ignore_errors=True)
