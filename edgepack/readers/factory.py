"""Models made by the user's own code: `file.py:factory` and `package.module:factory`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import BadInput, BadModel


def is_factory(spec: str) -> bool:
    """Whether `spec` reads as a file or module, a colon, and a name in it."""
    place, colon, name = spec.rpartition(":")
    return bool(colon and place) and name.isidentifier()


def call_factory(spec: str) -> Any:
    """What the callable that `spec` names returns, called without arguments.

    The user named it, so it is run. Raises BadInput when there is no such file, module or name,
    BadModel when it fails.
    """
    place, _, name = spec.rpartition(":")
    with _importable(place):
        module = _load(place)
        factory = getattr(module, name, None)
        if not callable(factory):
            names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise BadInput(
                f"{place} has no callable called {name}",
                hint=f"it has {', '.join(names) or 'none'}",
            )
        try:
            return factory()
        except (Exception, SystemExit) as problem:
            reason = f"{type(problem).__name__}: {problem}"
            raise BadModel(f"{name}() failed: {reason}", at=place) from problem


@contextlib.contextmanager
def _importable(place: str) -> Iterator[None]:
    """The folder of the file (or the current one) on the path, for what it imports itself."""
    folder = str(Path(place).resolve().parent if place.endswith(".py") else Path.cwd())
    before = list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before


def _load(place: str) -> Any:
    if place.endswith(".py") and not Path(place).is_file():
        raise BadInput(f"there is no file {place}")
    try:
        return (
            _import_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        )
    except (Exception, SystemExit) as problem:
        reason = f"{type(problem).__name__}: {problem}"
        raise BadModel(f"{place} cannot be imported: {reason}") from problem


def _import_file(path: Path) -> Any:
    name = f"_edgepack_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file always has a spec"
    assert spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    spec.loader.exec_module(module)
    return module
