"""Runs every exported file on the same samples: agreement, accuracy, latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from edgepack.errors import BadData
from edgepack.ir import Array
from edgepack.report import Accuracy, Latency
from edgepack.validation.bundle import DeviceSamples
from edgepack.validation.compare import Apart, Noise, class_of, is_tied, share
from edgepack.validation.files import EMULATED, MICRO, OpenFile

Sample = Mapping[str, Array]


@dataclass(slots=True)
class Tally:
    """What the first outputs of one file were: right, tied, and their noise against float."""

    right: int = 0
    tied: int = 0
    noise: Noise = field(default_factory=Noise)


@dataclass(slots=True)
class Outcome:
    """What running showed so far; outputs are compared as they come and none is kept.

    `files` and `pairs` go by the files' keys; `real` is the float model's tally, None without one.
    """

    files: dict[str, Tally]
    pairs: dict[tuple[str, str], Apart]
    real: Tally | None
    samples: int = 0
    labels: int = 0

    @classmethod
    def of(cls, files: Sequence[OpenFile], reference: OpenFile | None) -> Outcome:
        """Nothing yet."""
        pairs = {
            (a.key, b.key): Apart(a.interface.outputs[0].step) for a, b in combinations(files, 2)
        }
        return cls({f.key: Tally() for f in files}, pairs, Tally() if reference else None)

    def add(self, outputs: Mapping[str, Array], real: Array | None, label: int | None) -> None:
        """Take in one sample: the first output of each file and the float model's, real numbers.

        Raises BadData for a label that no element of the output stands for.
        """
        self.samples += 1
        self.labels += label is not None
        for (first, second), apart in self.pairs.items():
            apart.add(outputs[first], outputs[second])
        for key, tally in self.files.items():
            _judge(tally, outputs[key], label)
            if real is not None:
                tally.noise.add(real, outputs[key])
        if self.real is not None and real is not None:
            _judge(self.real, real, label)


def run_files(
    files: Sequence[OpenFile],
    samples: Iterable[tuple[Sample, int | None]],
    reference: OpenFile | None = None,
    kept: DeviceSamples | None = None,
) -> Outcome:
    """Run every file, and the float model `reference`, on every sample.

    Memory does not grow with the number of samples; those that the device gets go to `kept`.
    """
    outcome = Outcome.of(files, reference)
    keys = [file.key for file in files]
    # TensorFlow Lite Micro runs the same file, and alone where it has packed weights
    kept_as = {key: "tflite" if key == MICRO and "tflite" not in keys else key for key in keys}
    for index, (sample, label) in enumerate(samples):
        outputs = {}
        for file in files:
            fed, given = file.run(sample)
            outputs[file.key] = file.real(given)[0]
            if kept is not None:
                kept.take(index, kept_as[file.key], fed, given)
        real = None if reference is None else reference.real(reference.run(sample)[1])[0]
        outcome.add(outputs, real, label)
    return outcome


def _judge(tally: Tally, output: Array, label: int | None) -> None:
    tally.tied += is_tied(output)
    if label is None:
        return
    if label >= output.size:
        raise BadData(
            f"a sample has class index {label}, the model's first output {output.size} elements",
            hint="class indices count from 0, in the order of the output's elements",
        )
    tally.right += class_of(output) == label


def agreement_of(outcome: Outcome) -> dict[str, float | None]:
    """How far the files' results are apart, pair by pair: `Apart.figures` under the pair's name.

    Integers are compared in steps (LSB) also where they are made real at last.
    """
    return {
        f"{first}_vs_{second}_{name}": figure
        for (first, second), apart in outcome.pairs.items()
        for name, figure in apart.figures().items()
    }


def accuracy_of(outcome: Outcome) -> Accuracy:
    """Accuracy of each file and of the float model.

    Without labels the accuracies are None; without a float model so is the first output's SQNR.
    """
    count, files, real = outcome.samples, outcome.files, outcome.real
    sqnr = {key: _rounded(tally.noise.sqnr_db) for key, tally in files.items()}
    if not count or outcome.labels != count:
        return Accuracy(exported=dict.fromkeys(files), samples=count, output_sqnr_db=sqnr)
    return Accuracy(
        float_=None if real is None else share(real.right, count),
        exported={key: share(tally.right, count) for key, tally in files.items()},
        metric="top-1",
        samples=count,
        output_sqnr_db=sqnr,
    )


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)


def latencies_of(files: Sequence[OpenFile], sample: Sample, runs: int) -> tuple[Latency, ...]:
    """Host latency of each file; what stands for a microcontroller has none and is left out."""
    timed = (file for file in files if file.key not in (MICRO, EMULATED))
    return tuple(file.latency(sample, runs) for file in timed)
