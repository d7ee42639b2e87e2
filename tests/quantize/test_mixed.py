"""What is chosen from given figures: budgets, repairs, and what a value's neighbours must do."""

from itertools import product

import pytest

from edgepack.ir import DType
from edgepack.ir.text import parse
from edgepack.quantize.mixed import (
    BYTE,
    NARROW,
    WIDE,
    Budget,
    NoiseTable,
    choose_layers,
    sqnr_of,
)
from edgepack.quantize.options import QuantizeOptions

NET = """
    x: float32[1, 4, 4, 4] = input()
    w1 = random(8, 3, 3, 4)
    a = Conv2d(x, w1, pad=((1, 1), (1, 1)))
    p = MaxPool2d(a, kernel=(2, 2), stride=(2, 2))
    w2 = random(16, 1, 1, 8)
    b = Conv2d(p, w2)
    w3 = random(4, 3, 3, 16)
    c = Conv2d(b, w3, pad=((1, 1), (1, 1)))
    output(c)"""
BYTES = {"a": 8 * 9 * 4, "b": 16 * 8, "c": 4 * 9 * 16}
WEIGHTS = {
    "a": {DType.INT8: 1e-6, DType.INT4: 1e-3},
    "b": {DType.INT8: 1e-6, DType.INT4: 3e-4},
    "c": {DType.INT8: 1e-6, DType.INT4: 2e-4},
}
VALUES = {name: {DType.INT8: 1e-5, DType.INT16: 1e-9} for name in "xabc"}


def choose(budget, weights=WEIGHTS, values=VALUES, layers=None, kernel=None, runs_float=True):
    return choose_layers(
        parse(NET),
        NoiseTable(weights, values),
        QuantizeOptions(layers=layers or {}),
        budget,
        kernel or (lambda node, precision: True),
        lambda node: runs_float,
    )


def test_without_a_budget_all_is_int8():
    found = choose(Budget())
    assert found.layers == {}
    assert found.met
    assert found.weight_bytes == sum(BYTES.values())
    assert found.sqnr_db == pytest.approx(sqnr_of(3e-6 + 4e-5))


@pytest.mark.parametrize("share", [0.5, 0.6, 0.75, 0.8, 0.9, 0.99, 1.0])
def test_the_noise_within_a_byte_budget_is_the_least_of_all_ways(share):
    budget = int(sum(BYTES.values()) * share)
    found = choose(Budget(weight_bytes=budget))
    ways = [dict(zip("abc", way, strict=True)) for way in product((BYTE, NARROW), repeat=3)]
    fitting = [
        sum(WEIGHTS[name][p.weights] for name, p in way.items())
        for way in ways
        if sum(BYTES[name] * p.weights.bits // 8 for name, p in way.items()) <= budget
    ]
    assert found.met
    assert found.weight_bytes <= budget
    assert found.sqnr_db == pytest.approx(sqnr_of(min(fitting) + 4e-5))


def test_an_impossible_byte_budget_gives_the_smallest_and_says_so():
    found = choose(Budget(weight_bytes=10))
    assert not found.met
    assert found.layers == dict.fromkeys("abc", NARROW)


def test_an_sqnr_is_kept_with_the_fewest_bytes():
    found = choose(Budget(min_sqnr_db=sqnr_of(6e-4)))
    assert found.met
    assert found.layers == {"b": NARROW, "c": NARROW}
    assert found.sqnr_db >= sqnr_of(6e-4)


def test_an_sqnr_beyond_8_bits_widens_activations_with_all_that_touch_them():
    values = {**VALUES, "a": {DType.INT8: 1e-3, DType.INT16: 1e-9}}
    found = choose(Budget(min_sqnr_db=40), values=values)
    assert found.met
    assert {n for n, p in found.layers.items() if p == WIDE} == {"a", "p", "b"}


def test_a_node_without_a_wide_kernel_stays_narrow_and_the_budget_is_not_met():
    values = {**VALUES, "a": {DType.INT8: 1e-3, DType.INT16: 1e-9}}
    found = choose(
        Budget(min_sqnr_db=40),
        values=values,
        kernel=lambda node, p: p == BYTE or node.name != "p",
        runs_float=False,
    )
    assert not found.met
    assert "p" not in found.layers


def test_an_sqnr_beyond_8_bits_of_weights_leaves_layers_in_float():
    weights = {**WEIGHTS, "b": {DType.INT8: 2e-3}, "c": {DType.INT8: 1e-3}}
    found = choose(Budget(min_sqnr_db=sqnr_of(1.5e-3)), weights=weights)
    assert found.met
    assert found.layers["b"] is None
    assert found.layers.get("c", BYTE) is not None
    assert not choose(Budget(min_sqnr_db=30), weights=weights, runs_float=False).met


def test_weights_that_break_the_output_stay_float():
    weights = {**WEIGHTS, "b": {DType.INT8: 0.5, DType.INT4: 0.9}}
    found = choose(Budget(), weights=weights)
    assert found.layers == {"b": None}
    assert "3.0 dB" in found.reasons["b"]
    assert choose(Budget(), weights=weights, runs_float=False).layers == {}


def test_a_value_that_breaks_the_output_gets_16_bits_or_else_float():
    values = {**VALUES, "b": {DType.INT8: 0.5, DType.INT16: 1e-6}}
    assert choose(Budget(), values=values).layers == {"b": WIDE, "c": WIDE}
    only_8 = choose(Budget(), values=values, kernel=lambda node, p: p != WIDE)
    assert only_8.layers == {"b": None, "c": None}


def test_what_the_user_asked_for_stays():
    found = choose(Budget(min_sqnr_db=20), layers={"b": BYTE, "a": None})
    assert found.layers["b"] == BYTE
    assert found.layers["a"] is None
    assert found.layers["c"] == NARROW
    assert set(found.reasons) == {"c"}
