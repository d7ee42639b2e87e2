"""Geometry of the charts."""

from __future__ import annotations

import dataclasses
import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.report.charts.layered import HEIGHT, WIDTH, drawing_of
from edgepack.report.charts.spread import spreads_of
from edgepack.report.charts.timeline import scale_of, timeline_of
from edgepack.report.charts.treemap import squarified, treemap_of
from edgepack.report.model import LayerInfo
from tests.report.samples import BARE, FITS, KIB, LAYERS, TOO_LARGE


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_a_treemap_fills_its_area_in_proportion(sizes: list[int]) -> None:
    sizes.sort(reverse=True)
    places = squarified(sizes, 220, 100)
    for size, (_, _, width, height) in zip(sizes, places, strict=True):
        assert width * height == pytest.approx(size / sum(sizes) * 22_000)
    for one, two in combinations(places, 2):
        assert _overlap(one, two) < 1e-6
    assert all(le > -1e-6 and t > -1e-6 for le, t, _, _ in places)
    assert all(le + w < 220 + 1e-6 and t + h < 100 + 1e-6 for le, t, w, h in places)


def _overlap(one: tuple[float, ...], two: tuple[float, ...]) -> float:
    sides = [
        max(0.0, min(one[i] + one[i + 2], two[i] + two[i + 2]) - max(one[i], two[i]))
        for i in (0, 1)
    ]
    return sides[0] * sides[1]


def test_small_layers_are_one_tile() -> None:
    small = [dataclasses.replace(LAYERS[0], node=f"s{i}", weight_bytes=1) for i in range(7)]
    tiles = treemap_of([*LAYERS, *small])
    assert sum(tile.bytes for tile in tiles) == sum(la.weight_bytes for la in LAYERS) + 7
    assert tiles[-1].node == "7 smaller layers"
    assert treemap_of([dataclasses.replace(la, weight_bytes=0) for la in LAYERS]) == ()


def test_the_timeline_has_the_peak_and_the_budget_to_scale() -> None:
    chart = timeline_of(TOO_LARGE.memory)
    assert chart is not None
    assert (chart.peak.index, chart.peak.live_bytes) == (1, 40 * KIB)
    assert chart.budget is not None
    assert chart.budget_to_scale
    assert chart.budget.height < chart.peak.height
    assert chart.peak.height / chart.steps[0].height == pytest.approx(40 / 12)
    assert all(0 < tick.height < 100 for tick in chart.ticks)
    assert 2 <= len(chart.ticks) <= 5


def test_a_far_budget_is_said_to_be_off_the_scale() -> None:
    chart = timeline_of(FITS.memory)
    assert chart is not None
    assert not chart.budget_to_scale
    assert chart.peak.height > 50


def test_compared_timelines_have_one_scale() -> None:
    twice = [{**p, "live_bytes": 2 * p["live_bytes"]} for p in FITS.memory["timeline"]]
    memories = [FITS.memory, {**FITS.memory, "timeline": twice}]
    one, two = (timeline_of(memory, scale_of(memories)) for memory in memories)
    assert one is not None
    assert two is not None
    assert two.peak.height == pytest.approx(2 * one.peak.height)


def test_without_a_plan_there_is_no_timeline() -> None:
    assert timeline_of(BARE.memory) is None


def test_the_graph_goes_down_and_boxes_are_apart() -> None:
    drawing = drawing_of(LAYERS)
    assert drawing is not None
    tops = {box.name: box.top for box in drawing.boxes}
    assert set(tops) == {"x", *(layer.node for layer in LAYERS)}
    for layer in LAYERS:
        for name in layer.inputs:
            assert tops[name] + HEIGHT < tops[layer.node]
    for one, two in combinations(drawing.boxes, 2):
        places = [(b.left, b.top, WIDTH, HEIGHT) for b in (one, two)]
        assert _overlap(*places) == 0
    assert all(0 <= b.left <= drawing.width - WIDTH + 1e-6 for b in drawing.boxes)
    assert len(drawing.edges) == sum(len(layer.inputs) for layer in LAYERS)


@given(st.integers(2, 25).flatmap(lambda n: st.lists(
    st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), min_size=1, max_size=40)))  # fmt: skip
def test_any_graph_is_drawn_without_overlaps(pairs: list[tuple[int, int]]) -> None:
    reads: dict[int, set[str]] = {}
    for a, b in pairs:
        reads.setdefault(max(a, b) + 1, set()).add(str(min(a, b)))
    layers = [
        LayerInfo(str(i), "Add", 0, 0, inputs=tuple(sorted(reads.get(i, ())))) for i in range(27)
    ]
    drawing = drawing_of(layers)
    assert drawing is not None
    for one, two in combinations(drawing.boxes, 2):
        assert _overlap(*[(b.left, b.top, WIDTH - 1, HEIGHT) for b in (one, two)]) < 1e-6


def test_reports_that_do_not_tell_of_inputs_have_no_graph() -> None:
    assert drawing_of([dataclasses.replace(la, inputs=()) for la in LAYERS]) is None


def test_histograms_have_the_worst_first() -> None:
    charts = spreads_of(LAYERS)
    assert [c.sqnr_db for c in charts] == sorted(la.sqnr_db or 0 for la in LAYERS)
    heights = [float(v) for v in re.findall(r"V([\d.]+)H", charts[0].float_area)]
    assert len(heights) == 5
    assert min(heights) == heights[2] == pytest.approx(4)
