"""Runs every exported file on the same samples: agreement, accuracy, latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from edgepack.errors import BadData
from edgepack.ir import Array
from edgepack.report import Accuracy, Latency
from edgepack.validation.compare import accuracy, sqnr_db, steps_apart, top1_agreement
from edgepack.validation.files import OpenFile

Sample = Mapping[str, Array]


@dataclass(slots=True)
class Outcome:
    """What each file gave for the samples, as real numbers: by file key, one list per sample."""

    real: dict[str, list[list[Array]]] = field(default_factory=dict)
    labels: list[int] = field(default_factory=list)

    def first_outputs(self, key: str) -> list[Array]:
        """The first output for every sample, as real numbers."""
        return [outputs[0] for outputs in self.real[key]]


def run_files(files: Sequence[OpenFile], samples: Iterable[tuple[Sample, int | None]]) -> Outcome:
    """Run every file on every sample; outputs are kept, so mind how many samples there are."""
    outcome = Outcome({f.key: [] for f in files})
    for sample, label in samples:
        for file in files:
            outcome.real[file.key].append(file.real(file.raw(sample)))
        if label is not None:
            _refuse_unknown_class(label, outcome)
            outcome.labels.append(label)
    return outcome


def _refuse_unknown_class(label: int, outcome: Outcome) -> None:
    for outputs in outcome.real.values():
        classes = outputs[-1][0].size
        if label >= classes:
            raise BadData(
                f"a sample has class index {label}, the model's first output {classes} elements",
                hint="class indices count from 0, in the order of the output's elements",
            )


def agreement_of(files: Sequence[OpenFile], outcome: Outcome) -> dict[str, float | None]:
    """How far the files' results are apart, pair by pair.

    Integer outputs, also where they are made real at last: the largest distance in steps (LSB),
    the share of elements within one step and equal, and top-1 agreement. Real outputs: the largest
    absolute difference and top-1.
    """
    figures: dict[str, float | None] = {}
    for a, b in combinations(files, 2):
        name = f"{a.key}_vs_{b.key}"
        port = a.interface.outputs[0]
        first, second = outcome.first_outputs(a.key), outcome.first_outputs(b.key)
        if port.step is not None:
            steps = steps_apart(first, second, port.step)
            figures[f"{name}_max_lsb"] = float(steps.max(initial=0))
            figures[f"{name}_within_1_lsb"] = float(np.mean(steps <= 1))
            figures[f"{name}_equal"] = float(np.mean(steps == 0))
        else:
            apart = [np.abs(x - y).max(initial=0) for x, y in zip(first, second, strict=True)]
            figures[f"{name}_max_abs"] = float(max(apart, default=0.0))
        figures[f"{name}_top1"] = top1_agreement(first, second)
    return figures


def accuracy_of(outcome: Outcome, keys: Sequence[str], floats: str | None) -> Accuracy:
    """Accuracy of each file in `keys` and of the float model, whose key is `floats`.

    Without labels the accuracies are None; without a float model so is the first output's SQNR.
    """
    count = len(outcome.real[keys[0]]) if keys else 0
    labelled = bool(count) and len(outcome.labels) == count
    sqnr: dict[str, float | None] = dict.fromkeys(keys)
    if floats is not None:
        real = outcome.first_outputs(floats)
        sqnr = {key: _rounded(sqnr_db(real, outcome.first_outputs(key))) for key in keys}
    if not labelled:
        return Accuracy(exported=dict.fromkeys(keys), samples=count, output_sqnr_db=sqnr)
    return Accuracy(
        float_=accuracy(outcome.first_outputs(floats), outcome.labels) if floats else None,
        exported={key: accuracy(outcome.first_outputs(key), outcome.labels) for key in keys},
        metric="top-1",
        samples=count,
        output_sqnr_db=sqnr,
    )


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)


def latencies_of(files: Sequence[OpenFile], sample: Sample, runs: int) -> tuple[Latency, ...]:
    """Host latency of each file; TensorFlow Lite Micro's says nothing and is left out."""
    return tuple(file.latency(sample, runs) for file in files if file.key != "tflm")
