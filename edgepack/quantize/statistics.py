"""What calibration saw of each value: extremes, and a bounded sample of its elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array

SAMPLE_SIZE: Final = 8192  # elements kept per value; memory does not grow with the data


@dataclass(slots=True)
class ChannelStatistics:
    """Running figures of each channel, the last dimension: extremes and sums of squares, [C]."""

    low: Array
    high: Array
    squares: Array
    rows: int = 0

    @property
    def power(self) -> Array:
        """The mean square of each channel, [C]."""
        return self.squares / max(self.rows, 1)

    @classmethod
    def of(cls, size: int) -> ChannelStatistics:
        """Of `size` channels that nothing was seen of yet."""
        return cls(np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size))

    def update(self, array: Array) -> None:
        """Take one sample's array, [..., C]."""
        rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))
        self.squares = self.squares + np.square(rows).sum(axis=0)
        self.rows += len(rows)


@dataclass(slots=True)
class Statistics:
    """Running extremes of one value and a sample spread evenly over all that it has seen.

    `extremes` has the (lowest, highest) element of each array: the tails, which a sample misses.
    Every update brings an evenly strided part of the array. When the sample is full, every second
    element is dropped and later arrays are read twice as sparsely, so old and new ones weigh alike.
    """

    low: float = np.inf
    high: float = -np.inf
    count: int = 0
    extremes: list[tuple[float, float]] = field(default_factory=list)
    total: npt.NDArray[np.float32] | None = None
    channels: ChannelStatistics | None = None
    _parts: list[npt.NDArray[np.float32]] = field(default_factory=list)
    _kept: int = 0
    _step: int = 0

    @property
    def mean(self) -> Array | None:
        """The mean array over all samples, in the value's own shape; None unless it was kept."""
        return None if self.total is None else self.total / len(self.extremes)

    def update(self, array: Array, *, keep_mean: bool = False, keep_channels: bool = False) -> None:
        """Take one sample's array, any shape, finite float32.

        `keep_mean` also sums it up, `keep_channels` tells its channels apart.
        """
        if keep_mean:
            self._add(array)
        if keep_channels and array.size and array.ndim:
            self.channels = self.channels or ChannelStatistics.of(array.shape[-1])
            self.channels.update(array)
        flat = array.reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.extremes.append((low, high))
        self.count += flat.size
        self._step = self._step or max(1, flat.size * 16 // SAMPLE_SIZE)
        # the offset moves on, so that the same positions are not read every time
        part = flat[self.count % self._step :: self._step].astype(np.float32)
        self._parts.append(part)
        self._kept += part.size
        if self._kept > SAMPLE_SIZE:
            self._thin()

    def _add(self, array: Array) -> None:
        # in place and in float32: in double, these sums were the most of calibration's memory
        if self.total is None:
            self.total = np.zeros(array.shape, np.float32)
        self.total += array

    def _thin(self) -> None:
        self._parts = [self.sample[::2].copy()]
        self._kept = self._parts[0].size
        self._step *= 2

    @property
    def sample(self) -> npt.NDArray[np.float32]:
        """Some of the elements seen, [at most SAMPLE_SIZE], in the order of arrival."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)


# Statistics of each value by its name.
StatisticsTable = Mapping[str, Statistics]
