"""The processor cores that can be emulated: how to compile for them and what runs them.

A profile's core is found by its name (`Cortex-M4F`, `Cortex-M55 HP`); its `isa` decides on floating
point, DSP and MVE instructions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgepack.devices import Target
from edgepack.errors import BadTarget


@dataclass(frozen=True, slots=True)
class Board:
    """One of QEMU's machines: where its memories lie, their bytes, its counters and their clock.

    `vectors` is where the core looks for its vector table after reset.
    """

    machine: str
    vectors: int
    code: int
    code_bytes: int
    ram: int
    ram_bytes: int
    fpgaio: int
    counter_hz: int


@dataclass(frozen=True, slots=True)
class Core:
    """A core as the compilers and emulators know it.

    `fpu` and `fpu_double` are gcc's names of the floating-point units; `unicorn` is the model's
    name in Unicorn's constants, None where it has none.
    """

    name: str
    gcc: str
    zig: str
    unicorn: str | None
    board: Board | None
    fpu: str | None = None
    fpu_double: str | None = None
    zig_fpu: str | None = None
    strict_alignment: bool = False
    stands_in: str | None = None


@dataclass(frozen=True, slots=True)
class Processor:
    """The core of one device with the features that it really has: what code is compiled for."""

    core: Core
    floats: str  # none, single or double
    dsp: bool
    mve: bool

    @property
    def abi(self) -> str:
        """How floating-point arguments are passed: hard or soft."""
        return "soft" if self.floats == "none" else "hard"

    def gcc_flags(self) -> tuple[str, ...]:
        """For arm-none-eabi-gcc."""
        core, unit = self.core, self.core.fpu
        name = core.gcc
        if core.name == "Cortex-M33" and not self.dsp:
            name += "+nodsp"
        if core.name == "Cortex-M55":
            name += "" if self.mve else "+nomve"
            unit = "auto"
        if self.floats == "double" and core.fpu_double:
            unit = core.fpu_double
        flags = (f"-mcpu={name}", "-mthumb", f"-mfloat-abi={self.abi}")
        return flags if unit is None or self.floats == "none" else (*flags, f"-mfpu={unit}")

    def zig_flags(self) -> tuple[str, ...]:
        """For `python -m ziglang cc`."""
        cpu = self.core.zig
        if self.floats != "none" and self.core.zig_fpu:
            cpu += f"+{self.core.zig_fpu}"
            if self.floats == "double":
                cpu += f"+{self.core.zig_fpu.removesuffix('sp')}"
        if self.core.name == "Cortex-M33" and self.dsp:
            cpu += "+dsp"
        if self.mve:
            cpu += "+mve_fp" if self.floats != "none" else "+mve"
        suffix = "eabihf" if self.abi == "hard" else "eabi"
        return ("-target", f"thumb-freestanding-{suffix}", f"-mcpu={cpu}")


_MPS2: Final = {
    "vectors": 0, "code": 0, "code_bytes": 4 << 20, "ram": 0x2000_0000, "ram_bytes": 4 << 20,
    "fpgaio": 0x4002_8000, "counter_hz": 25_000_000,
}  # fmt: skip
_AN505: Final = Board(
    "mps2-an505", vectors=0x1000_0000, code=0x1000_0000, code_bytes=4 << 20,
    ram=0x3800_0000, ram_bytes=4 << 20, fpgaio=0x5030_2000, counter_hz=20_000_000,
)  # fmt: skip
_AN547: Final = Board(
    "mps3-an547", vectors=0x1000_0000, code=0x1100_0000, code_bytes=2 << 20,
    ram=0x3100_0000, ram_bytes=4 << 20, fpgaio=0x5930_2000, counter_hz=20_000_000,
)  # fmt: skip

CORES: Final[Mapping[str, Core]] = {
    core.name: core
    for core in (
        Core("Cortex-M0", "cortex-m0", "cortex_m0", "CORTEX_M0", None, strict_alignment=True),
        Core(
            "Cortex-M0+", "cortex-m0plus", "cortex_m0plus", "CORTEX_M0", None,
            strict_alignment=True,
        ),
        Core("Cortex-M3", "cortex-m3", "cortex_m3", "CORTEX_M3", Board("mps2-an385", **_MPS2)),
        Core(
            "Cortex-M4", "cortex-m4", "cortex_m4", "CORTEX_M4",
            Board("mps2-an386", **_MPS2), fpu="fpv4-sp-d16", zig_fpu="vfp4d16sp",
        ),
        Core(
            "Cortex-M7", "cortex-m7", "cortex_m7", "CORTEX_M7",
            Board("mps2-an500", **_MPS2), fpu="fpv5-sp-d16", fpu_double="fpv5-d16",
            zig_fpu="fp_armv8d16sp",
        ),
        Core(
            "Cortex-M33", "cortex-m33", "cortex_m33", "CORTEX_M33", _AN505,
            fpu="fpv5-sp-d16", zig_fpu="fp_armv8d16sp",
        ),
        Core(
            "Cortex-M55", "cortex-m55", "cortex_m55", None, _AN547,
            zig_fpu="fp_armv8d16sp", stands_in="Cortex-M33",
        ),
    )
}  # fmt: skip

_NAME: Final = re.compile(r"Cortex-M(0\+|\d+)F?(?!\w)", re.IGNORECASE)


def processor_of(target: Target) -> Processor:
    """What code for `target` is compiled for.

    Raises BadTarget for a core that no emulator here has: Xtensa, RISC-V, application processors.
    """
    first = target.cores[0]
    found = _NAME.match(first.name)
    core = CORES.get(f"Cortex-M{found[1]}") if found else None
    if core is None:
        raise BadTarget(
            f"{target.name} ({target.id}) cannot be emulated: its core is {first.name}",
            at="cores[0].name",
            hint=f"emulated are {', '.join(CORES)}; --on host runs the files on this machine",
        )
    floats = "double" if "fpu-double" in first.isa else "single"
    if "fpu" not in first.isa and "fpu-double" not in first.isa:
        floats = "none"
    return Processor(core, floats, "dsp" in first.isa, "mve" in first.isa)


def stand_in(processor: Processor) -> Processor | None:
    """The core that Unicorn runs for one it lacks: the same bits, other instruction counts."""
    if processor.core.stands_in is None:
        return None
    return Processor(CORES[processor.core.stands_in], processor.floats, processor.dsp, mve=False)
