"""Measures what compilers make of the C kernels: writes edgepack/plan/c_sizes.json.

python -m benchmarks.kernel_sizes            # what is out of date, with the compilers at hand
python -m benchmarks.kernel_sizes --all      # everything

Needed after a change of kernels, of compiler flags or of the generated calls; a test says so. With
it `edgepack check` knows the flash of a C project without compiling it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.objects import Piece, pieces
from benchmarks.size_nets import random_net
from edgepack.api.c_project import prepared_for_c
from edgepack.errors import EdgepackError
from edgepack.plan.c_flash import STATEMENTS
from edgepack.plan.c_sizes import COMPILERS, FILE, key_of
from edgepack.run.emulator.cores import CORES, Processor
from edgepack.run.emulator.elf import Elf
from edgepack.run.emulator.linker import Layout
from edgepack.run.emulator.toolchain import Toolchain, find_toolchain
from edgepack.writers.c import write_c
from edgepack.writers.c.contents import contents
from edgepack.writers.c.sources import blocks
from edgepack.writers.c.write import kernel_texts

TABLE: Final = Path(__file__).parents[1] / "edgepack" / "plan" / FILE
PROCESSORS: Final = {
    key_of(core, floats, variant): (Processor(CORES[core], floats, dsp, mve), variant)
    for core, floats, dsp, mve, variant in (
        ("Cortex-M0+", "none", False, False, "portable"),
        ("Cortex-M3", "none", False, False, "portable"),
        ("Cortex-M4", "single", True, False, "dsp"),
        ("Cortex-M7", "single", True, False, "dsp"),
        ("Cortex-M7", "double", True, False, "dsp"),
        ("Cortex-M33", "single", True, False, "dsp"),
        ("Cortex-M55", "single", True, True, "mve"),
    )
}
_FIRMWARE: Final = resources.files("edgepack.run.emulator") / "firmware"
_NETS: Final = 32
_ROOM: Final = 64 << 20


def main() -> None:
    """Bring the table up to date."""
    everything = "--all" in sys.argv
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    for kind in COMPILERS:
        try:
            toolchain = find_toolchain(kind)
        except EdgepackError as problem:
            print(f"{kind}: left as it is: {problem}", file=sys.stderr)
            continue
        rows = table.setdefault(kind, {})
        for key in PROCESSORS:
            old = rows.get(key)
            if everything or old is None or old["fingerprint"] != fingerprint(kind, key):
                print(f"{kind}: {key}", file=sys.stderr, flush=True)
                rows[key] = _entry(toolchain, key)
        table[kind] = {key: rows[key] for key in PROCESSORS}
    TABLE.write_text(text_of(table))


def fingerprint(kind: str, key: str) -> str:
    """A digest of all that the sizes of one compiler and core depend on, but its version."""
    processor, variant = PROCESSORS[key]
    texts = [
        *(block.text for block in blocks(variant).values()),
        (_FIRMWARE / "memory.c").read_text(encoding="utf-8"),
        *Toolchain(kind, (), "").flags(processor),
    ]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def text_of(table: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON with a line for each section."""
    text = json.dumps(table, indent=1)
    return re.sub(r"\[\s+([^]]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"


def _entry(toolchain: Toolchain, key: str) -> dict[str, Any]:
    processor, variant = PROCESSORS[key]
    with tempfile.TemporaryDirectory(prefix="edgepack-") as folder:
        bench = _Bench(toolchain, processor, variant, Path(folder))
        sections = bench.sections()
        outside = sorted({n for row in sections.values() for n in row[2:]} - sections.keys())
        return {
            "version": toolchain.version,
            "fingerprint": fingerprint(toolchain.kind, key),
            "statements": bench.statements(),
            "sections": sections,
            "libraries": {name: bench.library(name) for name in outside},
        }


@dataclass(frozen=True, slots=True)
class _Bench:
    """One compiler and core, and a folder to work in."""

    toolchain: Toolchain
    processor: Processor
    variant: str
    folder: Path

    def sections(self) -> dict[str, list[Any]]:
        """[bytes, alignment, names it refers to ...] of every kernel, and of memory.c."""
        functions = [b.name for b in blocks(self.variant).values() if b.prototype]
        for name, text in kernel_texts(functions, self.variant, "kernels").items():
            (self.folder / name).write_text(text)
        kernels = self._pieces(self.folder / "kernels.c", "-O2")
        builtin = {"gcc": ("-fno-tree-loop-distribute-patterns",), "zig": ()}
        with resources.as_file(_FIRMWARE) as own:
            options = ("-O2", "-fno-builtin", *builtin[self.toolchain.kind])
            memory = self._pieces(own / "memory.c", *options)
        return dict(_rows([*kernels, *memory]))

    def statements(self) -> dict[str, float]:
        """Bytes of what the model's function is made of: a fit over random networks."""
        counts, sizes = [], []
        for seed in range(_NETS):
            prepared = prepared_for_c(random_net(seed, 1 + seed), ("speed", "ram")[seed % 2])
            files = write_c(prepared.graph, prepared.plan, variant=self.variant)
            for name, text in files.items():
                if "/" not in name:
                    (self.folder / name).write_text(text)
            made = self._pieces(self.folder / "model.c", "-Os")
            sizes.append(sum(p.bytes for p in made if p.name.startswith(".text")))
            found = contents(prepared.graph, prepared.plan, self.variant).statements
            counts.append([1, *(found.get(name, 0) for name in STATEMENTS)])
        weight = 1 / np.sqrt(sizes)  # errors of large functions may be larger
        left = np.array(counts) * weight[:, None]
        found, *_ = np.linalg.lstsq(left, np.array(sizes) * weight, rcond=1e-6)
        return dict(zip(["fixed", *STATEMENTS], np.round(found, 2).tolist(), strict=True))

    def library(self, name: str) -> dict[str, int]:
        """The bytes of all that a function of the compiler's libraries brings, by symbol."""
        stub = self.folder / "stub.c"
        stub.write_text(_STUB.format(name=name))
        self._compile(stub, "fw__stub.o", "-Os")
        with resources.as_file(_FIRMWARE) as own:
            self._compile(own / "memory.c", "wt__memory.o", "-O2", "-fno-builtin")
        script, out = self.folder / "library.ld", self.folder / "library.elf"
        script.write_text(Layout(0, 0, 0x2000_0000, 0, 0, 0).script(_ROOM, _ROOM))
        objects = [self.folder / "fw__stub.o", self.folder / "wt__memory.o"]
        self.toolchain.link(objects, script, out, self.processor)
        return _by_symbol(Elf.parse(out.read_bytes()))

    def _pieces(self, source: Path, *options: str) -> list[Piece]:
        self._compile(source, "measured.o", *options)
        return pieces((self.folder / "measured.o").read_bytes())

    def _compile(self, source: Path, to: str, *options: str) -> None:
        with resources.as_file(_FIRMWARE / "include") as include:
            given = ("-I.", "-isystem", str(include), *options)
            self.toolchain.compile(source, self.folder / to, self.processor, given)


_STUB: Final = """\
extern void {name}(void);
__attribute__((used, section(".firmware_vectors"))) void (*const wanted)(void) = {name};
"""


def _rows(found: Sequence[Piece]) -> Iterator[tuple[str, list[Any]]]:
    for piece in found:
        yield _plain(piece.name), [piece.bytes, piece.align, *map(_plain, piece.needs)]


def _plain(name: str) -> str:
    return name.removeprefix(".text.")


_OWN: Final = ("memcpy", "memmove", "memset")
_PLACED: Final = (0, 1, 2)  # kinds of symbols: of no type, objects, functions


def _by_symbol(elf: Elf) -> dict[str, int]:
    """Bytes from each symbol of .text to the next, but for those of memory.c."""
    text = elf.sections.get(".text")
    if text is None:
        return {}
    end = text.address + text.bytes
    named: dict[int, str] = {}
    for symbol in sorted(elf.symbols, key=lambda s: s.name):
        inside = text.address <= symbol.address < end and symbol.kind in _PLACED
        if inside and symbol.name and not symbol.name.startswith("$"):
            named.setdefault(symbol.address, symbol.name)
    starts = sorted(named)
    spans = zip(starts, [*starts[1:], end], strict=True)
    return {named[a]: b - a for a, b in spans if named[a] not in _OWN and b > a}


def stale(table: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which compilers and cores the table has no sizes of today's kernels for."""
    return [
        f"{kind}: {key}"
        for kind in COMPILERS
        for key in PROCESSORS
        if table.get(kind, {}).get(key, {}).get("fingerprint") != fingerprint(kind, key)
    ]


if __name__ == "__main__":
    main()
