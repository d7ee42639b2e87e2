"""The dynamic programme against every combination."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.quantize.knapsack import Choice, least_bytes, least_noise

choices = st.builds(Choice, st.integers(0, 40), st.integers(0, 40).map(float))
items = st.lists(st.lists(choices, min_size=1, max_size=4), max_size=6)


def totals(given_items, path):
    taken = [item[i] for item, i in zip(given_items, path, strict=True)]
    return sum(c.bytes for c in taken), sum(c.noise for c in taken)


def every_total(given_items):
    return [totals(given_items, path) for path in product(*(range(len(i)) for i in given_items))]


@settings(max_examples=150, deadline=None)
@given(items, st.integers(0, 120))
def test_least_noise_is_what_trying_all_finds(given_items, budget):
    fitting = [(n, b) for b, n in every_total(given_items) if b <= budget]
    path = least_noise(given_items, budget)
    if path is None:
        assert not fitting
    else:
        assert totals(given_items, path)[::-1] == min(fitting)


@settings(max_examples=150, deadline=None)
@given(items, st.integers(0, 120))
def test_least_bytes_is_what_trying_all_finds(given_items, noise):
    fitting = [(b, n) for b, n in every_total(given_items) if n <= noise]
    path = least_bytes(given_items, float(noise))
    if path is None:
        assert not fitting
    else:
        assert totals(given_items, path) == min(fitting)


@settings(max_examples=150, deadline=None)
@given(items, st.integers(0, 120), st.integers(2, 12))
def test_a_short_front_keeps_the_budget_and_its_promise(given_items, budget, states):
    everything = every_total(given_items)
    path = least_noise(given_items, budget, states=states)
    span = sum(max(c.bytes for c in i) - min(c.bytes for c in i) for i in given_items)
    smaller = budget - len(given_items) * max(1, -(-span // states))
    promised = [n for b, n in everything if b <= smaller]
    if path is None:
        assert not [b for b, _ in everything if b <= budget]
        return
    found_bytes, found_noise = totals(given_items, path)
    assert found_bytes <= budget
    assert not promised or found_noise <= min(promised)


def test_nothing_keeps_a_budget_below_zero():
    assert least_noise([], -1) is None
    assert least_bytes([], -1.0) is None
    assert least_noise([], 0) == []


def test_many_items_of_large_sizes_are_solved_within_the_budget():
    many = [[Choice(1000 * i + 7, 1.0 / i), Choice(500 * i + 3, 16.0 / i)] for i in range(1, 80)]
    path = least_noise(many, 2_000_000)
    assert path is not None
    assert totals(many, path)[0] <= 2_000_000
