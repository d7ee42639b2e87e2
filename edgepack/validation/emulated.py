"""A C export on an emulated microcontroller, compared bit for bit with what it must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgepack.devices import Target
from edgepack.errors import BadInput, EdgepackError
from edgepack.ir import Array, DType
from edgepack.readers.load import load_graph
from edgepack.readers.options import ReadOptions
from edgepack.report import Latency, Report, Requirement
from edgepack.report.figures import RUNTIMES
from edgepack.run.base import Runtime, TensorInfo
from edgepack.run.emulator import DoesNotFit, EmulatedModel, Measured, Wanted
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.validation.files import EMULATED, MICRO, OpenFile
from edgepack.validation.interface import Interface, Port
from edgepack.validation.measure import Sample

NAME: Final = "emulator"  # how requirements and notes of an emulated run begin
_AT_ONCE: Final = 16  # samples in one go, for each thread
_REAL_TOLERANCE: Final = 1e-4  # of the largest magnitude: compilers may contract a * b + c
_LIMIT: Final = 100_000_000  # instructions that any model may take, and by MAC:
_LIMIT_PER_MAC: Final = 400  # floating point in software takes about a hundred


class Compared:
    """A runtime whose every output is held against an oracle's; itself a `Runtime`.

    `oracle_key` is tflm or reference; `samples`, `different` and `largest` (in steps, or for real
    numbers as they are) say what was found.
    """

    def __init__(self, runtime: Runtime, oracle: Runtime, oracle_key: str) -> None:
        self.inputs, self.outputs = runtime.inputs, runtime.outputs
        self.oracle_key = oracle_key
        self.samples = self.different = self.elements = self.equal = 0
        self.largest = 0.0
        self._runtime, self._oracle = runtime, oracle

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference of both; the outputs are those of the runtime that is looked at."""
        given = self._runtime.run(inputs)
        expected = self._oracle.run(inputs)
        self.samples += 1
        self.different += not all(self._same(a, b) for a, b in zip(given, expected, strict=True))
        return given

    def _same(self, given: Array, expected: Array) -> bool:
        apart = np.abs(given.astype(np.float64) - expected.reshape(given.shape))
        self.elements += apart.size
        self.equal += int(np.count_nonzero(apart == 0))
        self.largest = max(self.largest, float(apart.max(initial=0)))
        allowed = 0.0
        if given.dtype.kind == "f":
            allowed = _REAL_TOLERANCE * float(np.abs(expected).max(initial=0))
        return bool((apart <= allowed).all())

    @property
    def oracle(self) -> str:
        """For people."""
        return RUNTIMES[self.oracle_key]

    def agreement(self, key: str) -> dict[str, float | None]:
        """Figures for the report's `agreement`, under names that begin with `key`."""
        whole = self.outputs[0].dtype.is_integer
        name = f"{key}_vs_{self.oracle_key}"
        share = self.equal / self.elements if self.elements else None
        return {f"{name}_max_{'lsb' if whole else 'abs'}": self.largest, f"{name}_equal": share}

    def requirement(self) -> Requirement:
        """Whether all outputs are the oracle's."""
        found = f"equal on all {self.samples} samples"
        if self.different:
            found = (
                f"different on {self.different} of {self.samples} samples, at most by "
                f"{self.largest:g}"
            )
        return Requirement(f"{NAME} outputs", f"those of {self.oracle}", found, self.different == 0)


