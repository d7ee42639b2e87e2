"""Figures that say how far results are apart, added up sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgepack.ir import Array


@dataclass(slots=True)
class Noise:
    """Energies of a reference and of what differs from it."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, reference: Array, other: Array) -> None:
        """Take in one pair of arrays of the same shape."""
        real = reference.astype(np.float64)
        self.signal += float(np.square(real).sum())
        self.noise += float(np.square(real - other).sum())

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise: 10 log10(sum r^2 / sum (r - o)^2), in dB.

        None when the reference is all zeros; infinity when there is no difference.
        """
        if self.signal == 0:
            return None
        return math.inf if self.noise == 0 else 10 * math.log10(self.signal / self.noise)


@dataclass(slots=True)
class Apart:
    """How far the same output of two files is apart; `step` is its LSB, None for real numbers."""

    step: float | None
    largest: float = 0.0
    elements: int = 0
    near: int = 0
    equal: int = 0
    samples: int = 0
    same_class: int = 0

    def add(self, first: Array, second: Array) -> None:
        """Take in both files' output for one sample, as real numbers."""
        apart = np.abs(first.astype(np.float64) - second)
        if self.step is not None:
            apart = np.rint(apart / self.step)
        self.largest = max(self.largest, float(apart.max(initial=0)))
        self.elements += apart.size
        self.near += int(np.count_nonzero(apart <= 1))
        self.equal += int(np.count_nonzero(apart == 0))
        self.samples += 1
        self.same_class += class_of(first) == class_of(second)

    def figures(self) -> dict[str, float | None]:
        """Integers: the largest distance in steps, shares (0 to 1) within one and equal.

        Real numbers: the largest difference. Both: the share of samples with the same class.
        """
        top1 = {"top1": share(self.same_class, self.samples)}
        if self.step is None:
            return {"max_abs": self.largest, **top1}
        return {
            "max_lsb": self.largest,
            "within_1_lsb": share(self.near, self.elements),
            "equal": share(self.equal, self.elements),
            **top1,
        }


def share(part: int, whole: int) -> float | None:
    """`part` of `whole`, 0 to 1; None of nothing."""
    return part / whole if whole else None


def class_of(output: Array) -> int:
    """The index of the largest element."""
    return int(np.argmax(output))


def is_tied(output: Array) -> bool:
    """Whether the two largest elements are equal."""
    return output.size > 0 and int(np.count_nonzero(output == output.max())) > 1
