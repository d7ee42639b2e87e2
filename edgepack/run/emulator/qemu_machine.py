"""Runs a program on one of QEMU's boards, where qemu-system-arm is installed.

With `-icount` virtual time is the number of instructions: at shift 8 each takes 256 ns, more than
five ticks of the board's counter (20 MHz or more), so that a difference of two readings gives the
count exactly. What the readings themselves take is measured by the program and taken off.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgepack.errors import BadInput, InternalError
from edgepack.run.emulator.cores import Board
from edgepack.run.emulator.elf import Elf
from edgepack.run.emulator.firmware import Firmware
from edgepack.run.emulator.linker import STACK_BYTES
from edgepack.run.emulator.outcome import (
    EmulationFault,
    Ran,
    Sample,
    mark_from_bottom,
)

_QEMU: Final = "qemu-system-arm"
_SHIFT: Final = 8
_SLOWEST_PER_SECOND: Final = 20_000_000  # instructions; a run that takes longer does not end
_START_SECONDS: Final = 10
_REGISTER: Final = re.compile(r"R(\d\d)=([0-9a-f]{8})")
_FAULT: Final = struct.Struct("<19I")
_CAUSES: Final = {  # bits of CFSR (Armv7-M, B3.2.15)
    1 << 25: "divides by zero",
    1 << 24: "accesses a misaligned address",
    1 << 17: "jumps to what is not Thumb code",
    1 << 16: "executes an instruction that the core does not have",
    1 << 8: "jumps to where there is no memory",
    1 << 0: "jumps to where no code may be",
}
_HAS_ADDRESS: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class QemuMachine:
    """A linked program on the board of its core; `limit` bounds the instructions of a run.

    Raises BadInput without qemu-system-arm and for programs larger than the board's memories.
    """

    firmware: Firmware
    program: bytes
    limit: int

    def __post_init__(self) -> None:
        board = self._board()
        sizes = self.firmware.sizes
        if sizes.flash_bytes + 0x4000 > board.code_bytes:
            raise BadInput(f"QEMU's {board.machine} has {board.code_bytes:,} B for code")
        if sizes.static_bytes + STACK_BYTES + 0x4000 > board.ram_bytes:
            raise BadInput(f"QEMU's {board.machine} has {board.ram_bytes:,} B of RAM")
        if find_qemu() is None:
            raise BadInput(
                f"{_QEMU} is not installed",
                hint="on Debian: sudo apt-get install qemu-system-arm; --on emulator uses PyPI's "
                "unicorn for all cores but Cortex-M55: pip install 'edgepack[mcu]'",
            )

    def run(self, samples: Sequence[Sample], *, paint: bool = False) -> Iterator[Ran]:
        """See `Machine.run`. All samples go through one process."""
        elf = Elf.parse(self.program)
        arena = elf.address(f"{self.firmware.model.prefix}_arena") or 0
        painted = self.firmware.model.arena_bytes if arena and paint else 0
        with tempfile.TemporaryDirectory(prefix="edgepack-") as folder:
            at = Path(folder)
            head = struct.pack("<4I", len(samples), int(paint), arena, painted)
            (at / "in.bin").write_bytes(head + b"".join(b"".join(s) for s in samples))
            (at / "program.elf").write_bytes(self.program)
            self._execute(at, elf, len(samples))
            result = (at / "out.bin").read_bytes()
        yield from self._parse(result, len(samples), paint, painted, _is_profiled(elf, self))

    def _board(self) -> Board:
        board = self.firmware.processor.core.board
        if board is None:
            raise BadInput(
                f"QEMU has no board with a {self.firmware.processor.core.name}",
                hint="--on emulator:unicorn has this core",
            )
        return board

    def _execute(self, folder: Path, elf: Elf, samples: int) -> None:
        board = self._board()
        command = (
            find_qemu() or _QEMU, "-M", board.machine, "-icount", f"shift={_SHIFT}",
            "-display", "none", "-monitor", "stdio", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-kernel", "program.elf",
        )  # fmt: skip
        seconds = _START_SECONDS + samples * self.limit / _SLOWEST_PER_SECOND
        with subprocess.Popen(
            command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as qemu:  # fmt: skip
            try:
                qemu.wait(seconds)
            except subprocess.TimeoutExpired:
                raise self._endless(qemu, elf, seconds) from None
            done = qemu.communicate()
        fault = folder / "fault.bin"
        if fault.is_file():
            raise self._fault(elf, _FAULT.unpack(fault.read_bytes()))
        if qemu.returncode or not (folder / "out.bin").is_file():
            raise InternalError(f"QEMU ended with {qemu.returncode}: {done[1][:1000]}")

    def _endless(self, qemu: subprocess.Popen[str], elf: Elf, seconds: float) -> EmulationFault:
        """Ask QEMU's monitor where the program is, and end it."""
        at = elf.address("firmware_current_node") or 0
        try:
            said, _ = qemu.communicate(f"stop\ninfo registers\nxp /1wx {at}\nquit\n", timeout=10)
        except subprocess.TimeoutExpired:
            qemu.kill()
            said = ""
        registers = [int(v, 16) for _, v in sorted(_REGISTER.findall(said))]
        node = re.search(rf"^0*{at:x}: 0x([0-9a-f]+)", said, re.MULTILINE)
        return EmulationFault(
            f"does not come to an end: it was stopped after {seconds:.0f} s",
            elf.function_at(registers[15]) if len(registers) == 16 else "QEMU",
            registers,
            self.firmware.model.node_at(int(node[1], 16)) if node else None,
        )

    def _fault(self, elf: Elf, report: tuple[int, ...]) -> EmulationFault:
        registers, status, address, node = report[:16], report[16], report[17], report[18]
        said = [text for bit, text in _CAUSES.items() if status & bit]
        what = said[0] if said else f"raises a fault (CFSR 0x{status:08x})"
        if status & _HAS_ADDRESS:
            what = f"accesses 0x{address:08x}, where there is no memory"
        named = self.firmware.model.node_at(node)
        return EmulationFault(what, elf.function_at(registers[15]), registers, named)

    def _parse(
        self, result: bytes, samples: int, paint: bool, arena_bytes: int, profiled: bool
    ) -> Iterator[Ran]:
        model = self.firmware.model
        nodes = len(model.nodes)
        clock = _Clock(self._board().counter_hz)
        empty_run, empty_node = struct.unpack_from("<2I", result)
        sizes = model.output_bytes
        record = 16 + 4 * nodes + sum(sizes)
        for sample in range(samples):
            at = 8 + sample * record
            status, ticks, hundredths, stack, *by_node = struct.unpack_from(
                f"<{4 + nodes}I", result, at
            )
            if status:
                raise InternalError(f"{model.prefix}_run returned {status}")
            outputs, start = [], at + 16 + 4 * nodes
            for size in sizes:
                outputs.append(result[start : start + size])
                start += size
            tail = result[8 + samples * record :] if paint else b""
            yield Ran(
                tuple(outputs),
                clock.instructions(clock.unwrapped(ticks, hundredths) - empty_run) + _EMPTY_RUN,
                tuple(clock.instructions(t - empty_node) for t in by_node) if profiled else (),
                stack if paint else None,
                mark_from_bottom(tail) if paint and arena_bytes else None,
            )


_EMPTY_RUN: Final = 2  # instructions of harness.c's empty_run


def _is_profiled(elf: Elf, machine: QemuMachine) -> bool:
    return machine.program is machine.firmware.profiled


@dataclass(frozen=True, slots=True)
class _Clock:
    """The board's fine counter, of `hz`, and its coarse one, of a hundredth of a second."""

    hz: int

    def instructions(self, ticks: float) -> int:
        """How many instructions take so many ticks."""
        return round(ticks * 1e9 / self.hz / (1 << _SHIFT))

    def unwrapped(self, ticks: int, hundredths: int) -> int:
        """`ticks` with the wraps of 32 bits that the coarse counter tells of."""
        wraps = round((hundredths * self.hz / 100 - ticks) / 2**32)
        return ticks + max(wraps, 0) * 2**32


def find_qemu() -> str | None:
    """Where qemu-system-arm is; None without it."""
    return shutil.which(_QEMU)
