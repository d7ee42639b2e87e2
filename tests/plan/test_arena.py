import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.errors import InternalError
from edgepack.plan.arena import (
    Allocation,
    Buffer,
    aligned,
    allocate_best,
    allocate_greedy,
    live_bytes,
    lower_bound,
    verify_allocation,
)

ALIGNMENT = 16


@st.composite
def buffer_lists(draw, max_size=14):
    buffers = []
    for index in range(draw(st.integers(0, max_size))):
        first = draw(st.integers(0, 10))
        last = draw(st.integers(first, 10))
        buffers.append(Buffer(f"b{index}", draw(st.integers(0, 500)), first, last))
    return buffers


@given(buffer_lists())
def test_greedy_is_sound(buffers):
    allocation = allocate_greedy(buffers, ALIGNMENT)
    verify_allocation(buffers, allocation, ALIGNMENT)
    assert allocation.arena_bytes >= lower_bound(aligned(buffers, ALIGNMENT))


@given(buffer_lists())
def test_best_is_sound_and_never_larger_than_greedy(buffers):
    allocation = allocate_best(buffers, ALIGNMENT)
    verify_allocation(buffers, allocation, ALIGNMENT)
    greedy = allocate_greedy(buffers, ALIGNMENT).arena_bytes
    assert lower_bound(aligned(buffers, ALIGNMENT)) <= allocation.arena_bytes <= greedy


@given(buffer_lists(max_size=8))
def test_best_is_deterministic(buffers):
    assert allocate_best(buffers, ALIGNMENT) == allocate_best(buffers, ALIGNMENT)


def test_best_beats_greedy_where_largest_first_leaves_a_hole():
    buffers = [
        Buffer("a", 64, 0, 5),
        Buffer("b", 48, 4, 5),
        Buffer("c", 48, 0, 1),
        Buffer("d", 16, 1, 3),
        Buffer("e", 16, 0, 2),
        Buffer("f", 32, 2, 5),
    ]
    best = allocate_best(buffers).arena_bytes
    assert best < allocate_greedy(buffers).arena_bytes
    assert best == lower_bound(buffers)


def test_greedy_places_the_later_of_equals_first():
    buffers = [Buffer("early", 16, 0, 1), Buffer("late", 16, 1, 2)]
    assert allocate_greedy(buffers).offsets == (16, 0)


def test_greedy_keeps_fixed_offsets():
    buffers = [Buffer("free", 64, 0, 2), Buffer("fixed", 32, 1, 1, fixed=16)]
    assert allocate_greedy(buffers).offsets == (48, 16)


def test_live_bytes_counts_both_ends():
    buffers = [Buffer("a", 10, 0, 1), Buffer("b", 5, 1, 2)]
    assert live_bytes(buffers, 4) == [10, 15, 5, 0]


WRONG = {
    "overlap": ([Buffer("a", 32, 0, 1), Buffer("b", 32, 1, 2)], (0, 16), 64, "overlap"),
    "outside": ([Buffer("a", 32, 0, 1)], (48,), 64, "leaves the arena"),
    "unaligned": ([Buffer("a", 8, 0, 1)], (8,), 64, "not aligned"),
    "missing": ([Buffer("a", 8, 0, 1)], (), 64, "0 offsets for 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_verify_finds(case):
    buffers, offsets, arena_bytes, message = WRONG[case]
    with pytest.raises(InternalError, match=message):
        verify_allocation(buffers, Allocation(offsets, arena_bytes), ALIGNMENT)


def test_verify_allows_reuse_after_death():
    buffers = [Buffer("a", 32, 0, 1), Buffer("b", 32, 2, 3)]
    verify_allocation(buffers, Allocation((0, 0), 32))


@pytest.mark.parametrize(("nbytes", "first", "last"), [(-1, 0, 1), (1, 2, 1)])
def test_impossible_buffers_are_refused(nbytes, first, last):
    with pytest.raises(ValueError, match="buffer x"):
        Buffer("x", nbytes, first, last)
