"""The minimum cut against trying every choice."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.passes.layout_cut import INFINITE, Cut

_VERTICES = 5
_EDGES = st.lists(
    st.tuples(st.integers(0, _VERTICES - 1), st.integers(0, _VERTICES - 1), st.integers(0, 9)),
    max_size=15,
)


def _cost(edges: list[tuple[int, int, int]], source_side: set[int]) -> int:
    return sum(c for a, b, c in edges if a in source_side and b not in source_side)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_EDGES)
def test_no_choice_is_cheaper_and_none_as_cheap_is_smaller(
    edges: list[tuple[int, int, int]],
) -> None:
    cut = Cut()
    for _ in range(_VERTICES - 2):
        cut.vertex()
    for tail, head, cost in edges:
        cut.edge(tail, head, cost)
    cost, side = cut.solve()
    choices = [
        {Cut.SOURCE, *(i + 2 for i, taken in enumerate(bits) if taken)}
        for bits in product([False, True], repeat=_VERTICES - 2)
    ]
    best = min(_cost(edges, choice) for choice in choices)
    assert cost == best == _cost(edges, set(side))
    assert len(side) == min(len(c) for c in choices if _cost(edges, c) == best)


def test_infinite_edges_tie_vertices_together() -> None:
    cut = Cut()
    a, b = cut.vertex(), cut.vertex()
    cut.edge(Cut.SOURCE, a, 5)
    cut.edge(a, b, INFINITE)
    cut.edge(b, Cut.SINK, 3)
    assert cut.solve() == (3, frozenset({Cut.SOURCE, a, b}))
