"""What a run on an emulated device gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edgepack.errors import EdgepackError

PAINT: Final = 0xA5
Sample = Sequence[bytes]  # one buffer per input
_REGISTERS: Final = (*(f"r{i}" for i in range(13)), "sp", "lr", "pc")


@dataclass(frozen=True, slots=True)
class Ran:
    """One inference: outputs as bytes, instructions, and where asked for the marks.

    `nodes` has the instructions of each node, empty for a program without calls before nodes.
    `stack_bytes` and `arena_bytes` are high-water marks, None where memory was not painted.
    `unaligned` counts accesses that the core splits; None where they were not watched.
    """

    outputs: tuple[bytes, ...]
    instructions: int
    nodes: tuple[int, ...] = ()
    stack_bytes: int | None = None
    arena_bytes: int | None = None
    unaligned: int | None = None


class Machine(Protocol):
    """A program loaded in an emulator."""

    def run(self, samples: Sequence[Sample], *, paint: bool = False) -> Iterator[Ran]:
        """Every sample from the same state at power-on.

        With `paint` memory is filled before the run, so that what is used shows. Raises
        EmulationFault.
        """


class EmulationFault(EdgepackError):
    """The firmware did something a device cannot do, or did not come to an end."""

    def __init__(self, what: str, where: str, registers: Sequence[int], node: str | None) -> None:
        at = f"{where}, in node {node}" if node else where
        listed = (f"{n}={v:08x}" for n, v in zip(_REGISTERS, registers, strict=False))
        super().__init__(
            f"the firmware {what}",
            at=at,
            hint="a defect of the C code, or of what was changed in it; " + " ".join(listed),
        )
        self.node = node


def mark_from_top(painted: bytes) -> int:
    """Bytes from the end down to the lowest that is no longer paint: a stack grows downwards."""
    untouched = len(painted) - len(painted.lstrip(bytes([PAINT])))
    return len(painted) - untouched


def mark_from_bottom(painted: bytes) -> int:
    """Bytes from the start up to the highest that is no longer paint."""
    return len(painted.rstrip(bytes([PAINT])))
