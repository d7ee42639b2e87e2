"""Models compiled on this machine and called through ctypes.

Many models become one shared library: each has a prefix of its own, and one source includes all.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from edgepack.ir import Array, Graph

STRICT: Final = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def compilers() -> dict[str, list[str]]:
    """The C compilers of this machine."""
    found = {name: [name] for name in ("gcc", "clang") if shutil.which(name)}
    if not found and shutil.which("cc"):
        found["cc"] = ["cc"]
    if importlib.util.find_spec("ziglang"):
        found["zig"] = [sys.executable, "-m", "ziglang", "cc"]
    return found


def compiler() -> list[str]:
    """The first compiler, or the test is skipped."""
    for command in compilers().values():
        return command
    pytest.skip("there is no C compiler: install gcc, or pip install ziglang")


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Put the files of a project into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def sources(files: Mapping[str, str]) -> list[str]:
    """The sources to compile: every .c directly in the folder."""
    return [name for name in files if name.endswith(".c") and "/" not in name]


def run_compiler(command: Sequence[str], folder: Path) -> None:
    """Run a compiler; what it says is the message of the failure."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[:4000]


class Library:
    """Projects by prefix, compiled into one shared library in `folder`."""

    def __init__(self, folder: Path, projects: Mapping[str, Mapping[str, str]]) -> None:
        includes = []
        for files in projects.values():
            write_files(folder, files)
            includes += [f'#include "{name}"' for name in sources(files)]
        (folder / "all.c").write_text("\n".join(includes) + "\n", encoding="utf-8")
        output = str(folder / "all.so")
        plain = [*compiler(), *STRICT, "-O1", "-shared", "-fPIC", "-I.", "all.c", "-o", output]
        run_compiler(plain, folder)
        self._library = ctypes.CDLL(output)

    def run(
        self, prefix: str, graph: Graph, inputs: Sequence[Array], *, go_on: bool = False
    ) -> list[Array]:
        """One inference of the project with this prefix; `go_on`: from its last state on."""
        if not go_on and hasattr(self._library, f"{prefix}_reset"):
            getattr(self._library, f"{prefix}_reset")()
        for index, array in enumerate(inputs):
            content = np.ascontiguousarray(array).tobytes()
            ctypes.memmove(self._place(prefix, "input", index), content, len(content))
        assert getattr(self._library, f"{prefix}_run")() == 0
        return [
            self._read(prefix, index, value.shape, value.dtype.numpy)
            for index, value in enumerate(graph.outputs)
        ]

    def _read(self, prefix: str, index: int, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        content = ctypes.string_at(self._place(prefix, "output", index), count)
        return np.frombuffer(content, dtype).reshape(shape)

    def _place(self, prefix: str, what: str, index: int) -> int:
        function = getattr(self._library, f"{prefix}_{what}")
        function.restype = ctypes.c_void_p
        return function(index)
