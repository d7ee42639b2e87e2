"""Placing buffers that live for a stretch of steps into one arena.

`allocate_greedy` places them exactly as TensorFlow Lite Micro's planner does; `allocate_best` looks
for a smaller arena, for the exports whose offsets we decide. `verify_allocation` trusts neither.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.errors import InternalError
from edgepack.plan.abi import align_up

_IMPROVEMENTS = 400  # swaps tried by allocate_best; each places every buffer anew
_IMPROVEMENT_WORK = 16_000_000  # pairs of buffers looked at in all, about half a second


@dataclass(frozen=True, slots=True)
class Buffer:
    """`nbytes` needed from step `first` to step `last`, both included; `fixed` is a set offset."""

    name: str
    nbytes: int
    first: int
    last: int
    fixed: int | None = None

    def __post_init__(self) -> None:
        if self.nbytes < 0 or self.first > self.last:
            raise ValueError(f"buffer {self.name}: {self.nbytes} bytes, {self.first}..{self.last}")

    def meets(self, other: Buffer) -> bool:
        """Whether both live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Allocation:
    """Offsets in bytes, in the order of the buffers given, and the bytes they span."""

    offsets: tuple[int, ...]
    arena_bytes: int


def live_bytes(buffers: Sequence[Buffer], steps: int) -> list[int]:
    """Bytes alive at each of `steps` steps."""
    change = [0] * (steps + 1)
    for buffer in buffers:
        change[buffer.first] += buffer.nbytes
        change[buffer.last + 1] -= buffer.nbytes
    total, timeline = 0, []
    for delta in change[:steps]:
        total += delta
        timeline.append(total)
    return timeline


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """No arena can be smaller: the most bytes alive at one step."""
    steps = max((b.last for b in buffers), default=-1) + 1
    return max(live_bytes(buffers, steps), default=0)


def aligned(buffers: Sequence[Buffer], alignment: int) -> list[Buffer]:
    """The buffers with their sizes rounded up, so that every offset is aligned."""
    return [
        Buffer(b.name, align_up(b.nbytes, alignment), b.first, b.last, b.fixed) for b in buffers
    ]


def allocate_greedy(buffers: Sequence[Buffer], alignment: int = 16) -> Allocation:
    """Place as TensorFlow Lite Micro does: fixed ones first, then the largest into the lowest gap.

    Among equals the later buffer goes first (memory_planner/greedy_memory_planner.cc).
    """
    fixed = [i for i, b in enumerate(buffers) if b.fixed is not None]
    online = [i for i, b in reversed(list(enumerate(buffers))) if b.fixed is None]
    rounded = aligned(buffers, alignment)
    online.sort(key=lambda i: -rounded[i].nbytes)
    return _place(rounded, fixed + online)


def _place(buffers: Sequence[Buffer], order: Sequence[int]) -> Allocation:
    offsets = [0] * len(buffers)
    placed: list[int] = []  # by offset
    for index in order:
        wanted = buffers[index]
        offset = _lowest_gap(wanted, buffers, offsets, placed)
        offsets[index] = offset if wanted.fixed is None else wanted.fixed
        _insert(index, offsets, placed)
    ends = (offset + b.nbytes for offset, b in zip(offsets, buffers, strict=True))
    return Allocation(tuple(offsets), max(ends, default=0))


def _lowest_gap(
    wanted: Buffer, buffers: Sequence[Buffer], offsets: Sequence[int], placed: Sequence[int]
) -> int:
    candidate = 0
    for other in placed:
        if buffers[other].meets(wanted):
            if offsets[other] - candidate >= wanted.nbytes:
                break
            candidate = max(candidate, offsets[other] + buffers[other].nbytes)
    return candidate


def _insert(index: int, offsets: Sequence[int], placed: list[int]) -> None:
    position = len(placed)
    while position and offsets[placed[position - 1]] > offsets[index]:
        position -= 1
    placed.insert(position, index)


def allocate_best(buffers: Sequence[Buffer], alignment: int = 16) -> Allocation:
    """The smallest arena found: several orders, then random swaps of the best one (fixed seed).

    Stops as soon as the lower bound is reached, which for chains of layers is mostly at once.
    """
    rounded = aligned(buffers, alignment)
    bound = lower_bound(rounded)
    best_order, best = [], None
    for order in _orders(rounded):
        found = _place(rounded, order)
        if best is None or found.arena_bytes < best.arena_bytes:
            best_order, best = list(order), found
        if best.arena_bytes == bound:
            return best
    assert best is not None
    return _improve(rounded, best_order, best, bound)


def _orders(buffers: Sequence[Buffer]) -> list[list[int]]:
    live = live_bytes(buffers, max((b.last for b in buffers), default=-1) + 1)
    keys = (
        lambda b: (-b.nbytes, -b.last),
        lambda b: (-max(live[b.first : b.last + 1]), -b.nbytes),  # the tightest steps first
        lambda b: (-b.nbytes * (b.last - b.first + 1), -b.nbytes),
        lambda b: (-(b.last - b.first), -b.nbytes),
        lambda b: (b.first, -b.nbytes),
        lambda b: (-b.last, -b.nbytes),
    )
    fixed = [i for i, b in enumerate(buffers) if b.fixed is not None]
    online = [i for i, b in enumerate(buffers) if b.fixed is None]
    return [fixed + sorted(online, key=lambda i: (key(buffers[i]), i)) for key in keys]


def _improve(
    buffers: Sequence[Buffer], order: list[int], best: Allocation, bound: int
) -> Allocation:
    movable = [i for i, index in enumerate(order) if buffers[index].fixed is None]
    if len(movable) < 2:
        return best
    chance = random.Random(0)
    for _ in range(min(_IMPROVEMENTS, _IMPROVEMENT_WORK // len(buffers) ** 2)):
        a, b = chance.sample(movable, 2)
        order[a], order[b] = order[b], order[a]
        found = _place(buffers, order)
        if found.arena_bytes > best.arena_bytes:
            order[a], order[b] = order[b], order[a]
        else:
            best = found
        if best.arena_bytes == bound:
            break
    return best


def verify_allocation(
    buffers: Sequence[Buffer], allocation: Allocation, alignment: int = 16
) -> None:
    """Raise InternalError unless every buffer is inside, aligned, and alone while it lives."""
    if len(allocation.offsets) != len(buffers):
        raise InternalError(f"{len(allocation.offsets)} offsets for {len(buffers)} buffers")
    spans = list(zip(buffers, allocation.offsets, strict=True))
    for buffer, offset in spans:
        if offset < 0 or offset + buffer.nbytes > allocation.arena_bytes:
            raise InternalError(f"{buffer.name} at {offset} leaves the arena")
        if offset % alignment:
            raise InternalError(f"{buffer.name} at {offset} is not aligned to {alignment}")
    for index, (buffer, offset) in enumerate(spans):
        for other, other_offset in spans[:index]:
            apart = offset + buffer.nbytes <= other_offset or other_offset + other.nbytes <= offset
            if not apart and buffer.meets(other):
                raise InternalError(f"{buffer.name} and {other.name} overlap while both live")
