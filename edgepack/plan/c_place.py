"""Placing blocks of memory that may overlap by rules, in the smallest arena found.

A `Span` is a run of bytes needed from one step to another, at a fixed place in its block; a block
is what gets an offset. Two spans of different blocks that live at the same time must share no byte,
unless a `Relation` says at which distances of their blocks they may.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.plan.abi import align_up

_TRIES = 600  # orders tried beyond the first few; each places every block anew
_WORK = 1_500_000  # constraints looked at in all, about two seconds


@dataclass(frozen=True, slots=True)
class Span:
    """`nbytes` from byte `start` of block `block` on, in use from step `first` to step `last`."""

    block: int
    start: int
    nbytes: int
    first: int
    last: int

    def meets(self, other: Span) -> bool:
        """Whether both live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Relation:
    """A span that is born may lie over one that dies.

    The offset of the born one's block minus that of the dying one's is then limit, limit - step,
    limit - 2 step, ...
    """

    limit: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Spans, and by (index of the span that dies, index of the span that is born) the relations.

    `alignments` has that of each block's offset.
    """

    spans: tuple[Span, ...]
    relations: Mapping[tuple[int, int], Relation]
    alignments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Gap:
    """Forbidden differences of two offsets: more than `low`, less than `high`.

    Except, when step is not 0, those that are `anchor` plus a multiple of step, and on the allowed
    side of it: not above it when `down`, else not below it.
    """

    low: int
    high: int
    anchor: int = 0
    step: int = 0
    down: bool = True

    def trimmed(self) -> _Gap:
        """The same gap; where steps are of 1 a shorter one without exceptions."""
        if self.step != 1:
            return self
        return _Gap(max(self.low, self.anchor), max(self.high, self.anchor))

    def mirrored(self) -> _Gap:
        return _Gap(-self.high, -self.low, -self.anchor, self.step, not self.down)

    def next_allowed(self, difference: int) -> int:
        """The smallest allowed difference that is not below the one given."""
        if not self.low < difference < self.high:
            return difference
        if self.step == 0:
            return self.high
        if not self.down:
            difference = max(difference, self.anchor)
        found = difference + (self.anchor - difference) % self.step
        return min(found, self.high) if not self.down or found <= self.anchor else self.high


@dataclass(slots=True)
class _Board:
    """The gaps between pairs of blocks, and the bytes that each block takes.

    `gaps[a][b]` forbid differences: offset of a minus offset of b.
    """

    puzzle: Puzzle
    extents: list[int] = field(init=False)
    gaps: list[dict[int, list[_Gap]]] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.puzzle.alignments)
        self.extents = [0] * count
        self.gaps = [{} for _ in range(count)]
        for span in self.puzzle.spans:
            end = span.start + span.nbytes
            self.extents[span.block] = max(self.extents[span.block], end)
        spans = self.puzzle.spans
        for i, a in enumerate(spans):
            for j in range(i + 1, len(spans)):
                b = spans[j]
                if a.block != b.block and a.nbytes and b.nbytes and a.meets(b):
                    gap = self._gap(i, j)
                    self.gaps[b.block].setdefault(a.block, []).append(gap)
                    self.gaps[a.block].setdefault(b.block, []).append(gap.mirrored())
        for row in self.gaps:
            for other in row:
                row[other] = _merged(row[other])

    def _gap(self, i: int, j: int) -> _Gap:
        """Of the offset of j's block minus the offset of i's."""
        a, b = self.puzzle.spans[i], self.puzzle.spans[j]
        low = a.start - b.start - b.nbytes
        high = a.start - b.start + a.nbytes
        relation = self.puzzle.relations.get((i, j))
        if relation is not None:
            return _Gap(low, high, relation.limit, relation.step).trimmed()
        relation = self.puzzle.relations.get((j, i))
        if relation is not None:
            return _Gap(-high, -low, relation.limit, relation.step).trimmed().mirrored()
        return _Gap(low, high)

    def place(self, order: Sequence[int], limit: int | None = None) -> tuple[list[int], int] | None:
        """Each block in turn at the lowest offset that is allowed: offsets and arena.

        None when the arena would exceed `limit`.
        """
        offsets = [-1] * len(self.extents)
        arena = 0
        for block in order:
            offset = self._lowest(block, offsets)
            offsets[block] = offset
            arena = max(arena, offset + self.extents[block])
            if limit is not None and arena > limit:
                return None
        return offsets, arena

    def _lowest(self, block: int, offsets: Sequence[int]) -> int:
        alignment = self.puzzle.alignments[block]
        placed = [
            (offsets[other] + gap.low, offsets[other] + gap.high, offsets[other], gap)
            for other, gaps in self.gaps[block].items()
            if offsets[other] >= 0
            for gap in gaps
        ]
        placed.sort(key=lambda entry: entry[:3])
        offset, moved = 0, True
        while moved:
            moved = False
            for low, high, base, gap in placed:
                if low >= offset:
                    break  # so do all that follow
                if offset < high:
                    allowed = base + gap.next_allowed(offset - base) if gap.step else high
                    if allowed > offset:
                        offset, moved = align_up(allowed, alignment), True
        return offset


def _merged(gaps: Sequence[_Gap]) -> list[_Gap]:
    """The same with plain gaps that overlap made one."""
    merged = [gap for gap in gaps if gap.step]
    low, high = 0, 0
    for gap in sorted((g for g in gaps if not g.step), key=lambda g: g.low):
        if high > low and gap.low < high:
            high = max(high, gap.high)
            continue
        if high > low:
            merged.append(_Gap(low, high))
        low, high = gap.low, gap.high
    return [*merged, _Gap(low, high)] if high > low else merged


def place(puzzle: Puzzle, lower_bound: int) -> tuple[tuple[int, ...], int]:
    """Offsets of the blocks and the arena's bytes; stops as soon as `lower_bound` is reached.

    Several orders, then changes of the best one with a fixed seed: the same puzzle always has the
    same answer.
    """
    board = _Board(puzzle)
    best_order, best = [], None
    for order in _orders(puzzle, board.extents):
        found = board.place(order)
        assert found is not None
        if best is None or found[1] < best[1]:
            best_order, best = order, found
        if best[1] <= lower_bound:
            break
    if best is None:
        return (), 0
    offsets, arena = _improve(board, best_order, best, lower_bound)
    return tuple(offsets), arena


def _orders(puzzle: Puzzle, extents: Sequence[int]) -> list[list[int]]:
    first = [0] * len(extents)
    last = [0] * len(extents)
    for span in reversed(puzzle.spans):
        first[span.block] = span.first
        last[span.block] = max(last[span.block], span.last)
    blocks = range(len(extents))
    return [
        sorted(blocks, key=lambda b: (-extents[b], -last[b], b)),
        sorted(blocks, key=lambda b: (-extents[b], first[b], b)),
        sorted(blocks, key=lambda b: (-extents[b] * (last[b] - first[b] + 1), b)),
        sorted(blocks, key=lambda b: (-last[b], -extents[b], b)),
        sorted(blocks, key=lambda b: (first[b], -extents[b], b)),
    ]


def _improve(
    board: _Board, order: list[int], best: tuple[list[int], int], bound: int
) -> tuple[list[int], int]:
    """Swap two blocks, or move one to the front, as long as the arena does not grow by it."""
    count = len(order)
    work = sum(len(gaps) for other in board.gaps for gaps in other.values())
    chance = random.Random(0)
    for _ in range(min(_TRIES, _WORK // max(work, 1)) if count > 1 else 0):
        if best[1] <= bound:
            break
        changed = list(order)
        a, b = chance.sample(range(count), 2)
        if chance.random() < 0.5:
            changed[a], changed[b] = changed[b], changed[a]
        else:
            changed.insert(b, changed.pop(a))
        found = board.place(changed, best[1])
        if found is not None:
            order, best = changed, found
    return best
