import dataclasses
import os
from itertools import permutations
from pathlib import Path

import pytest
from c_graphs import conv, graphs, slice_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import InternalError
from edgepack.ir import DType, Graph
from edgepack.plan.c_loops import LOOPS
from edgepack.plan.c_order import frugal_order
from edgepack.plan.c_place import Puzzle, Relation, Span, place
from edgepack.plan.c_plan import plan_c
from edgepack.plan.c_verify import verify_plan
from edgepack.plan.order_search import Task, Work, lowest_peak_order, peak_bytes

SHARED = Path(os.environ.get("EDGEPACK_SHARED", Path(__file__).parents[3] / "shared"))


@settings(max_examples=150, deadline=None)
@given(graphs(), st.sampled_from(sorted(LOOPS)))
def test_plans_are_sound_and_not_below_their_bound(graph, optimize):
    plan = plan_c(graph, optimize)
    verify_plan(graph, plan, optimize)
    assert plan.arena_bytes >= plan.lower_bound_bytes >= max(plan.live_bytes, default=0)


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_plans_are_deterministic(graph):
    twin = graph.copy()
    plans = [plan_c(g) for g in (graph, twin)]
    one, other = [
        ([n.name for n in p.order], {v.name: o for v, o in p.offsets.items()}, p.arena_bytes)
        for p in plans
    ]
    assert one == other


def chain():
    graph = Graph()
    x = graph.add_input("x", (1, 8, 8, 4), DType.INT8)
    y = graph.add("Relu", [conv(graph, x, 4)])
    graph.outputs = [graph.add("Reshape", [y], {"shape": (256,)})]
    return graph


def test_a_chain_takes_little_more_than_one_buffer():
    graph = chain()
    plan = plan_c(graph, "ram")
    lag = 4 * (1 + 8 + 1) - 4  # a row and a pixel, less the pixel that is due
    assert plan.arena_bytes == 256 + lag + 9 * 4 * 2
    assert [plan.is_free(node) for node in plan.order] == [False, False, True]


def moved(plan, name, by):
    offsets = {v: o + by * (v.name == name) for v, o in plan.offsets.items()}
    return dataclasses.replace(plan, offsets=offsets, arena_bytes=plan.arena_bytes + 256)


@pytest.mark.parametrize(("name", "by"), [("conv2d", 4), ("x", 2), ("relu", 4), ("reshape", -4)])
def test_the_verifier_finds_a_buffer_out_of_place(name, by):
    graph = chain()
    plan = plan_c(graph)
    verify_plan(graph, plan)
    with pytest.raises(InternalError):
        verify_plan(graph, moved(plan, name, by))


def test_the_verifier_finds_scratch_that_is_too_small_or_in_the_way():
    graph = chain()
    plan = plan_c(graph)
    node = graph.nodes[0]
    for scratch in ({}, {node: (plan.offsets[node.output], plan.scratch[node][1])}):
        with pytest.raises(InternalError, match="scratch"):
            verify_plan(graph, dataclasses.replace(plan, scratch=scratch))


def test_rows_that_are_put_together_are_made_where_they_belong():
    graph = Graph()
    x = graph.add_input("x", (1, 8, 4, 4), DType.INT8)
    parts = [graph.add("Relu", [slice_rows(graph, x, begin, 4)]) for begin in (0, 4)]
    graph.outputs = [graph.add("Concat", parts, {"axis": 1})]
    plan = plan_c(graph)
    verify_plan(graph, plan)
    out = plan.offsets[graph.outputs[0]]
    assert [plan.offsets[part] - out for part in parts] == [0, 64]
    assert plan.arena_bytes == 128  # the rows of x that were read are free, one part at a time


def test_an_input_of_a_concat_that_another_input_shows_stays_apart():
    graph = Graph()
    x = graph.add_input("x", (1, 4, 2, 2), DType.INT8)
    y = graph.add("Relu", [x])
    flat = graph.add("Reshape", [y], {"shape": (16,)})
    again = graph.add("Reshape", [flat], {"shape": y.shape})
    graph.outputs = [graph.add("Concat", [y, again], {"axis": 1})]
    plan = plan_c(graph)
    verify_plan(graph, plan)


def test_two_outputs_and_an_input_that_is_an_output():
    graph = Graph()
    x = graph.add_input("x", (1, 4, 4, 4), DType.INT8)
    graph.outputs = [graph.add("Relu", [x]), x]
    plan = plan_c(graph)
    verify_plan(graph, plan)
    assert plan.arena_bytes == 128


