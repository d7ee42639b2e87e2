"""Huffman codes of int8 and int16 elements, read through tables of several bits at a time.

A table of 2**k entries is looked up with the next k bits. An entry is a symbol with the number of
bits of these that belong to its code (the others are put back), or the way to a table for the bits
that follow: k - 1 of that, and its distance from this entry. int8 has entries of 16 bits, int16 of
32: a mark for symbols, 4 bits, and 11 or 27 for the symbol or the distance. Codewords run most
significant bit first through words of 32 bits stored big end first.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, QuantParams, Value

_VERSION: Final = 1
_MOST_TABLE_BITS: Final = 8  # the format has 16, but a symbol's own bits are at most 15

Code = str  # of the characters 0 and 1


@dataclass(frozen=True, slots=True)
class _Entry:
    """The fields of an entry: where the 4 bits begin, how many bits the value has."""

    bits: int
    shift: int
    dtype: npt.DTypeLike

    @property
    def mark(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def symbol_mask(self) -> int:
        return 0xFF if self.bits == 16 else 0xFFFF

    @property
    def value_mask(self) -> int:
        return (1 << self.shift) - 1


_ENTRIES: Final = {DType.INT8: _Entry(16, 11, "<u2"), DType.INT16: _Entry(32, 27, "<u4")}


def pack_huffman(
    data: Array, dtype: DType, quant: QuantParams | None
) -> tuple[npt.NDArray[np.uint8], bytes, bytes]:
    """(codewords, own metadata, tables). Raises ValueError for types other than int8 and int16."""
    if dtype not in _ENTRIES:
        raise ValueError(f"{dtype} has no Huffman codes, int8 and int16 have")
    symbols, index, counts = np.unique(data, return_inverse=True, return_counts=True)
    codes = huffman_codes(counts)
    by_code = {code: int(s) for code, s in zip(codes, symbols, strict=True)}
    form = _ENTRIES[dtype]
    entries: list[int] = []
    first = _add_table(by_code, form, entries)
    wide = int(dtype is DType.INT16)
    own = bytes([_VERSION, (first - 1) << 4 | wide])
    tables = np.array(entries, form.dtype).tobytes()
    return _codewords(codes, index.reshape(-1)), own, tables


def unpack_huffman(
    encoded: npt.NDArray[np.uint8],
    own: npt.NDArray[np.uint8],
    tables: npt.NDArray[np.uint8],
    like: Value,
) -> Array:
    """The elements in order. Raises ValueError when codewords end early or leave the tables."""
    form = _ENTRIES[DType.INT16 if own[1] & 1 else DType.INT8]
    if like.dtype not in _ENTRIES or (like.dtype is DType.INT16 and form.bits == 16):
        raise ValueError(f"these Huffman tables are not for {like.dtype}")
    width = form.bits // 8
    entries = np.frombuffer(tables[: tables.size // width * width].tobytes(), form.dtype)
    text = (np.unpackbits(encoded) + ord("0")).tobytes().decode()
    try:
        symbols = _decoded(text, entries.tolist(), (int(own[1]) >> 4) + 1, like.size, form)
    except IndexError:
        raise ValueError("a codeword leads beyond the tables") from None
    return np.array(symbols, np.int64).astype(like.dtype.numpy)


def _decoded(text: Code, entries: list[int], first: int, count: int, form: _Entry) -> list[int]:
    """The low bits of `count` symbols. Every step reads a bit at least, so bad tables end too."""
    symbols, at = [], 0
    mark, shift, mask = form.mark, form.shift, form.value_mask
    for _ in range(count):
        bits, index = first, int(text[at : at + first], 2)
        at += bits
        entry = entries[index]
        while not entry & mark:
            bits = (entry >> shift & 15) + 1
            index += (entry & mask) + int(text[at : at + bits], 2)
            at += bits
            entry = entries[index]
        at -= max(0, bits - (entry >> shift & 15))  # bits that belong to the next code
        symbols.append(entry & mask)
    return symbols


def huffman_codes(counts: npt.NDArray[np.int64]) -> list[Code]:
    """Codes of least total length for symbols that occur `counts` times, in canonical order."""
    if len(counts) == 1:
        return ["0"]
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (int(count), i, (i,)) for i, count in enumerate(counts)
    ]
    heapq.heapify(heap)
    lengths = [0] * len(counts)
    while len(heap) > 1:
        (a, i, left), (b, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in (*left, *right):
            lengths[symbol] += 1
        heapq.heappush(heap, (a + b, i, (*left, *right)))
    return _canonical(lengths)


def _canonical(lengths: list[int]) -> list[Code]:
    codes, code, last = [""] * len(lengths), 0, 0
    for symbol in sorted(range(len(lengths)), key=lambda s: (lengths[s], s)):
        code <<= lengths[symbol] - last
        last = lengths[symbol]
        codes[symbol] = format(code, f"0{last}b")
        code += 1
    return codes


def _add_table(codes: Mapping[Code, int], form: _Entry, entries: list[int]) -> int:
    """Append the table for the ends of codes, and those it leads to; returns its bits."""
    _, bits = _cheapest(codes)
    start = len(entries)
    entries.extend([form.mark | 1 << form.shift] * (1 << bits))  # of the one code that is never met
    for code, symbol in codes.items():
        if len(code) <= bits:
            low = int(code, 2) << (bits - len(code))
            entry = form.mark | len(code) << form.shift | symbol & form.symbol_mask
            for index in range(low, low + (1 << (bits - len(code)))):
                entries[start + index] = entry
    for prefix, ends in _longer(codes, bits).items():
        here, there = start + int(prefix, 2), len(entries)
        below = _add_table(ends, form, entries)
        entries[here] = (below - 1) << form.shift | (there - here)
    return bits


def _cheapest(codes: Mapping[Code, int]) -> tuple[int, int]:
    """(entries of the table and all below it, its bits) with the fewest entries."""
    longest = min(max(map(len, codes)), _MOST_TABLE_BITS)
    found = []
    for bits in range(1, longest + 1):
        below = sum(_cheapest(ends)[0] for ends in _longer(codes, bits).values())
        found.append(((1 << bits) + below, -bits))  # of equal ones the one with fewer steps
    entries, bits = min(found)
    return entries, -bits


def _longer(codes: Mapping[Code, int], bits: int) -> dict[Code, dict[Code, int]]:
    """By their first `bits`, the ends of the codes that are longer."""
    found: dict[Code, dict[Code, int]] = {}
    for code, symbol in codes.items():
        if len(code) > bits:
            found.setdefault(code[:bits], {})[code[bits:]] = symbol
    return found


def _codewords(codes: list[Code], index: Array) -> npt.NDArray[np.uint8]:
    """The bits in whole words of 32, with room for what a lookup reads beyond the last."""
    text = "".join([codes[i] for i in index.tolist()]) + "0" * _MOST_TABLE_BITS
    text = text.ljust(-(-len(text) // 32) * 32, "0")
    return np.packbits(np.frombuffer(text.encode(), np.uint8) - ord("0"))
