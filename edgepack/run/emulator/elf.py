"""Just enough of ELF: the loaded segments, sections and symbols of a linked 32-bit Arm program.

Specification: Tool Interface Standard, ELF 1.2; ELF for the Arm Architecture (mapping symbols).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgepack.errors import InternalError

# Records of the file format, for relocatable files too.
HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT: Final = struct.Struct("<8I")
SECTION: Final = struct.Struct("<10I")
SYMBOL: Final = struct.Struct("<IIIBBH")
SYMTAB: Final = 2
_ARM, _LOAD, _NOBITS = 40, 1, 8
ALLOCATED: Final = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """What is loaded: `data` belongs at `address` when the program runs, at `stored` before."""

    address: int
    stored: int
    data: bytes
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section that takes memory; `stored_bytes` is 0 where it is only cleared."""

    name: str
    address: int
    bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named place; functions' addresses come without the bit that says Thumb."""

    name: str
    address: int
    bytes: int
    kind: int


@dataclass(frozen=True, slots=True)
class Elf:
    """A linked program."""

    segments: tuple[Segment, ...]
    sections: Mapping[str, Section]
    symbols: tuple[Symbol, ...]

    @classmethod
    def parse(cls, data: bytes) -> Elf:
        """Read a program. Raises InternalError for what no Arm linker of ours writes."""
        if data[:6] != b"\x7fELF\x01\x01" or len(data) < HEADER.size:
            raise InternalError("the linker did not write a little-endian 32-bit ELF file")
        header = HEADER.unpack_from(data)
        if header[2] != _ARM:
            raise InternalError("the linker did not write a program for Arm")
        phoff, shoff, phsize, phnum, shsize, shnum, shstr = (
            header[i] for i in (5, 6, 9, 10, 11, 12, 13)
        )
        heads = [SECTION.unpack_from(data, shoff + i * shsize) for i in range(shnum)]
        names = heads[shstr][4]
        sections = {
            s.name: s for s in (_section(data, head, names) for head in heads) if s is not None
        }
        segments = (_SEGMENT.unpack_from(data, phoff + i * phsize) for i in range(phnum))
        return cls(
            tuple(
                Segment(address, stored, data[offset : offset + size], memory)
                for kind, offset, address, stored, size, memory, _, _ in segments
                if kind == _LOAD and memory
            ),
            sections,
            tuple(_symbols(data, heads)),
        )

    def address(self, name: str) -> int | None:
        """Where the symbol is; None without one."""
        return next((s.address for s in self.symbols if s.name == name), None)

    def symbol(self, name: str) -> Symbol | None:
        """The symbol of that name."""
        return next((s for s in self.symbols if s.name == name), None)

    def function_at(self, address: int) -> str:
        """The function that holds `address`, with the offset in it; the number without one."""
        functions = [s for s in self.symbols if s.kind == 2 and s.address <= address]
        nearest = max(functions, key=lambda s: s.address, default=None)
        if nearest is None or address >= nearest.address + max(nearest.bytes, 2):
            return f"0x{address:08x}"
        return f"{nearest.name}+{address - nearest.address}"

    def section_bytes(self, name: str) -> int:
        """The size of a section; 0 without one."""
        return self.sections[name].bytes if name in self.sections else 0


def _section(data: bytes, head: tuple[int, ...], names: int) -> Section | None:
    name, kind, flags, address, _, size = head[:6]
    if not flags & ALLOCATED or not size:
        return None
    return Section(_text(data, names + name), address, size, 0 if kind == _NOBITS else size)


def _symbols(data: bytes, heads: list[tuple[int, ...]]) -> Iterator[Symbol]:
    for head in heads:
        if head[1] != SYMTAB:
            continue
        strings = heads[head[6]][4]
        for offset in range(head[4], head[4] + head[5], SYMBOL.size):
            name, value, size, info, _, section = SYMBOL.unpack_from(data, offset)
            kind = info & 15
            if section:
                address = value & ~1 if kind == 2 else value
                yield Symbol(_text(data, strings + name), address, size, kind)


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode("utf-8", "replace")


def instruction_starts(code: bytes, base: int, symbols: tuple[Symbol, ...]) -> NDArray[np.uint32]:
    """How many instructions start before each halfword of `code`; one entry more than halfwords.

    Thumb mixes 16 and 32 bits: a first halfword whose upper five bits are 11101, 11110 or 11111
    begins a 32-bit instruction (Armv7-M, A5.1). Literals among the code are skipped by the mapping
    symbols `$t` and `$d`.
    """
    halfwords = np.frombuffer(code[: len(code) // 2 * 2], "<u2")
    wide = (halfwords >> 11) >= 0b11101
    starts = np.zeros(len(halfwords) + 1, np.uint32)
    for first, end in _code_ranges(base, len(halfwords), symbols):
        at = first
        while at < end:
            starts[at + 1] = 1
            at += 2 if wide[at] else 1
    return np.cumsum(starts, dtype=np.uint32)


def divisions(code: bytes, base: int, symbols: tuple[Symbol, ...]) -> list[tuple[int, int]]:
    """Address and divisor's register of each SDIV and UDIV (Armv7-M, A7.7)."""
    halfwords = np.frombuffer(code[: len(code) // 2 * 2], "<u2")
    found = []
    for first, end in _code_ranges(base, len(halfwords), symbols):
        at = first
        while at < end:
            one = int(halfwords[at])
            if one >> 11 >= 0b11101 and at + 1 < end:
                two = int(halfwords[at + 1])
                if one & 0xFFD0 == 0xFB90 and two & 0xF0F0 == 0xF0F0:
                    found.append((base + 2 * at, two & 15))
                at += 1
            at += 1
    return found


def _code_ranges(
    base: int, halfwords: int, symbols: tuple[Symbol, ...]
) -> Iterator[tuple[int, int]]:
    """Runs of Thumb code as halfword indices from `base`."""
    marks = sorted(
        ((s.address - base) // 2, s.name[1] == "t")
        for s in symbols
        if s.name[:2] in ("$t", "$d") and base <= s.address < base + 2 * halfwords
    )
    for (at, is_code), (end, _) in zip(marks, [*marks[1:], (halfwords, False)], strict=True):
        if is_code:
            yield at, end
