"""What the samples of a measurement say: which they are, and whether they suit the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from edgepack.ir import Array
from edgepack.report import Accuracy
from edgepack.report.figures import RUNTIMES
from edgepack.validation.files import OpenFile
from edgepack.validation.interface import Port
from edgepack.validation.measure import Outcome

ON_DATA = "on these data, "  # how warnings that other data may not give begin
_MANY = 0.5  # share of values outside the range, or of tied samples, that is no accident
_LARGE_DROP = 0.02  # of top-1


class DataWatch:
    """Looks at samples as they pass."""

    def __init__(self, inputs: Sequence[Port]) -> None:
        self.first: Mapping[str, Array] | None = None
        self._spans = {p.name: p.span for p in inputs if p.span is not None}
        self._outside = dict.fromkeys(self._spans, 0)
        self._elements = dict.fromkeys(self._spans, 0)
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest of all inputs and labels that passed: equal for the same data only."""
        return self._hash.hexdigest()

    def through(
        self, samples: Iterable[tuple[Mapping[str, Array], int | None]]
    ) -> Iterator[tuple[Mapping[str, Array], int | None]]:
        """The samples, unchanged."""
        for sample, label in samples:
            if self.first is None:
                self.first = sample
            self._note(sample, label)
            yield sample, label

    def warnings(self) -> tuple[str, ...]:
        """One sentence for each input most of whose values the calibration did not foresee."""
        found = []
        for name, (low, high) in self._spans.items():
            share = self._outside[name] / max(self._elements[name], 1)
            if share > _MANY:
                found.append(
                    f"{ON_DATA}{share:.0%} of the values of '{name}' lie outside what that input "
                    f"was calibrated for ({low:.3g}..{high:.3g}): is --preprocess missing?"
                )
        return tuple(found)

    def _note(self, sample: Mapping[str, Array], label: int | None) -> None:
        self._hash.update(f"{label};".encode())
        for name, array in sorted(sample.items()):
            self._hash.update(f"{name}{array.dtype}{array.shape};".encode())
            self._hash.update(np.ascontiguousarray(array).tobytes())
            if name in self._spans:
                low, high = self._spans[name]
                self._outside[name] += int(np.count_nonzero((array < low) | (array > high)))
                self._elements[name] += array.size


def drop_warnings(accuracy: Accuracy) -> tuple[str, ...]:
    """One sentence for each file that is far less accurate than float."""
    real = accuracy.float_
    return tuple(
        f"{ON_DATA}top-1 in {RUNTIMES[key]} is {100 * (real - share):.1f} points below float"
        for key, share in accuracy.exported.items()
        if real is not None and share is not None and real - share > _LARGE_DROP
    )


def tie_warnings(files: Sequence[OpenFile], outcome: Outcome) -> tuple[str, ...]:
    """A sentence when integers are too coarse to tell the classes of labelled samples apart."""
    for file in files:
        if file.interface.outputs[0].step is not None and outcome.labels:
            tied = outcome.files[file.key].tied / outcome.samples
            if tied > _MANY:
                return (
                    f"{ON_DATA}the two largest outputs in {RUNTIMES[file.key]} are equal integers "
                    f"for {tied:.0%} of the samples: ties decide the class",
                )
    return ()