def test_a_graph_without_nodes():
    graph = Graph()
    graph.outputs = [graph.add_input("x", (1, 5), DType.INT8)]
    plan = plan_c(graph)
    assert (plan.arena_bytes, plan.order) == (8, ())


# -- order -----------------------------------------------------------------------------------------


@st.composite
def works(draw):
    """Up to seven tasks; task i makes buffer i + 1 of what earlier ones made."""
    count = draw(st.integers(1, 7))
    sizes = [4 * draw(st.integers(1, 20)) for _ in range(count + 1)]
    tasks = []
    for i in range(count):
        reads = draw(st.sets(st.integers(0, i), min_size=1, max_size=2))
        savings = {b: draw(st.integers(0, min(sizes[b], sizes[i + 1]))) for b in sorted(reads)}
        tasks.append(
            Task(
                tuple(sorted(reads)), (i + 1,), (), draw(st.integers(0, 30)), savings, sizes[i + 1]
            )
        )
    return Work(tuple(tasks), tuple(sizes))


def is_possible(work, order):
    made = {0}
    for i in order:
        if not set(work.tasks[i].reads) <= made:
            return False
        made.update(work.tasks[i].makes)
    return True


@settings(max_examples=60, deadline=None)
@given(works())
def test_the_order_found_has_the_lowest_peak_of_all(work):
    found = lowest_peak_order(work)
    orders = permutations(range(len(work.tasks)))
    best = min(peak_bytes(work, order) for order in orders if is_possible(work, order))
    assert is_possible(work, found)
    assert peak_bytes(work, found) == best


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_order_of_a_graph_is_topological(graph):
    position = {node: i for i, node in enumerate(frugal_order(graph, LOOPS["speed"]))}
    assert len(position) == len(graph)
    for node in graph.nodes:
        for value in node.present_inputs:
            assert value.producer is None or position[value.producer] < position[node]


def branches(count, blocks):
    """Blocks in a row, each of `count` branches that first grow, then shrink."""
    graph = Graph()
    x = graph.add_input("x", (1, 8, 8, 4), DType.INT8)
    for _ in range(blocks):
        wide = [conv(graph, x, 32) for _ in range(count)]
        x = graph.add("Concat", [conv(graph, w, 2) for w in wide], {"axis": 3})
    graph.outputs = [x]
    return graph


@pytest.mark.parametrize(("count", "blocks"), [(3, 1), (14, 2)], ids=["exact", "beam"])
def test_one_branch_after_the_other(count, blocks):
    graph = branches(count, blocks)
    plan = plan_c(graph)
    verify_plan(graph, plan)
    assert plan.arena_bytes < 5 * 64 * 32  # not all the wide values at once


# -- placement -------------------------------------------------------------------------------------


def test_a_relation_is_used_from_its_limit_on():
    spans = (Span(0, 0, 100, 0, 1), Span(1, 0, 100, 1, 2))
    puzzle = Puzzle(spans, {(0, 1): Relation(-40)}, (4, 4))
    offsets, arena = place(puzzle, 140)
    assert (offsets, arena) == ((40, 0), 140)


def test_a_relation_in_steps_keeps_to_them():
    spans = (Span(0, 0, 96, 0, 1), Span(1, 0, 48, 1, 2), Span(2, 0, 12, 0, 2))
    puzzle = Puzzle(spans, {(0, 1): Relation(0, 24)}, (4, 4, 4))
    offsets, arena = place(puzzle, 108)
    assert arena == 108
    assert (offsets[1] - offsets[0]) % 24 == 0 or offsets[1] >= offsets[0] + 96


# -- real models -----------------------------------------------------------------------------------

ARENAS = {  # model: bytes of the arena for speed, for ram
    "ic_resnet8_int8": (34_448, 33_584),
    "kws_dscnn_int8": (8_512, 8_256),
    "vww_mobilenet_int8": (38_364, 37_164),
    "ad_autoencoder_int8": (1_920, 1_920),
}


@pytest.mark.parametrize("name", ARENAS)
def test_arenas_of_mlperf_tiny(name):
    import edgepack

    path = SHARED / "models" / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    graph = edgepack.load(path)
    for optimize, expected in zip(("speed", "ram"), ARENAS[name], strict=True):
        plan = plan_c(graph, optimize)
        verify_plan(graph, plan, optimize)
        assert plan.arena_bytes == plan.lower_bound_bytes == expected
