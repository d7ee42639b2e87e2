"""A C export behind the protocol of every runtime, compiled and run for a device profile.

model = EmulatedModel.open(Path("build/model_c"), target, inputs, outputs)
model.measure([image])      # instructions by node, stack, arena
model.run([image])          # the bits that the device would give
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np

from edgepack.devices import Target
from edgepack.errors import BadData, BadInput
from edgepack.ir import Array
from edgepack.run.base import TensorInfo
from edgepack.run.emulator.choice import Chosen, Wanted, choose
from edgepack.run.emulator.firmware import Firmware, build
from edgepack.run.emulator.outcome import EmulationFault, Machine, Ran, Sample
from edgepack.run.emulator.qemu_machine import QemuMachine
from edgepack.run.emulator.unicorn_machine import UnicornMachine

DEFAULT_LIMIT: Final = 1_000_000_000  # instructions of one inference


@dataclass(frozen=True, slots=True)
class NodeCost:
    """Instructions of one node."""

    node: str
    op: str
    instructions: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one inference takes on the emulated device.

    `instructions` are of the program without calls before nodes; `nodes` are measured with them and
    without what they take. `stack_bytes` and `arena_used_bytes` are high-water marks.
    `depends_on_memory`: outputs changed when memory was filled before, so the code reads what it
    never wrote. `unaligned` counts accesses that the core splits, None where nobody looked.
    """

    instructions: int
    nodes: tuple[NodeCost, ...]
    stack_bytes: int
    arena_used_bytes: int | None
    depends_on_memory: bool
    unaligned: int | None


class EmulatedModel:
    """A C export, built for a target and loaded in an emulator; `Runtime` for one sample at a time.

    `firmware.sizes` has the bytes of the program.
    """

    def __init__(
        self,
        firmware: Firmware,
        chosen: Chosen,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        *,
        limit: int = DEFAULT_LIMIT,
        threads: int = 1,
    ) -> None:
        self.firmware, self.chosen = firmware, chosen
        self.inputs, self.outputs = list(inputs), list(outputs)
        self._limit, self._threads = limit, threads
        self._machines: SimpleQueue[Machine] = SimpleQueue()
        self._require_same_ports()
        for _ in range(threads if chosen.emulator == "unicorn" else 1):
            self._machines.put(self._machine(firmware.released))

    @classmethod
    def open(
        cls,
        folder: Path,
        target: Target,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        *,
        wanted: Wanted | None = None,
        limit: int = DEFAULT_LIMIT,
        threads: int = 1,
    ) -> EmulatedModel:
        """Build the C files in `folder` for `target` and load them.

        Raises BadTarget for a core that cannot be emulated, BadInput for files that do not build,
        DoesNotFit for more than the profile's flash or SRAM, MissingDependency without the tools.
        """
        chosen = choose(target, wanted or Wanted())
        firmware = build(folder, target, chosen.processor, chosen.toolchain)
        firmware.check_fits(target)
        return cls(firmware, chosen, inputs, outputs, limit=limit, threads=threads)

    # -- running -----------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Runtime.run`. Raises EmulationFault."""
        return self.run_all([inputs])[0][0]

    def run_all(self, samples: Sequence[Sequence[Array]]) -> list[tuple[list[Array], int]]:
        """Outputs and instructions of each sample, several at a time.

        Raises EmulationFault, with the name of the node, where the device would stop.
        """
        packed = [self._packed(sample) for sample in samples]
        if self.chosen.emulator == "qemu":  # one process takes all the samples of a part
            parts = [packed[i :: self._threads] for i in range(self._threads) if packed[i:]]
        else:
            parts = [[sample] for sample in packed]
        with ThreadPoolExecutor(self._threads) as pool:
            done = list(pool.map(self._run_part, parts))
        step = len(parts) if self.chosen.emulator == "qemu" else len(packed)
        ordered = [done[i % step][i // step] for i in range(len(packed))]
        return [(self._unpacked(ran), ran.instructions) for ran in ordered]

    def measure(self, inputs: Sequence[Array]) -> Measured:
        """What one inference takes. Raises EmulationFault."""
        sample = self._packed(inputs)
        profiled = self._machine(self.firmware.profiled, watch=True)
        by_node = next(iter(profiled.run([sample])))
        marked = self._run_part([sample], paint=True)[0]
        clean = self._run_part([sample])[0]
        return Measured(
            clean.instructions,
            tuple(
                NodeCost(name, op, count)
                for (op, name), count in zip(self.firmware.model.nodes, by_node.nodes, strict=False)
            ),
            marked.stack_bytes or 0,
            marked.arena_bytes,
            marked.outputs != clean.outputs,
            by_node.unaligned,
        )

    def _run_part(self, part: Sequence[Sample], *, paint: bool = False) -> list[Ran]:
        machine = self._machines.get() if self.chosen.emulator == "unicorn" else None
        try:
            return list((machine or self._machine(self.firmware.released)).run(part, paint=paint))
        except EmulationFault as fault:
            raise self._named(fault, part) from fault
        finally:
            if machine is not None:
                self._machines.put(machine)

    def _named(self, fault: EmulationFault, part: Sequence[Sample]) -> EmulationFault:
        """The same fault in the program that says which node runs."""
        try:
            list(self._machine(self.firmware.profiled, watch=True).run(part))
        except EmulationFault as named:
            return named
        return fault

    def _machine(self, program: bytes, *, watch: bool = False) -> Machine:
        if self.chosen.emulator == "qemu":
            return QemuMachine(self.firmware, program, self._limit)
        return UnicornMachine(self.firmware, program, limit=self._limit, watch=watch)

    # -- arrays ------------------------------------------------------------------------------------

    def _require_same_ports(self) -> None:
        model = self.firmware.model
        for side, infos, sizes in (
            ("inputs", self.inputs, model.input_bytes),
            ("outputs", self.outputs, model.output_bytes),
        ):
            expected = tuple(_nbytes(info) for info in infos)
            if expected != sizes:
                raise BadInput(
                    f"{model.folder}/{model.prefix}.h has {side} of {list(sizes)} bytes; the "
                    f"export's are {list(expected)}",
                    hint="the C files are of another export: export again",
                )

    def _packed(self, sample: Sequence[Array]) -> Sample:
        packed = []
        for info, array in zip(self.inputs, sample, strict=True):
            if array.shape != info.shape or array.dtype != info.dtype.numpy:
                raise BadData(
                    f"input '{info.name}' takes {info.dtype}{list(info.shape)}, "
                    f"not {array.dtype}{list(array.shape)}"
                )
            packed.append(np.ascontiguousarray(array).tobytes())
        return packed

    def _unpacked(self, ran: Ran) -> list[Array]:
        return [
            np.frombuffer(data, info.dtype.numpy).reshape(info.shape)
            for info, data in zip(self.outputs, ran.outputs, strict=True)
        ]


def _nbytes(info: TensorInfo) -> int:
    return int(np.prod(info.shape, dtype=np.int64)) * np.dtype(info.dtype.numpy).itemsize
