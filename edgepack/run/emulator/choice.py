"""Which compiler and which emulator run a model: what is installed, or what the user names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgepack.devices import Target
from edgepack.errors import BadInput, MissingDependency
from edgepack.run.emulator.cores import Processor, processor_of, stand_in
from edgepack.run.emulator.qemu_machine import find_qemu
from edgepack.run.emulator.toolchain import KINDS, Toolchain, find_toolchain
from edgepack.run.emulator.unicorn_machine import has_unicorn

EMULATORS: Final = ("unicorn", "qemu")
PLACE: Final = "emulator"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user forces; None leaves the choice."""

    toolchain: str | None = None
    emulator: str | None = None

    @classmethod
    def parse(cls, on: str) -> Wanted:
        """`emulator`, or with compiler and emulator named: `emulator:zig`, `emulator:gcc+qemu`.

        Raises BadInput for other names.
        """
        _, _, names = on.partition(":")
        wanted: dict[str, str] = {}
        for name in filter(None, names.split("+")):
            kind = "toolchain" if name in KINDS else "emulator" if name in EMULATORS else None
            if kind is None or kind in wanted:
                raise BadInput(
                    f"--on {on}: {name!r} is not a compiler or emulator"
                    if kind is None
                    else f"--on {on} names two of one kind",
                    hint=f"emulator[:{'|'.join(KINDS)}][+{'|'.join(EMULATORS)}], such as "
                    "emulator:gcc+qemu",
                )
            wanted[kind] = name
        return cls(**wanted)


@dataclass(frozen=True, slots=True)
class Chosen:
    """`processor` is what the code is compiled for: with a note where that is not the device's."""

    processor: Processor
    toolchain: Toolchain
    emulator: str
    note: str | None = None

    @property
    def exact(self) -> bool:
        """Whether instructions are the device's."""
        return self.note is None


def choose(target: Target, wanted: Wanted) -> Chosen:
    """The tools for a target: gcc before zig, Unicorn before QEMU.

    Raises BadTarget for a core that cannot be emulated, MissingDependency or BadInput for tools
    that are not installed.
    """
    processor = processor_of(target)
    toolchain = find_toolchain(wanted.toolchain)
    if processor.core.unicorn is not None or wanted.emulator == "qemu":
        return Chosen(processor, toolchain, wanted.emulator or _emulator_for(processor))
    if wanted.emulator is None and find_qemu():
        return Chosen(processor, toolchain, "qemu")
    other = stand_in(processor)
    if other is None or not has_unicorn():
        raise MissingDependency("unicorn", "mcu", "emulating a microcontroller")
    note = (
        f"Unicorn has no {processor.core.name}: compiled for {other.core.name} instead. The bits "
        "are the same, instructions are not; QEMU has it (Debian: apt-get install qemu-system-arm)"
    )
    return Chosen(other, toolchain, "unicorn", note)


def _emulator_for(processor: Processor) -> str:
    if not has_unicorn() and find_qemu() and processor.core.board:
        return "qemu"
    return "unicorn"
