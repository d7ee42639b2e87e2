"""Measured bytes of compiled kernels, by compiler and core.

The table is package data that `python -m benchmarks.kernel_sizes` writes.

Kernels are compiled in sections of their own, and what is inlined into one does not depend on the
others; so a project's code is the sum over the sections that its calls reach.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

COMPILERS: Final = ("gcc", "zig")  # the first is the one that reports count with
FILE: Final = "c_sizes.json"


@dataclass(frozen=True, slots=True)
class Section:
    """A function, or constants that one has: bytes, alignment, and the names that it refers to."""

    bytes: int
    align: int
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeSizes:
    """What one compiler makes for one core.

    `statements` has the bytes of each count of `CContents.statements`, and `fixed`. `libraries`
    has, for each function from the compiler's libraries, the bytes of all that it brings.
    """

    compiler: str
    version: str
    fingerprint: str
    statements: Mapping[str, float]
    sections: Mapping[str, Section]
    libraries: Mapping[str, Mapping[str, int]]

    def knows(self, names: Iterable[str]) -> bool:
        """Whether all these functions were measured."""
        return all(name in self.sections for name in names)

    def reached(self, calls: Iterable[str]) -> set[str]:
        """The sections and library functions that calls of these kernels bring, with themselves."""
        found: set[str] = set()
        waiting = list(calls)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.sections[name].needs if name in self.sections else ()
        return found


def key_of(core: str, floats: str, variant: str) -> str:
    """How the table names a core with its floating-point unit and kernels."""
    return f"{core} {floats} {variant}"


def code_sizes(core: str, floats: str, variant: str) -> list[CodeSizes]:
    """What each compiler makes for a core; with other floating point, rather than none at all."""
    found = []
    for compiler in COMPILERS:
        table = _tables().get(compiler, {})
        near = [sizes for key, sizes in table.items() if _same_core(key, core, variant)]
        exact = table.get(key_of(core, floats, variant))
        found += [exact] if exact else near[:1]
    return found


def _same_core(key: str, core: str, variant: str) -> bool:
    name, _, kernels = key.split(" ")
    return (name, kernels) == (core, variant)


@cache
def _tables() -> dict[str, dict[str, CodeSizes]]:
    source = resources.files("edgepack.plan") / FILE
    found: dict[str, dict[str, CodeSizes]] = {}
    for compiler, key, entry in _entries(json.loads(source.read_text(encoding="utf-8"))):
        sections = entry["sections"]
        found.setdefault(compiler, {})[key] = CodeSizes(
            compiler, entry["version"], entry["fingerprint"], entry["statements"],
            {name: Section(row[0], row[1], tuple(row[2:])) for name, row in sections.items()},
            entry["libraries"],
        )  # fmt: skip
    return found


def _entries(table: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for compiler, cores in table.items():
        for key, entry in cores.items():
            yield compiler, key, entry
