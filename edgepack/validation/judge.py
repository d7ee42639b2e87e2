"""The verdict on exported files: accuracy, agreement and latency in one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgepack.ir import Array
from edgepack.report import Accuracy, Latency
from edgepack.validation.files import OpenFile
from edgepack.validation.measure import accuracy_of, agreement_of, latencies_of, run_files

_LATENCY_RUNS = 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """What running the files showed; `notes` say what could not be run here and why."""

    accuracy: Accuracy
    agreement: Mapping[str, float | None]
    latencies: tuple[Latency, ...]
    notes: tuple[str, ...]


def judge(
    files: Sequence[OpenFile],
    reference: OpenFile | None,
    samples: Iterable[tuple[Mapping[str, Array], int | None]],
    notes: tuple[str, ...] = (),
    *,
    agreement: Mapping[str, float | None] | None = None,
) -> Judgement:
    """Run `files`, and the float model `reference` where there is one, on the samples.

    `agreement` is given where it was measured elsewhere (before a softmax).
    """
    everything = [*files, _renamed(reference)] if reference else list(files)
    kept: list[Mapping[str, Array]] = []

    def noting_first() -> Iterable[tuple[Mapping[str, Array], int | None]]:
        for sample, label in samples:
            if not kept:
                kept.append(sample)
            yield sample, label

    outcome = run_files(everything, noting_first())
    return Judgement(
        accuracy_of(outcome, [f.key for f in files], "float" if reference else None),
        agreement_of(files, outcome) if agreement is None else agreement,
        latencies_of(files, kept[0], _LATENCY_RUNS) if kept else (),
        notes,
    )


def _renamed(file: OpenFile) -> OpenFile:
    return OpenFile("float", file.runtime, file.interface)
