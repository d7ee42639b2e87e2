"""Counting Thumb instructions, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.devices import Target
from edgepack.errors import BadInput, BadTarget, InternalError
from edgepack.profiles import list_targets
from edgepack.run.emulator import Wanted
from edgepack.run.emulator.cores import processor_of
from edgepack.run.emulator.elf import Elf, Symbol, divisions, instruction_starts

NOP, ADDW, LDRD, SDIV = 0xBF00, 0xF101_0101, 0xE9D0_0100, 0xFB91_F3F2  # sdiv r3, r1, r2


def _code(*instructions: int) -> bytes:
    halves: list[int] = []
    for word in instructions:
        halves += [word >> 16, word & 0xFFFF] if word > 0xFFFF else [word]
    return np.array(halves, "<u2").tobytes()


def _mark(kind: str, address: int) -> Symbol:
    return Symbol(f"${kind}", address, 0, 0)


STARTS = {
    "16 bits": (_code(NOP, NOP), [_mark("t", 0)], [0, 1, 2]),
    "32 bits": (_code(ADDW, LDRD), [_mark("t", 0)], [0, 1, 1, 2, 2]),
    "mixed": (_code(NOP, ADDW, NOP), [_mark("t", 0)], [0, 1, 2, 2, 3]),
    "literals behind": (_code(NOP, NOP, ADDW), [_mark("t", 0), _mark("d", 4)], [0, 1, 2, 2, 2]),
    "literals between": (
        _code(NOP, NOP, NOP, NOP),
        [_mark("t", 0), _mark("d", 2), _mark("t", 6)],
        [0, 1, 1, 1, 2],
    ),
    "marks that go on, as $t.1": (_code(NOP, NOP), [Symbol("$t.1", 0, 0, 0)], [0, 1, 2]),
    "no code": (_code(NOP), [_mark("d", 0)], [0, 0]),
}


@pytest.mark.parametrize(("code", "marks", "starts"), STARTS.values(), ids=STARTS)
def test_instruction_starts(code: bytes, marks: list[Symbol], starts: list[int]) -> None:
    for base in (0, 0x1000_0000):
        moved = tuple(Symbol(m.name, m.address + base, 0, 0) for m in marks)
        assert instruction_starts(code, base, moved).tolist() == starts


def test_divisions_are_found_with_their_divisor() -> None:
    code = _code(NOP, SDIV, ADDW, SDIV + 1)
    assert divisions(code, 0x100, (_mark("t", 0x100),)) == [(0x102, 2), (0x10A, 3)]
    assert divisions(code, 0x100, (_mark("d", 0x100),)) == []


def test_what_is_no_program_for_arm() -> None:
    with pytest.raises(InternalError, match="little-endian"):
        Elf.parse(b"MZ" + bytes(100))


# -- choosing --------------------------------------------------------------------------------------

WANTED = {
    "emulator": Wanted(),
    "emulator:": Wanted(),
    "emulator:zig": Wanted("zig"),
    "emulator:qemu": Wanted(emulator="qemu"),
    "emulator:gcc+qemu": Wanted("gcc", "qemu"),
    "emulator:unicorn+zig": Wanted("zig", "unicorn"),
}


@pytest.mark.parametrize(("text", "wanted"), WANTED.items(), ids=WANTED)
def test_what_is_forced(text: str, wanted: Wanted) -> None:
    assert Wanted.parse(text) == wanted


def test_other_tools_are_refused() -> None:
    with pytest.raises(BadInput, match="'clang' is not"):
        Wanted.parse("emulator:clang")


@pytest.mark.parametrize("target", list_targets(), ids=lambda target: target.id)
def test_every_profile_is_emulated_or_says_why_not(target: Target) -> None:
    if "Cortex-M" in target.cores[0].name:
        processor = processor_of(target)
        assert processor.core.name in target.cores[0].name
        assert processor.mve == ("mve" in target.isa)
        assert (processor.abi == "hard") == ("fpu" in target.isa)
        assert target.emulator is not None
        assert target.emulator.cycles_per_instruction is not None
    else:
        with pytest.raises(BadTarget, match="cannot be emulated"):
            processor_of(target)
