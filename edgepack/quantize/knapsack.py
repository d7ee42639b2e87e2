"""One choice of each item, so that bytes and noise add up best: the multiple-choice knapsack.

Dynamic programming over the front of states that no other beats in both bytes and noise (Nemhauser
and Ullmann 1969). It is exact as long as the front has at most `STATES` states. Beyond that, of the
states whose bytes fall into one of `STATES` equal steps (from the least bytes of all items to the
most) only the one with the least noise goes on; bytes are never rounded, so every answer keeps its
budget, and its noise is no worse than the optimum for a budget that is one step per item smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

STATES: Final = 20_000
_ROUNDING: Final = 1e-9  # of a limit on noise: sums differ by the order of their terms


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to do an item: the bytes and the noise (any unit, >= 0) that it adds."""

    bytes: int
    noise: float


Items = Sequence[Sequence[Choice]]
_Array = npt.NDArray[Any]


def least_noise(items: Items, budget: int, *, states: int = STATES) -> list[int] | None:
    """The index chosen of each item: the least noise within `budget` bytes.

    Of equals, the fewest bytes. None when even the smallest choices take more.
    """
    front = _Front(items, budget, np.inf, states)
    return front.path(int(front.noise.size) - 1) if front.noise.size else None


def least_bytes(items: Items, noise: float, *, states: int = STATES) -> list[int] | None:
    """The index chosen of each item: the fewest bytes with at most `noise` in all.

    Of equals, the least noise. None when even the best choices are noisier.
    """
    front = _Front(items, None, noise * (1 + _ROUNDING), states)
    return front.path(0) if front.noise.size else None


class _Front:
    """The states after all items that keep both limits: bytes ascend, noise descends."""

    def __init__(self, items: Items, budget: int | None, most_noise: float, states: int) -> None:
        self._sizes = [len(item) for item in items]
        self._kept: list[_Array] = []
        sizes = [_of(item, "bytes", np.int64) for item in items]
        noises = [_of(item, "noise", np.float64) for item in items]
        room = np.inf if budget is None else budget
        step = _step(sizes, states)
        bytes_left, noise_left = _still_to_come(sizes), _still_to_come(noises)
        at_first = int(bytes_left[0] <= room and noise_left[0] <= most_noise)
        self.bytes, self.noise = np.zeros(at_first, np.int64), np.zeros(at_first)
        for index, (size, noise) in enumerate(zip(sizes, noises, strict=True), start=1):
            b = (self.bytes[:, None] + size).reshape(-1)
            n = (self.noise[:, None] + noise).reshape(-1)
            possible = (b + bytes_left[index] <= room) & (n + noise_left[index] <= most_noise)
            kept = _unbeaten(np.flatnonzero(possible), b, n)
            if kept.size > states:
                kept = _thinned(kept, b, step)
            self._kept.append(kept)
            self.bytes, self.noise = b[kept], n[kept]

    def path(self, state: int) -> list[int]:
        """The choices that lead to a state."""
        choices = []
        for kept, size in zip(reversed(self._kept), reversed(self._sizes), strict=True):
            state, choice = divmod(int(kept[state]), size)
            choices.append(choice)
        return choices[::-1]


def _of(item: Sequence[Choice], name: str, dtype: type) -> _Array:
    return np.array([getattr(choice, name) for choice in item], dtype)


def _step(sizes: Sequence[_Array], states: int) -> int:
    span = sum(int(size.max() - size.min()) for size in sizes)
    return max(1, -(-span // states))


def _still_to_come(parts: Sequence[_Array]) -> list[float]:
    """The least that the items from each index on add."""
    left = [0.0]
    for part in reversed(parts):
        left.append(left[-1] + float(part.min()))
    return left[::-1]


def _unbeaten(candidates: _Array, b: _Array, n: _Array) -> _Array:
    """In ascending order of bytes, the states with less noise than all smaller ones."""
    order = candidates[np.lexsort((n[candidates], b[candidates]))]
    if order.size < 2:
        return order
    noise = n[order]
    better = noise[1:] < np.minimum.accumulate(noise)[:-1]
    return order[np.concatenate(([True], better))]


def _thinned(order: _Array, b: _Array, step: int) -> _Array:
    """The last state, which has the least noise, of every step of bytes."""
    steps = b[order] // step
    last = np.concatenate((steps[1:] != steps[:-1], [True]))
    return order[last]
