"""The order of tasks with the lowest peak of memory: exact where few orders differ, else a beam.

The state is the set of tasks done; what is alive follows from it, so two ways to one set differ
only in their peaks. The exact search takes states by peak, the lowest first (Dijkstra's algorithm
with the maximum in place of the sum), and stops at the first that is complete. The number of sets
grows with that of branches open at once: beyond a bound, the most promising sets of each size are
followed instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

_STATES = 20_000  # sets looked at exactly
_WORK = 600_000  # sets times tasks, about a second
_BEAM = 32  # sets of each size that are followed beyond


@dataclass(frozen=True, slots=True)
class Task:
    """Something to run: it reads and makes buffers, and needs `extra` bytes meanwhile.

    It runs after the makers of what it reads and after the tasks `after`, given by index.
    `savings` has, for buffers that may die here, the bytes that can be used again at once for what
    is made; all together never save more than `most_saved`.
    """

    reads: tuple[int, ...]
    makes: tuple[int, ...]
    after: tuple[int, ...] = ()
    extra: int = 0
    savings: Mapping[int, int] | None = None
    most_saved: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """Tasks in a possible order, with the bytes of each buffer and which are kept to the end.

    Buffers that no task makes are there from the start.
    """

    tasks: tuple[Task, ...]
    nbytes: tuple[int, ...]
    kept: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Tables:
    """Sets are bits of whole numbers: bit i is task i."""

    work: Work
    needs: list[int]  # of each task: the tasks before it
    readers: list[int]  # of each buffer

    def start(self) -> int:
        made = {b for task in self.work.tasks for b in task.makes}
        return sum(n for b, n in enumerate(self.work.nbytes) if b not in made)

    def ready(self, done: int) -> Iterator[int]:
        for i, needs in enumerate(self.needs):
            if not done >> i & 1 and needs & ~done == 0:
                yield i

    def run(self, i: int, done: int, live: int) -> tuple[int, int]:
        """(bytes in use while task i runs after `done`, bytes alive afterwards)."""
        task, nbytes, after = self.work.tasks[i], self.work.nbytes, done | 1 << i
        made = sum(nbytes[b] for b in task.makes)
        dying = [b for b in task.reads if self.dies(b, after)]
        savings = task.savings or {}
        saved = min(task.most_saved, sum(savings.get(b, 0) for b in dying))
        unread = sum(nbytes[b] for b in task.makes if self.dies(b, after))
        left = live + made - sum(nbytes[b] for b in dying) - unread
        return live + made + task.extra - saved, left

    def dies(self, buffer: int, done: int) -> bool:
        return buffer not in self.work.kept and self.readers[buffer] & ~done == 0


def peak_bytes(work: Work, order: Sequence[int] | None = None) -> int:
    """The most bytes in use at a time when the tasks run in `order` (default: as they are)."""
    tables = _tables(work)
    done, live, peak = 0, tables.start(), tables.start()
    for i in range(len(work.tasks)) if order is None else order:
        used, live = tables.run(i, done, live)
        peak, done = max(peak, used), done | 1 << i
    return peak


def lowest_peak_order(work: Work) -> list[int]:
    """An order of the lowest peak found; that of `work` when no other is better. Deterministic."""
    given = list(range(len(work.tasks)))
    tables, peak = _tables(work), peak_bytes(work)
    if peak == _unavoidable(tables):
        return given
    found = _exact(tables) or _beam(tables)
    return found if peak_bytes(work, found) < peak else given


def _tables(work: Work) -> _Tables:
    maker = {b: i for i, task in enumerate(work.tasks) for b in task.makes}
    needs = [
        sum(1 << i for i in {*task.after, *(maker[b] for b in task.reads if b in maker)})
        for task in work.tasks
    ]
    readers = [0] * len(work.nbytes)
    for i, task in enumerate(work.tasks):
        for b in task.reads:
            readers[b] |= 1 << i
    return _Tables(work, needs, readers)


def _unavoidable(tables: _Tables) -> int:
    """A bound of every order: each task alone, with what it reads and makes."""
    work = tables.work
    return max(
        (
            sum(work.nbytes[b] for b in {*task.reads, *task.makes}) + task.extra
            - min(task.most_saved, sum((task.savings or {}).values()))
            for task in work.tasks
        ),
        default=0,
    )  # fmt: skip


def _exact(tables: _Tables) -> list[int] | None:
    count = len(tables.work.tasks)
    limit = min(_STATES, _WORK // max(1, count))
    start = tables.start()
    heap = [(start, 0, 0, start)]  # peak, tasks left, set, bytes alive
    came: dict[int, int] = {}  # set -> the task that completed it
    best = {0: start}
    settled: set[int] = set()
    while heap and len(settled) < limit:
        peak, _, done, live = heappop(heap)
        if done in settled:
            continue
        settled.add(done)
        if done.bit_count() == count:
            return _path(came, done)
        for i in tables.ready(done):
            after = done | 1 << i
            used, left = tables.run(i, done, live)
            used = max(used, peak)
            if used < best.get(after, used + 1):
                best[after], came[after] = used, i
                heappush(heap, (used, -after.bit_count(), after, left))
    return None


def _path(came: Mapping[int, int], done: int) -> list[int]:
    order = []
    while done:
        order.append(came[done])
        done ^= 1 << came[done]
    return order[::-1]


def _beam(tables: _Tables) -> list[int]:
    """Of the sets of each size those with the lowest peak, then the fewest bytes alive."""
    came: dict[int, int] = {}
    front = {0: (tables.start(), tables.start())}
    for _ in tables.work.tasks:
        grown: dict[int, tuple[int, int]] = {}
        for done, (peak, live) in front.items():
            for i in tables.ready(done):
                used, left = tables.run(i, done, live)
                score = max(used, peak), left
                after = done | 1 << i
                if after not in grown or score < grown[after]:
                    grown[after], came[after] = score, i
        kept = sorted(grown.items(), key=lambda item: (*item[1], item[0]))[:_BEAM]
        front = dict(kept)
    return _path(came, next(iter(front)))
