"""Cross-compilers: arm-none-eabi-gcc where it is installed, else the one in PyPI's `ziglang`."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgepack.errors import BadInput, MissingDependency
from edgepack.run.emulator.cores import Processor

KINDS: Final = ("gcc", "zig")
_GCC: Final = "arm-none-eabi-gcc"
_COMMON: Final = (
    "-std=c99", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-fno-common",
    "-fno-exceptions", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
    "-fomit-frame-pointer",
)  # fmt: skip
_ZIG: Final = ("-fno-sanitize=all", "-fno-stack-protector", "-Wno-unused-command-line-argument")
_SECONDS: Final = 600  # a first compilation with zig builds its run-time library
_LINES: Final = 12  # of a compiler's complaint


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A C compiler and linker for Arm; `kind` is gcc or zig."""

    kind: str
    command: tuple[str, ...]
    version: str

    @property
    def name(self) -> str:
        """For people: `gcc 12.2.1`."""
        return f"{self.kind} {self.version}"

    def compile(self, source: Path, to: Path, processor: Processor, options: Sequence[str]) -> None:
        """Compile one C file. Raises BadInput with what the compiler says."""
        flags = (*self.flags(processor), *options)
        self._run((*flags, "-c", source.name, "-o", str(to)), source.parent, source.name)

    def flags(self, processor: Processor) -> tuple[str, ...]:
        """What every C file is compiled with."""
        own = _ZIG if self.kind == "zig" else ()
        return (*self._processor_flags(processor), *_COMMON, *own)

    def link(self, objects: Sequence[Path], script: Path, to: Path, processor: Processor) -> None:
        """Link a program by a linker script. Raises BadInput with what the linker says."""
        flags = (*self._processor_flags(processor), "-T", str(script), "-Wl,--gc-sections")
        if self.kind == "gcc":
            flags = (*flags, "-nostartfiles", "-nodefaultlibs", "-Wl,--no-warn-rwx-segments")
        libraries = ("-Wl,--start-group", "-lm", "-lc", "-lgcc", "-Wl,--end-group")
        tail = libraries if self.kind == "gcc" else ()
        self._run((*flags, *map(str, objects), *tail, "-o", str(to)), to.parent, "the firmware")

    def _processor_flags(self, processor: Processor) -> tuple[str, ...]:
        return processor.gcc_flags() if self.kind == "gcc" else processor.zig_flags()

    def _run(self, arguments: Sequence[str], folder: Path, what: str) -> None:
        done = subprocess.run(
            (*self.command, *arguments), cwd=folder, capture_output=True, text=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise BadInput(
                f"{self.name} does not build {what}:\n" + "\n".join(lines[:_LINES]),
                hint="if model_c was not edited after the export, this is a defect of edgepack",
            )


def find_toolchain(kind: str | None = None) -> Toolchain:
    """The compiler to use, or the one of that `kind`.

    Raises MissingDependency, with the line for pip, when there is none.
    """
    makers = {"gcc": _gcc, "zig": _zig}
    for name in (kind,) if kind else KINDS:
        found = makers[name]()
        if found is not None:
            return found
    if kind == "gcc":
        raise BadInput(
            f"{_GCC} is not installed",
            hint="on Debian: sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi; "
            "or --on emulator:zig with pip install 'edgepack[mcu]'",
        )
    raise MissingDependency("ziglang", "mcu", "compiling for an emulated microcontroller")


@functools.cache
def _gcc() -> Toolchain | None:
    path = shutil.which(_GCC)
    return None if path is None else Toolchain("gcc", (path,), _version(path, "-dumpfullversion"))


@functools.cache
def _zig() -> Toolchain | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    zig = (sys.executable, "-m", "ziglang")
    return Toolchain("zig", (*zig, "cc"), _version(*zig, "version"))


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or "of unknown version"


def host_compiler() -> tuple[str, ...]:
    """A compiler for this machine: zig's, or the system's. Raises MissingDependency without one."""
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=all")
    for name in ("cc", "clang", "gcc"):
        path = shutil.which(name)
        if path is not None:
            return (path,)
    raise MissingDependency("ziglang", "mcu", "counting instructions in the emulator")
