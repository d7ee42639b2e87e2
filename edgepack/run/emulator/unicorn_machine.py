"""Runs a program in Unicorn, the CPU emulator from PyPI, and counts its instructions.

The program's functions are called directly. Every block that is executed is counted by a hook in C
(`probe.c`); instructions that a conditional IT block skips are counted, as QEMU counts them.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from edgepack.errors import InternalError, MissingDependency
from edgepack.run.emulator.elf import Elf, divisions, instruction_starts
from edgepack.run.emulator.firmware import CModel, Firmware
from edgepack.run.emulator.linker import STACK_BYTES
from edgepack.run.emulator.outcome import (
    PAINT,
    EmulationFault,
    Ran,
    Sample,
    mark_from_bottom,
    mark_from_top,
)
from edgepack.run.emulator.toolchain import host_compiler

_PAGE: Final = 0x1000
_PAD: Final = 0x80  # behind the vectors: where calls return to
_CALL_INSTRUCTIONS: Final = 2  # that a call before a node takes in its caller
_LIMIT, _MISALIGNED, _DIVIDED = 1, 2, 3
_REASONS: Final = {
    _LIMIT: "does not come to an end: it was stopped after {limit:,} instructions",
    _MISALIGNED: "accesses a word at the misaligned address 0x{address:08x}",
    _DIVIDED: "divides by zero",
}


class _State(ctypes.Structure):
    """`state` of probe.c."""

    _fields_ = [
        ("instructions", ctypes.c_uint64), ("limit", ctypes.c_uint64),
        ("code_base", ctypes.c_uint64), ("code_bytes", ctypes.c_uint64),
        ("starts", ctypes.c_void_p), ("code", ctypes.c_void_p),
        ("profile", ctypes.c_uint64), ("profile_end", ctypes.c_uint64),
        ("nodes", ctypes.c_void_p), ("calls", ctypes.c_void_p),
        ("node_count", ctypes.c_uint32), ("node", ctypes.c_uint32),
        ("reason", ctypes.c_uint32), ("strict", ctypes.c_uint32),
        ("address", ctypes.c_uint64), ("unaligned", ctypes.c_uint64),
        ("reg_read", ctypes.c_void_p), ("stop", ctypes.c_void_p),
    ]  # fmt: skip


class _Division(ctypes.Structure):
    """`division` of probe.c."""

    _fields_ = [("probe", ctypes.c_void_p), ("divisor", ctypes.c_uint64)]


class UnicornMachine:
    """A linked program; with `watch`, misaligned accesses are found too, which takes longer.

    One machine is for one thread. Raises MissingDependency without unicorn, or without a compiler
    for this machine.
    """

    def __init__(
        self, firmware: Firmware, program: bytes, *, limit: int, watch: bool = False
    ) -> None:
        self._unicorn = _unicorn()
        self._model: CModel = firmware.model
        self._elf = Elf.parse(program)
        self._watched = watch
        self._layout = firmware.layout
        self._return = firmware.layout.vectors + _PAD
        self._uc = self._open(firmware)
        self._probe(firmware, limit)
        self._fill = bytes(self._ram_end() - firmware.layout.static)

    def run(self, samples: Sequence[Sample], *, paint: bool = False) -> Iterator[Ran]:
        """See `Machine.run`."""
        for sample in samples:
            yield self._one(sample, paint)

    # -- memory ------------------------------------------------------------------------------------

    def _open(self, firmware: Firmware) -> Any:
        u = self._unicorn
        uc = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB | u.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(getattr(u.arm_const, f"UC_CPU_ARM_{firmware.processor.core.unicorn}"))
        ram, code = self._layout.ram, self._layout.code
        stored = [s for s in self._elf.segments if s.stored < ram]
        end = max(s.stored + len(s.data) for s in stored)
        flash = u.UC_PROT_READ | u.UC_PROT_EXEC
        uc.mem_map(code, _pages(end - code), flash)
        if self._layout.vectors != code:
            uc.mem_map(self._layout.vectors, _PAGE, flash)
        uc.mem_map(ram, _pages(self._ram_end() - ram), u.UC_PROT_READ | u.UC_PROT_WRITE)
        board = firmware.processor.core.board
        uc.mem_map(board.fpgaio if board else 0x4002_8000, _PAGE)  # what the harness's hook reads
        for segment in stored:
            uc.mem_write(segment.stored, segment.data)
        return uc

    def _ram_end(self) -> int:
        ends = (s.address + s.bytes for s in self._elf.sections.values())
        return max(*ends, self._layout.static) if self._elf.sections else self._layout.static

    def _power_on(self, paint: bool) -> None:
        uc = self._uc
        uc.mem_write(self._layout.static, self._fill)
        for segment in self._elf.segments:
            if segment.address >= self._layout.ram and segment.data:
                uc.mem_write(segment.address, segment.data)
        if paint:
            uc.mem_write(self._layout.ram, bytes([PAINT]) * STACK_BYTES)
            arena = self._elf.address(f"{self._model.prefix}_arena")
            if arena is not None:
                uc.mem_write(arena, bytes([PAINT]) * self._model.arena_bytes)

    # -- running -----------------------------------------------------------------------------------

    def _one(self, sample: Sample, paint: bool) -> Ran:
        self._power_on(paint)
        for index, data in enumerate(sample):
            self._uc.mem_write(self._call("input", index), data)
        state = self._state
        ctypes.memset(self._nodes, 0, ctypes.sizeof(self._nodes))
        ctypes.memset(self._calls, 0, ctypes.sizeof(self._calls))
        state.instructions, state.node, state.unaligned = 0, state.node_count, 0
        status = self._call("run")
        if status:
            raise InternalError(f"{self._model.prefix}_run returned {status}")
        instructions, unaligned = state.instructions, state.unaligned
        nodes = [
            n - _CALL_INSTRUCTIONS * c
            for n, c in zip(self._nodes[:-1], self._calls[:-1], strict=True)
        ]
        outputs = tuple(
            bytes(self._uc.mem_read(self._call("output", index), size))
            for index, size in enumerate(self._model.output_bytes)
        )
        stack, arena = self._marks() if paint else (None, None)
        return Ran(
            outputs, instructions, tuple(nodes) if any(self._calls) else (), stack, arena,
            unaligned if self._watched else None,
        )  # fmt: skip

    def _marks(self) -> tuple[int, int | None]:
        stack = mark_from_top(bytes(self._uc.mem_read(self._layout.ram, STACK_BYTES)))
        arena = self._elf.address(f"{self._model.prefix}_arena")
        if arena is None:
            return stack, None
        return stack, mark_from_bottom(bytes(self._uc.mem_read(arena, self._model.arena_bytes)))

    def _call(self, function: str, argument: int = 0) -> int:
        """Call the model's `function`, with the bounds of a run; return what it returns."""
        u, uc, state = self._unicorn, self._uc, self._state
        address = self._elf.address(f"{self._model.prefix}_{function}")
        if address is None:
            raise InternalError(f"the C export has no function {self._model.prefix}_{function}")
        uc.reg_write(u.arm_const.UC_ARM_REG_R0, argument)
        uc.reg_write(u.arm_const.UC_ARM_REG_SP, self._layout.static)
        uc.reg_write(u.arm_const.UC_ARM_REG_LR, self._return | 1)
        state.reason, state.instructions = 0, 0
        try:
            uc.emu_start(address | 1, self._return)
        except u.UcError as problem:
            raise self._fault(_said(problem, u)) from problem
        if state.reason:
            said = _REASONS[state.reason]
            raise self._fault(said.format(limit=state.limit, address=state.address))
        return int(uc.reg_read(u.arm_const.UC_ARM_REG_R0))

    def _fault(self, what: str) -> EmulationFault:
        names = [*(f"R{i}" for i in range(13)), "SP", "LR", "PC"]
        arm = self._unicorn.arm_const
        registers = [int(self._uc.reg_read(getattr(arm, f"UC_ARM_REG_{n}"))) for n in names]
        return EmulationFault(
            what, self._elf.function_at(registers[-1]), registers,
            self._model.node_at(self._state.node),
        )  # fmt: skip

    # -- hooks -------------------------------------------------------------------------------------

    def _probe(self, firmware: Firmware, limit: int) -> None:
        probe, engine = _probe_library(), _engine()
        base = self._layout.code
        text = self._elf.sections.get(".text")
        end = base if text is None else text.address + text.bytes
        harness = self._elf.sections.get(".firmware")
        first = min(text.address if text else end, harness.address if harness else end)
        code = bytes(self._uc.mem_read(first, end - first))
        self._starts = instruction_starts(code, first, self._elf.symbols)
        self._code = ctypes.create_string_buffer(code, len(code))
        slots = len(self._model.nodes) + 1
        self._nodes = (ctypes.c_uint64 * slots)()
        self._calls = (ctypes.c_uint64 * slots)()
        hook = self._elf.symbol(f"{self._model.prefix}_profile")
        self._state = _State(
            limit=limit, code_base=first, code_bytes=len(code),
            starts=self._starts.ctypes.data, code=ctypes.addressof(self._code),
            profile=hook.address if hook else 1,
            profile_end=hook.address + hook.bytes if hook else 1,
            nodes=ctypes.addressof(self._nodes), calls=ctypes.addressof(self._calls),
            node_count=slots - 1, node=slots - 1,
            strict=firmware.processor.core.strict_alignment,
            reg_read=_pointer(engine.uc_reg_read), stop=_pointer(engine.uc_emu_stop),
        )  # fmt: skip
        u, mine = self._unicorn, ctypes.addressof(self._state)
        self._hook(u.UC_HOOK_BLOCK, probe.probe_block, mine)
        if self._watched:
            self._hook(u.UC_HOOK_MEM_READ | u.UC_HOOK_MEM_WRITE, probe.probe_access, mine)
        found = divisions(code, first, self._elf.symbols)
        self._divisions = [_Division(mine, register) for _, register in found]
        for (address, _), division in zip(found, self._divisions, strict=True):
            at = ctypes.addressof(division)
            self._hook(u.UC_HOOK_CODE, probe.probe_division, at, address, address)

    def _hook(self, kind: int, function: Any, data: int, begin: int = 1, end: int = 0) -> None:
        handle = ctypes.c_size_t()
        status = _engine().uc_hook_add(
            self._uc._uch, ctypes.byref(handle), ctypes.c_int(kind), function,
            ctypes.c_void_p(data), ctypes.c_uint64(begin), ctypes.c_uint64(end),
        )  # fmt: skip
        if status:
            raise InternalError(f"Unicorn refuses a hook with error {status}")