class _Ahead:
    """Runs an emulated model on samples that are about to be asked for, several at a time."""

    def __init__(self, model: EmulatedModel, at_once: int) -> None:
        self.inputs, self.outputs = model.inputs, model.outputs
        self.instructions: list[int] = []
        self.first: Measured | None = None
        self._model, self._at_once = model, at_once
        self._ready: list[list[Array]] = []

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs that were made ahead, in their order."""
        return self._ready.pop(0)

    def through(
        self, samples: Iterable[tuple[Sample, int | None]], interface: Interface
    ) -> Iterator[tuple[Sample, int | None]]:
        """The samples, unchanged, each run before it is given. Raises EmulationFault."""
        waiting = iter(samples)
        while group := list(islice(waiting, self._at_once)):
            if any(interface.is_window(sample) for sample, _ in group):
                raise BadInput(
                    "each call of a streaming model hangs on the one before, and the emulator runs "
                    "several at once",
                    hint="without --data it runs the calls in device/",
                )
            fed = [interface.encoded(sample, "graph") for sample, _ in group]
            if self.first is None:
                self.first = self._model.measure(fed[0])
            for outputs, instructions in self._model.run_all(fed):
                self._ready.append(outputs)
                self.instructions.append(instructions)
            yield from group


class Emulation:
    """What `--on emulator` runs of an exported folder; `file` goes where opened files go.

    A folder with C files runs on an emulated core. One without, for a target of TensorFlow Lite
    Micro, runs that on this machine: the same bits, and no instructions to count.
    """

    def __init__(
        self, folder: Path, report: Report, target: Target, interface: Interface, *,
        wanted: Wanted, threads: int,
    ) -> None:  # fmt: skip
        self.interface, self.target = interface, target
        self.misfit: DoesNotFit | None = None
        self._report = report
        self._model: EmulatedModel | None = None
        self._ahead: _Ahead | None = None
        self._compared: Compared | None = None
        tflite = _twin(folder)
        if report.files.get(EMULATED) is None:
            self._open_micro(tflite)
            return
        ports = _infos(interface.inputs), _infos(interface.outputs)
        limit = _LIMIT + _LIMIT_PER_MAC * report.compute.macs
        try:
            self._model = EmulatedModel.open(
                folder / "model_c", target, *ports, wanted=wanted, limit=limit, threads=threads
            )
        except DoesNotFit as problem:
            self.misfit = problem
            return
        self._ahead = _Ahead(self._model, _AT_ONCE * threads)
        self._compared = Compared(self._ahead, *_oracle(tflite, *ports))

    def _open_micro(self, tflite: Path) -> None:
        target = self.target
        if target.runtime.id != MICRO or not tflite.is_file():
            npu = target.accelerator
            why = f"; its {npu.name} is not emulated" if npu else ""
            raise BadInput(
                f"there is no C export to run on an emulated {target.name}{why}",
                hint="export with --formats c, or validate with --on host",
            )
        ports = _infos(self.interface.inputs), _infos(self.interface.outputs)
        micro = TflmRuntime(tflite.read_bytes(), *ports)
        self._compared = Compared(micro, _reference(tflite), "reference")

    @property
    def key(self) -> str:
        """What is run: c, or tflm where there is no C."""
        return MICRO if self._model is None and self.misfit is None else EMULATED

    def files(self) -> list[OpenFile]:
        """The file to run; none where the firmware does not fit."""
        if self._compared is None:
            return []
        return [OpenFile(self.key, self._compared, self.interface)]

    def through(
        self, samples: Iterable[tuple[Sample, int | None]]
    ) -> Iterable[tuple[Sample, int | None]]:
        """The samples on their way to `files`."""
        return samples if self._ahead is None else self._ahead.through(samples, self.interface)

    # -- results -----------------------------------------------------------------------------------

    def completed(self, report: Report) -> Report:
        """`report` with what the emulated device showed."""
        kept = (r for r in report.requirements if not r.name.startswith(NAME))
        return dataclasses.replace(
            report,
            agreement={**report.agreement, **self._agreement()},
            latency=next(iter(self._latencies()), None),
            latencies=self._latencies(),
            emulator=self._record(),
            requirements=(*kept, *self._requirements()),
            notes=(*(n for n in report.notes if not n.startswith(NAME)), *self._notes()),
        )

    def _agreement(self) -> Mapping[str, float | None]:
        return {} if self._compared is None else self._compared.agreement(self.key)

    def _requirements(self) -> tuple[Requirement, ...]:
        if self.misfit is not None:
            at = f" ({self.misfit.at})" if self.misfit.at else ""
            text = f"{self.misfit.message}{at}; {self.misfit.hint}"
            return (Requirement(f"{NAME} memory", "the profile's", text, False),)
        assert self._compared is not None  # __init__ leaves one of the two
        found = [self._compared.requirement()]
        if self._ahead is not None and self._ahead.first is not None:
            found += self._memory_problems(self._ahead.first)
        return tuple(found)

    def _memory_problems(self, first: Measured) -> Iterator[Requirement]:
        """What only shows when the program has run."""
        assert self._model is not None  # what ran
        firmware, name = self._model.firmware, f"{NAME} memory"
        taken, room = (
            firmware.sizes.static_bytes + first.stack_bytes,
            firmware.layout.ram_total_bytes,
        )
        if taken > room:
            text = f"static RAM and stack ({first.stack_bytes:,} B) take {taken:,} B"
            yield Requirement(name, f"<= {room:,} B, the reserve included", text, False)
        if first.depends_on_memory:
            text = "outputs change when memory holds other values before the run"
            yield Requirement(name, "nothing is read before it is written", text, False)

    def _record(self) -> dict[str, Any] | None:
        model, ahead = self._model, self._ahead
        if model is None or ahead is None or ahead.first is None or self._compared is None:
            return None
        first, sizes = ahead.first, model.firmware.sizes
        predicted = self._report.memory.get("flash_by_compiler", {})  # not in older reports
        return {
            "core": model.chosen.processor.core.name,
            "toolchain": model.chosen.toolchain.name,
            "emulator": model.chosen.emulator,
            "samples": self._compared.samples,
            "compared_with": self._compared.oracle,
            "different_samples": self._compared.different,
            "instructions": first.instructions,
            "instructions_least": min(ahead.instructions),
            "instructions_most": max(ahead.instructions),
            "nodes": [dataclasses.asdict(node) for node in first.nodes],
            "arena_bytes": model.firmware.model.arena_bytes,
            "arena_used_bytes": first.arena_used_bytes,
            "stack_bytes": first.stack_bytes,
            "static_ram_bytes": sizes.static_bytes,
            "flash_bytes": sizes.flash_bytes,
            "flash_predicted_bytes": predicted.get(model.chosen.toolchain.name),
            "weight_bytes": sizes.weight_bytes,
            "code_bytes": sizes.code_bytes,
            "data_bytes": sizes.data_bytes,
            "unaligned_accesses": first.unaligned,
        }

    def _latencies(self) -> tuple[Latency, ...]:
        model, ahead = self._model, self._ahead
        if model is None or ahead is None or ahead.first is None:
            return ()
        chosen, count = model.chosen, ahead.first.instructions
        where = f"{NAME}, {chosen.processor.core.name} in {chosen.emulator}"
        counted = Latency(where, "instructions", count, "instructions", len(ahead.instructions))
        emulator, clock = self.target.emulator, self.target.clock_hz
        if emulator is None or emulator.cycles_per_instruction is None or not chosen.exact:
            return (counted,)
        cycles = emulator.cycles_per_instruction
        doubt = ", unverified" if emulator.cycles_unverified else ""
        basis = (
            f"{count:,} instructions x {cycles:g} cycles each / {clock / 1e6:g} MHz; cycles: "
            f"{emulator.cycles_source}{doubt}"
        )
        value = round(count * cycles / clock * 1e3, 3)
        return Latency(self.target.name, "estimated", value, "ms", None, basis), counted

    def _notes(self) -> tuple[str, ...]:
        if self._model is None:
            if self.misfit is not None:
                return ()
            return (
                f"{NAME}: there is no C export, so TensorFlow Lite Micro ran on this machine: bits "
                "are the device's, memory is the planner's figure, instructions are not counted",
            )
        chosen = self._model.chosen
        told = [
            f"{NAME}: {chosen.processor.core.name} in {chosen.emulator}, compiled with "
            f"{chosen.toolchain.name}"
        ]
        if chosen.note:
            told.append(f"{NAME}: {chosen.note}")
        told += [
            f"{NAME}: {entry.value:g} {entry.unit} is an estimate: "
            f"{(entry.basis or '').split('; ')[0]} (the profile says where that is from)"
            for entry in self._latencies()
            if entry.kind == "estimated"
        ]
        return tuple(told)


def _infos(ports: Sequence[Port]) -> list[TensorInfo]:
    return [TensorInfo(p.name, p.shape_on("graph"), DType(p.storage or p.dtype)) for p in ports]


def _twin(folder: Path) -> Path:
    """The TFLite file with the C export's integers: the export's, else the one in device/."""
    exported = folder / "model.tflite"
    return exported if exported.is_file() else folder / "device" / "model.tflite"


def _oracle(
    tflite: Path, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> tuple[Runtime, str]:
    """TensorFlow Lite Micro where it is installed and takes the file, else our kernels."""
    if not tflite.is_file():
        raise BadInput(
            f"{tflite} is what the C export's outputs are compared with, and it is not there",
            hint="export again",
        )
    try:
        return TflmRuntime(tflite.read_bytes(), inputs, outputs), MICRO
    except EdgepackError:
        return _reference(tflite), "reference"


def _reference(tflite: Path) -> Runtime:
    return ReferenceRuntime(load_graph(tflite, ReadOptions()))
