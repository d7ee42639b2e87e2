"""Minimum cut: which of two sides each vertex belongs on.

Shortest augmenting paths (Edmonds and Karp 1972) with levels (Dinic 1970).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

INFINITE: Final = 1 << 60


class Cut:
    """A flow network; `SOURCE` and `SINK` are there from the start."""

    SOURCE: Final = 0
    SINK: Final = 1

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]  # vertex: indices of its edges
        self._to: list[int] = []
        self._room: list[int] = []  # edge e and its reverse e ^ 1 are neighbours

    def vertex(self) -> int:
        """A new vertex."""
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, tail: int, head: int, cost: int) -> None:
        """Having `tail` on the source's side and `head` on the sink's costs `cost`."""
        for start, end, room in ((tail, head, cost), (head, tail, 0)):
            self._edges[start].append(len(self._to))
            self._to.append(end)
            self._room.append(room)

    def tie(self, maker: int, users: Sequence[int], made: int, read: int) -> None:
        """A value between its maker and its users: each side pays once for all on the other.

        `made` is the cost where the maker is on the source's side and some user is not, `read` that
        where some user is and the maker is not: an AND and an OR of the users.
        """
        if not users:
            return
        both, either = self.vertex(), self.vertex()
        self.edge(maker, both, made)
        self.edge(either, maker, read)
        for user in users:
            self.edge(both, user, INFINITE)
            self.edge(user, either, INFINITE)

    def solve(self) -> tuple[int, frozenset[int]]:
        """(the least cost, the smallest source side that has it)."""
        flow = 0
        while (levels := self._levels())[self.SINK] >= 0:
            position = [0] * len(self._edges)
            while pushed := self._augment(levels, position):
                flow += pushed
        return flow, frozenset(v for v, level in enumerate(levels) if level >= 0)

    def _levels(self) -> list[int]:
        levels = [-1] * len(self._edges)
        levels[self.SOURCE] = 0
        queue = deque([self.SOURCE])
        while queue:
            vertex = queue.popleft()
            for e in self._edges[vertex]:
                if self._room[e] and levels[self._to[e]] < 0:
                    levels[self._to[e]] = levels[vertex] + 1
                    queue.append(self._to[e])
        return levels

    def _augment(self, levels: list[int], position: list[int]) -> int:
        """Push flow along one path that climbs the levels; 0 when there is none left."""
        path: list[int] = []
        vertex = self.SOURCE
        while vertex != self.SINK:
            e = self._next_edge(vertex, levels, position)
            if e is not None:
                path.append(e)
                vertex = self._to[e]
            elif path:
                vertex = self._to[path.pop() ^ 1]
                position[vertex] += 1
            else:
                return 0
        pushed = min(self._room[e] for e in path)
        for e in path:
            self._room[e] -= pushed
            self._room[e ^ 1] += pushed
        return pushed

    def _next_edge(self, vertex: int, levels: list[int], position: list[int]) -> int | None:
        edges = self._edges[vertex]
        while position[vertex] < len(edges):
            e = edges[position[vertex]]
            if self._room[e] and levels[self._to[e]] == levels[vertex] + 1:
                return e
            position[vertex] += 1
        return None