def _said(problem: Any, u: Any) -> str:
    """What a device's fault would say."""
    kinds = {
        u.UC_ERR_READ_UNMAPPED: "reads where there is no memory",
        u.UC_ERR_WRITE_UNMAPPED: "writes where there is no memory",
        u.UC_ERR_FETCH_UNMAPPED: "jumps to where there is no memory",
        u.UC_ERR_WRITE_PROT: "writes to flash",
        u.UC_ERR_FETCH_PROT: "jumps into RAM",
        u.UC_ERR_INSN_INVALID: "executes an instruction that the core does not have",
        u.UC_ERR_EXCEPTION: "executes an instruction that the core does not have, or a breakpoint",
    }
    return kinds.get(problem.errno, f"fails: {problem}")


def _pages(size: int) -> int:
    return -(-max(size, 1) // _PAGE) * _PAGE


def has_unicorn() -> bool:
    """Whether Unicorn is installed."""
    try:
        _unicorn()
    except MissingDependency:
        return False
    return True


def _unicorn() -> Any:
    try:
        import unicorn
    except ImportError as problem:
        raise MissingDependency("unicorn", "mcu", "emulating a microcontroller") from problem
    return unicorn


@functools.cache
def _engine() -> Any:
    """Unicorn's C interface, whose hooks take C functions; the Python one takes only Python's."""
    _unicorn()
    from unicorn.unicorn_py3.unicorn import uclib

    return uclib


def _pointer(function: Any) -> Any:
    return ctypes.cast(function, ctypes.c_void_p)


@functools.cache
def _probe_library() -> Any:
    """probe.c, compiled for this machine."""
    with tempfile.TemporaryDirectory(prefix="edgepack-", ignore_cleanup_errors=True) as scratch:
        source = Path(scratch) / "probe.c"
        source.write_bytes((resources.files("edgepack.run.emulator") / "probe.c").read_bytes())
        library = Path(scratch) / "probe.so"
        command = (*host_compiler(), "-O2", "-fPIC", "-shared", "-nostdlib", "-fno-builtin")
        done = subprocess.run(
            (*command, source.name, "-o", library.name), cwd=scratch, capture_output=True,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode:
            raise InternalError(
                f"the compiler of this machine ({sys.platform}) does not build the emulator's "
                f"hooks:\n{done.stderr[:2000]}"
            )
        return ctypes.CDLL(str(library))
