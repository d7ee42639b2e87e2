"""Sizes of C structures, computed from their fields for a given application binary interface.

TensorFlow Lite Micro keeps its bookkeeping in the same arena as the tensors, so its exact need
depends on pointer width and on whether enums are short. A layout is a line of tokens, in the order
of the fields:

    p   pointer or size_t        i   32 bits (int32_t, int, float)      h   16 bits
    q   64 bits (double, int64_t)   e   enum                            b   8 bits (bool, int8_t)
    {Name}   a nested structure  3i  three of them
    ?i  only in builds with tensor compression      +i  only in releases after August 2026
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

_TOKEN = re.compile(r"([?+]?)(\d*)([piqehb]|\{\w+\})")


@dataclass(frozen=True, slots=True)
class Abi:
    """What a compiler decides about structures.

    `pointer_bytes` is 4 or 8; `enum_bytes` 1 with short enums (the arm-none-eabi default), else 4.
    `compression` tells a TensorFlow Lite Micro with tensor compression compiled in, `recording` one
    whose allocator counts its allocations, `recent` one later than August 2026; the interpreter of
    the tflite-micro package is all three.
    """

    pointer_bytes: int = 4
    enum_bytes: int = 4
    compression: bool = False
    recording: bool = False
    recent: bool = False

    def __post_init__(self) -> None:
        if self.pointer_bytes not in (4, 8) or self.enum_bytes not in (1, 4):
            raise ValueError("pointers take 4 or 8 bytes, enums 1 or 4")


CORTEX_M = Abi(pointer_bytes=4, enum_bytes=1)  # arm-none-eabi: AAPCS bare metal has short enums
ILP32 = Abi(pointer_bytes=4, enum_bytes=4)  # RISC-V and Xtensa toolchains
HOST = Abi(8, 4, compression=True, recording=True, recent=True)  # tflite-micro on PyPI


def align_up(size: int, alignment: int) -> int:
    """The least multiple of `alignment` that is not below `size`."""
    return -(-size // alignment) * alignment


@dataclass(frozen=True, slots=True)
class Extent:
    """Size and alignment of a structure, in bytes."""

    size: int
    alignment: int


class Layouts:
    """Extents of the structures of one table, by name or by a line of fields."""

    def __init__(self, table: Mapping[str, str], abi: Abi) -> None:
        self.abi = abi
        self._table = table
        self.of = cache(self._of)

    def named(self, name: str) -> Extent:
        """Extent of a structure of the table; raises KeyError for an unknown one."""
        return self.of(self._table[name])

    def _of(self, fields: str) -> Extent:
        offset, alignment = 0, 1
        left_out = {"?": not self.abi.compression, "+": not self.abi.recent}
        for condition, count, code in _TOKEN.findall(fields):
            if left_out.get(condition):
                continue
            field = self._field(code)
            offset = align_up(offset, field.alignment) + field.size * int(count or 1)
            alignment = max(alignment, field.alignment)
        return Extent(align_up(max(offset, 1), alignment), alignment)

    def _field(self, code: str) -> Extent:
        if code.startswith("{"):
            return self.named(code[1:-1])
        size = {
            "p": self.abi.pointer_bytes,
            "e": self.abi.enum_bytes,
            "i": 4,
            "q": 8,
            "h": 2,
            "b": 1,
        }[code]
        return Extent(size, size)
