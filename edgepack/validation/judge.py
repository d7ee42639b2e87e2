"""The verdict on exported files: accuracy, agreement and latency in one record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgepack.data import Audit, Samples
from edgepack.ir import Array
from edgepack.report import Accuracy, Latency
from edgepack.validation.bundle import DeviceSamples
from edgepack.validation.files import OpenFile
from edgepack.validation.measure import accuracy_of, agreement_of, latencies_of, run_files
from edgepack.validation.watch import ON_DATA, DataWatch, tie_warnings

_LATENCY_RUNS = 20
Pairs = Iterable[tuple[Mapping[str, Array], int | None]]  # samples with their labels


@dataclass(frozen=True, slots=True)
class Judgement:
    """What running the files showed; `notes` say what could not be run here and why.

    `warnings` are about the data; `watch.drop_warnings(accuracy)` belongs with them.
    """

    accuracy: Accuracy
    agreement: Mapping[str, float | None]
    latencies: tuple[Latency, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def judge(
    files: Sequence[OpenFile],
    reference: OpenFile | None,
    samples: Iterable[tuple[Mapping[str, Array], int | None]],
    notes: tuple[str, ...] = (),
    *,
    agreement: Mapping[str, float | None] | None = None,
    kept: DeviceSamples | None = None,
) -> Judgement:
    """Run `files`, and the float model `reference` where there is one, on the samples.

    `agreement` is given where it was measured elsewhere (before a softmax); `kept` takes those
    samples and results that go to the device.
    """
    watch = DataWatch(files[0].interface.inputs if files else ())
    outcome = run_files(files, watch.through(samples), reference, kept)
    return Judgement(
        dataclasses.replace(accuracy_of(outcome), data_sha256=watch.sha256),
        agreement_of(outcome) if agreement is None else agreement,
        () if watch.first is None else latencies_of(files, watch.first, _LATENCY_RUNS),
        notes,
        (*watch.warnings(), *tie_warnings(files, outcome)),
    )


def judge_data(
    files: Sequence[OpenFile],
    reference: OpenFile | None,
    samples: Samples,
    notes: tuple[str, ...] = (),
    *,
    agreement: Mapping[str, float | None] | None = None,
    kept: DeviceSamples | None = None,
    through: Callable[[Pairs], Pairs] = iter,
) -> Judgement:
    """`judge` on data that the user gave, with warnings on its values.

    `through` sees the samples before the files do. Raises BadData when it does not suit the model.
    """
    audit = Audit(samples)
    pairs = through((sample.inputs, sample.label) for sample in audit)
    found = judge(files, reference, pairs, notes, agreement=agreement, kept=kept)
    told = (f"{ON_DATA}{warning}" for warning in audit.warnings)
    return dataclasses.replace(found, warnings=(*told, *found.warnings))
