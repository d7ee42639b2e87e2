"""Relocatable ELF: the sections of an object that go into flash, and what each of them refers to.

Specification: Tool Interface Standard, ELF 1.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgepack.run.emulator.elf import ALLOCATED, HEADER, SECTION, SYMBOL, SYMTAB

_PROGBITS, _RELA, _REL = 1, 4, 9  # kinds of sections


@dataclass(frozen=True, slots=True)
class Piece:
    """A section by its name: its bytes, its alignment, the sections and outside names it needs."""

    name: str
    bytes: int
    align: int
    needs: tuple[str, ...]


def pieces(data: bytes) -> list[Piece]:
    """The sections of an object file that a program is linked from, in their order."""
    header = HEADER.unpack_from(data)
    heads = [SECTION.unpack_from(data, header[6] + i * header[11]) for i in range(header[12])]
    names = [_text(data, heads[header[13]][4] + head[0]) for head in heads]
    symbols = _symbols(data, heads)
    needs: dict[int, dict[str, None]] = {}
    for head in heads:
        if head[1] in (_REL, _RELA):
            for index in _relocated(data, head):
                name, section = symbols[index]
                wanted = names[section] if section else name
                if wanted != names[head[7]]:
                    needs.setdefault(head[7], {})[wanted] = None
    return [
        Piece(name, head[5], max(head[8], 1), tuple(needs.get(index, ())))
        for index, (name, head) in enumerate(zip(names, heads, strict=True))
        if head[1] == _PROGBITS and head[2] & ALLOCATED and head[5]
    ]


def _symbols(data: bytes, heads: list[tuple[int, ...]]) -> list[tuple[str, int]]:
    """(name, section) of each symbol; section 0 is outside."""
    table = next(head for head in heads if head[1] == SYMTAB)
    strings = heads[table[6]][4]
    found = []
    for offset in range(table[4], table[4] + table[5], SYMBOL.size):
        name, _, _, _, _, section = SYMBOL.unpack_from(data, offset)
        found.append((_text(data, strings + name), section if section < len(heads) else 0))
    return found


def _relocated(data: bytes, head: tuple[int, ...]) -> list[int]:
    """Indices of the symbols in a section of relocations."""
    size = 12 if head[1] == _RELA else 8
    return [
        struct.unpack_from("<I", data, offset + 4)[0] >> 8
        for offset in range(head[4], head[4] + head[5], size)
    ]


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()
