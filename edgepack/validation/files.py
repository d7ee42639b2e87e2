"""Exported files opened in the runtimes of this machine, behind one call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.errors import EdgepackError, MissingDependency
from edgepack.ir import Array, DType
from edgepack.report import Latency
from edgepack.report.figures import RUNTIMES
from edgepack.run.base import Runtime, TensorInfo
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.schema.tflite import only_micro
from edgepack.validation.interface import Interface, Side

_WARM_UP = 3
_ENOUGH_SECONDS, _FEWEST_RUNS = 0.2, 5  # a slow model's median is steady after a few runs
NOT_RUN = "not run in"  # how notes on files that could not be run here begin
MICRO = "tflm"  # the key of the TFLite file as TensorFlow Lite Micro runs it
EMULATED = "c"  # the key of the C export, which only an emulator runs here


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One exported file in one runtime; `key` is tflite, onnx or tflm."""

    key: str
    runtime: Runtime
    interface: Interface

    @property
    def side(self) -> Side:
        """The layout of the file's inputs and outputs."""
        return self.interface.side_of(self.key)

    def run(self, sample: Mapping[str, Array]) -> tuple[list[Array], list[Array]]:
        """Inputs as the file takes them, for a sample in the source's layout; outputs as given.

        A window goes through a stream piece by piece: those of the last call.
        """
        fed: list[Array] = []
        given: list[Array] = []
        for piece in self._pieces(sample):
            fed = self.interface.encoded(piece, self.side)
            if given:
                states = given[len(self.interface.results) :]
                fed[len(fed) - len(states) :] = states
            given = self.runtime.run(fed)
        return fed, given

    def _pieces(self, sample: Mapping[str, Array]) -> Iterator[Mapping[str, Array]]:
        """The sample, or what each call of a stream takes, with the past at its beginning."""
        past = self.interface.start() if self.interface.is_window(sample) else {}
        return ({**piece, **past} for piece in self.interface.pieces(sample))

    def real(self, outputs: Sequence[Array]) -> list[Array]:
        """Raw outputs as real numbers in the source's layout."""
        return self.interface.decoded(outputs, self.side)

    def latency(self, sample: Mapping[str, Array], runs: int) -> Latency:
        """Median wall time of at most `runs` warm inferences."""
        inputs = self.interface.encoded(next(self._pieces(sample)), self.side)
        for _ in range(_WARM_UP):
            self.runtime.run(inputs)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self.runtime.run(inputs)
            times.append(time.perf_counter() - start)
            if sum(times) > _ENOUGH_SECONDS and len(times) >= _FEWEST_RUNS:
                break
        where = f"host, {RUNTIMES[self.key]}"
        return Latency(where, "measured", round(float(np.median(times)) * 1e3, 4), "ms", len(times))


def runs_in_micro(runtime: str | None, io: str | None) -> bool:
    """Whether the TFLite file is also run by TensorFlow Lite Micro's host interpreter.

    `runtime` is the one whose arena was planned, `io` the type of inputs and outputs.
    """
    return runtime == MICRO and io not in (None, "float")


def open_files(
    files: Mapping[str, bytes], interface: Interface, *, micro: bool, threads: int
) -> tuple[list[OpenFile], list[str]]:
    """Every file in its runtime, and notes on those that could not be run here.

    With `micro`, the TFLite file is also run by TensorFlow Lite Micro's host interpreter.
    Raises BadModel when LiteRT or ONNX Runtime refuses a file of ours.
    """
    opened, notes = [], []
    if "tflite" in files and (why := only_micro(files["tflite"])):
        found, note = _open_in_micro(files["tflite"], interface, f"LiteRT: {why}")
        opened.extend(found)
        notes.append(note)
    elif "tflite" in files:
        litert = LiteRTRuntime(files["tflite"], threads=threads)
        opened.append(OpenFile("tflite", litert, interface))
        if micro:
            try:
                tflm = TflmRuntime(files["tflite"], litert.inputs, litert.outputs)
                opened.append(OpenFile("tflm", tflm, interface))
            except MissingDependency as problem:
                notes.append(f"{NOT_RUN} TensorFlow Lite Micro: {problem.hint}")
            except EdgepackError as problem:
                notes.append(f"{NOT_RUN} TensorFlow Lite Micro: {problem.message}")
    if "onnx" in files:
        runtime = OrtRuntime(files["onnx"], threads=threads)
        opened.append(OpenFile("onnx", runtime, interface))
    return opened, notes


def _open_in_micro(data: bytes, interface: Interface, why: str) -> tuple[list[OpenFile], str]:
    """A file that only TensorFlow Lite Micro takes, and what to say; `why` LiteRT does not."""
    inputs, outputs = (
        [TensorInfo(p.name, p.shape_on("graph"), DType(p.storage or p.dtype)) for p in ports]
        for ports in (interface.inputs, interface.outputs)
    )
    try:
        runtime = TflmRuntime(data, inputs, outputs)
    except EdgepackError as problem:
        reason = problem.hint if isinstance(problem, MissingDependency) else problem.message
        return [], f"{NOT_RUN} {why}, and not in that either: {reason}"
    return [OpenFile(MICRO, runtime, interface)], f"{NOT_RUN} {why}"
