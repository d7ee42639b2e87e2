"""Quantization parameters, after the TFLite 8-bit quantization specification.

real = scale * (q - zero_point), per tensor, per channel along `axis`, or for each `block` elements
that follow one another along the last dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ir.dtypes import Array, DType


@dataclass(frozen=True, slots=True, eq=False)
class QuantParams:
    """How the integers of one value stand for real numbers.

    `scale` is float32 [1], [channels] or [blocks], every element finite and > 0; `zero_point` is
    int64 of the same length; `axis` names the channel dimension, None for per-tensor; `block`
    is the size of blocks, which come in the order of the elements, 0 without any.
    Raises ValueError when these do not hold.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int | None = None
    block: int = 0

    def __post_init__(self) -> None:
        if self.scale.ndim != 1 or self.scale.shape != self.zero_point.shape or not self.scale.size:
            raise ValueError(
                f"scale {self.scale.shape} and zero_point {self.zero_point.shape} must be equal 1-D"
            )
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("every scale must be finite and greater than zero")
        if self.block and self.axis is not None:
            raise ValueError("blocks lie along the last dimension, not along an axis")
        if self.is_per_tensor and self.scale.size != 1:
            raise ValueError(f"per-tensor parameters have one scale, not {self.scale.size}")

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int = 0) -> QuantParams:
        """One scale and zero point for the whole tensor."""
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int64))

    @classmethod
    def per_channel(
        cls, scale: npt.ArrayLike, axis: int, zero_point: npt.ArrayLike = 0
    ) -> QuantParams:
        """One scale for each index along `axis`; `zero_point` is broadcast (0: symmetric)."""
        scales = np.asarray(scale, np.float32)
        zeros = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape).copy()
        return cls(scales, zeros, axis)

    @classmethod
    def per_block(cls, scale: npt.ArrayLike, block: int) -> QuantParams:
        """One scale, and zero point 0, for `block` neighbours each in the last dimension."""
        scales = np.asarray(scale, np.float32).reshape(-1)
        return cls(scales, np.zeros(scales.shape, np.int64), None, block)

    @property
    def is_per_tensor(self) -> bool:
        """Whether one scale serves the whole tensor."""
        return self.axis is None and not self.block

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, QuantParams)
            and (self.axis, self.block) == (other.axis, other.block)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def __hash__(self) -> int:
        return hash((self.axis, self.block, self.scale.tobytes(), self.zero_point.tobytes()))

    def moved(self, axis: int | None) -> QuantParams:
        """The same parameters with the channels along another axis."""
        return QuantParams(self.scale, self.zero_point, axis)

    def transposed(self, perm: Sequence[int]) -> QuantParams:
        """The parameters of a value after it was transposed by `perm`; ValueError for blocks."""
        if self.block:
            raise ValueError("blocks cannot be transposed")
        return self if self.axis is None else self.moved(perm.index(self.axis % len(perm)))

    def reshaped(self, old: Sequence[int], new: Sequence[int]) -> QuantParams | None:
        """The parameters of a value of shape `old` after a reshape to `new`.

        None when the channel dimension was cut up or merged with another, or a block cut up.
        """
        if self.block:
            return self if new and new[-1] % self.block == 0 else None
        if self.axis is None:
            return self
        axis = self.axis % len(old)
        before, size = math.prod(old[:axis]), old[axis]
        kept = (i for i, d in enumerate(new) if d == size and math.prod(new[:i]) == before)
        found = next(kept, None)
        return None if found is None else self.moved(found)

    def quantize(self, real: Array, dtype: DType) -> Array:
        """Nearest integers (ties to even) of `real`, saturated to `dtype`; any shape."""
        low, high = dtype.limits
        scale, zero = self._broadcast(real.shape)
        q = np.rint(real.astype(np.float64) / scale) + zero
        return np.clip(q, low, high).astype(dtype.numpy)

    def dequantize(self, q: Array) -> npt.NDArray[np.float32]:
        """The float32 numbers that the integers `q` stand for; any shape."""
        scale, zero = self._broadcast(q.shape)
        return ((q.astype(np.int64) - zero) * scale).astype(np.float32)

    def _broadcast(
        self, like: Sequence[int]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        rank = len(like)
        shape = [1] * rank
        if self.block:
            wide = np.repeat(self.scale.astype(np.float64), self.block)
            return wide.reshape(like), np.repeat(self.zero_point, self.block).reshape(like)
        if self.axis is not None:
            shape[self.axis] = self.scale.size
        elif rank == 0:
            return self.scale.astype(np.float64)[0], self.zero_point[0]
        return self.scale.astype(np.float64).reshape(shape), self.zero_point.reshape(shape)
