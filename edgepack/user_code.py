"""Functions of the user's own: `file.py:function` and `package.module:function`.

Whoever names one wants it run, as whoever names a script; nothing else of the user's is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepack.errors import BadInput, EdgepackError


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function, and the folder on the import path while it runs."""

    name: str
    place: str
    function: Callable[[], Any]
    folder: str

    def __call__(self) -> Any:
        """What the function returns."""
        with _on_path(self.folder):
            return self.function()

    def items(self) -> Iterator[Any]:
        """What the function's result yields; generators, too, import when they come to it."""
        with _on_path(self.folder):
            iterator = iter(self.function())
        while True:
            with _on_path(self.folder):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item


def load_function(spec: str, error: type[BadInput]) -> UserFunction:
    """The callable that `file.py:function` or `package.module:function` names.

    Modules beside the file, or in the current folder, can be imported by it; `sys.path` is as
    before afterwards. Raises `error` when there is no such file, module or callable, and when
    importing fails or leaves Python.
    """
    place, _, name = spec.rpartition(":")
    folder = str(Path(place).resolve().parent if place.endswith(".py") else Path.cwd())
    with _on_path(folder):
        module = _load(place, error)
    function = getattr(module, name, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise error(
            f"{place} has no callable called {name}", hint=f"it has {', '.join(names) or 'none'}"
        )
    return UserFunction(name, place, function, folder)


@contextlib.contextmanager
def _on_path(folder: str) -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before


def _load(place: str, error: type[BadInput]) -> ModuleType:
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise error(f"there is no file {place}")
    try:
        return _import_file(Path(place)) if is_file else importlib.import_module(place)
    except EdgepackError:
        raise
    except (Exception, SystemExit) as problem:  # whatever the user's module raises
        reason = f"{type(problem).__name__}: {problem}"
        raise error(f"{place} cannot be imported: {reason}") from problem


def _import_file(path: Path) -> ModuleType:
    name = f"_edgepack_user_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file always has a spec"
    assert spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
