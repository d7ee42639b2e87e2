"""Every rule of overlap at its limit, against the loops of the kernels."""

import numpy as np
import pytest
from c_graphs import conv, dense, depthwise, pool
from c_loop_events import survives

from edgepack.ir import DType, Graph
from edgepack.plan.c_loops import LOOPS, Loops
from edgepack.plan.c_overlap import overlap, runs_of_concat, scratch_bytes, view

ONE = Loops(1, 1, 1, 1, 0)  # the smallest blocks: nothing is read ahead
NO_PAD = ((0, 0), (0, 0))


def image(*shape, dtype=DType.INT8):
    graph = Graph()
    return graph, graph.add_input("x", shape or (1, 7, 6, 4), dtype)


def made(build, *shape, dtype=DType.INT8):
    graph, x = image(*shape, dtype=dtype)
    return build(graph, x).producer


def add(graph, op, inputs, **attrs):
    return graph.add(op, inputs, attrs)


CASES = {
    "3x3": made(lambda g, x: conv(g, x, 4)),
    "3x3 to more channels": made(lambda g, x: conv(g, x, 7)),
    "3x3 to fewer channels": made(lambda g, x: conv(g, x, 2)),
    "3x3 strided": made(lambda g, x: conv(g, x, 4, stride=(2, 2), pad=((0, 1), (0, 1)))),
    "3x3 strided, many channels": made(lambda g, x: conv(g, x, 19, stride=(2, 2))),
    "3x3 dilated": made(lambda g, x: conv(g, x, 4, pad=((2, 2), (2, 2)), dilation=(2, 2))),
    "3x3 without padding": made(lambda g, x: conv(g, x, 5, pad=NO_PAD)),
    "3x3 two images": made(lambda g, x: conv(g, x, 4), 2, 5, 4, 3),
    "3x3 groups": made(lambda g, x: conv(g, x, 4, groups=2)),
    "3x3 float": made(lambda g, x: conv(g, x, 3), 1, 5, 4, 2, dtype=DType.FLOAT32),
    "1x1": made(lambda g, x: conv(g, x, 4, (1, 1), pad=NO_PAD)),
    "1x1 to more channels": made(lambda g, x: conv(g, x, 9, (1, 1), pad=NO_PAD)),
    "1x1 to fewer channels": made(lambda g, x: conv(g, x, 1, (1, 1), pad=NO_PAD)),
    "1x1 strided": made(lambda g, x: conv(g, x, 5, (1, 1), (2, 2), NO_PAD)),
    "whole image": made(lambda g, x: conv(g, x, 5, (7, 6), pad=NO_PAD)),
    "depthwise": made(depthwise),
    "depthwise strided": made(lambda g, x: depthwise(g, x, stride=(2, 2))),
    "depthwise without padding": made(lambda g, x: depthwise(g, x, pad=NO_PAD)),
    "depthwise much padding": made(lambda g, x: depthwise(g, x, pad=((3, 3), (3, 3)))),
    "depthwise dilated": made(
        lambda g, x: depthwise(g, x, pad=((2, 2), (2, 2)), dilation=(2, 2))
    ),
    "depthwise tall": made(lambda g, x: depthwise(g, x, (5, 1), pad=((2, 2), (0, 0)))),
    "depthwise two images": made(lambda g, x: depthwise(g, x, stride=(2, 1)), 2, 5, 4, 3),
    "depthwise skips rows": made(lambda g, x: depthwise(g, x, (1, 1), (2, 2), NO_PAD)),
    "depthwise one channel": made(lambda g, x: depthwise(g, x, times=3), 1, 6, 5, 1),
    "depthwise two filters": made(lambda g, x: depthwise(g, x, times=2), 1, 4, 4, 2),
    "depthwise float": made(depthwise, 1, 5, 4, 2, dtype=DType.FLOAT32),
    "max pool": made(pool),
    "average pool": made(
        lambda g, x: pool(g, x, (3, 3), (1, 1), ((1, 1), (1, 1)), "AveragePool2d")
    ),
    "global pool": made(lambda g, x: pool(g, x, (7, 6), op="AveragePool2d")),
    "dense": made(lambda g, x: dense(g, x, 40), 1, 30),
    "dense rows": made(lambda g, x: dense(g, x, 9), 5, 6),
    "dense float": made(lambda g, x: dense(g, x, 9), 3, 6, dtype=DType.FLOAT32),
    "relu": made(lambda g, x: add(g, "Relu", [x])),
    "dequantize": made(lambda g, x: add(g, "Dequantize", [x]), 1, 12),
    "quantize": made(
        lambda g, x: add(g, "Quantize", [x], to="int8"), 1, 12, dtype=DType.FLOAT32
    ),
    "softmax": made(lambda g, x: add(g, "Softmax", [x]), 3, 9),
    "mean": made(lambda g, x: add(g, "ReduceMean", [x], axes=(1, 2)), 2, 3, 4, 3),
    "mean apart": made(lambda g, x: add(g, "ReduceMean", [x], axes=(1, 3)), 2, 3, 4, 3),
    "pad": made(lambda g, x: add(g, "Pad", [x], pads=((0, 0), (1, 2), (2, 1), (0, 1)))),
    "slice": made(
        lambda g, x: add(g, "Slice", [x], begin=(0, 1, 1, 0), size=(1, 3, 2, 3),
                         stride=(1, 2, 1, 1))
    ),
    "transpose": made(lambda g, x: add(g, "Transpose", [x], perm=(0, 2, 1, 3))),
}  # fmt: skip


def distances(node, index=0):
    value, output = node.input(index), node.output
    width = max(value.dtype.bits, output.dtype.bits) // 8
    return [d for d in range(-value.nbytes, output.nbytes + 1) if d % width == 0]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("loops", [ONE, *LOOPS.values()], ids=["one", *LOOPS])
def test_what_a_rule_allows_keeps_every_byte(name, loops):
    node = CASES[name]
    rule = overlap(node, node.input(0), node.output, loops)
    if rule is None:
        assert name in {"depthwise two filters", "mean apart", "transpose"}
        return
    around = [d for d in distances(node) if rule.allows(d)]
    assert around
    for distance in {*around[:: max(1, len(around) // 12)], *around[:4]}:
        low = max(0, -distance)
        assert survives(node, loops, {0: low + distance}, low), distance


TIGHT = sorted(
    {name for name in CASES if name.startswith(("3x3", "1x1", "dense rows", "max pool", "average"))}
    - {"3x3 float", "3x3 groups"}
)


@pytest.mark.parametrize("name", TIGHT)
def test_one_byte_less_loses_something(name):
    node = CASES[name]
    rule = overlap(node, node.input(0), node.output, ONE)
    assert rule is not None
    low = max(0, 1 - rule.lead)
    assert not survives(node, ONE, {0: low + rule.lead - 1}, low)


def test_depthwise_is_in_place_and_channels_never_meet():
    node = CASES["depthwise"]
    rule = overlap(node, node.input(0), node.output, ONE)
    assert rule is not None
    assert rule.allows(0)
    assert not rule.allows(1)
    assert not survives(node, ONE, {0: 1}, 0)


def test_add_may_lie_over_either_input_and_over_both_sides():
    graph, a = image()
    b = graph.add_input("b", a.shape, DType.INT8)
    node = graph.add("Add", [a, b]).producer
    for value in (a, b):
        assert overlap(node, value, node.output, ONE).lead == 0
    assert survives(node, ONE, {0: 0, 1: a.nbytes}, 0)
    assert survives(node, ONE, {0: a.nbytes, 1: 0}, 0)


def test_an_input_that_is_broadcast_is_not_written_over():
    graph, a = image()
    b = graph.add_input("b", (1, 1, 1, 4), DType.INT8)
    node = graph.add("Add", [a, b]).producer
    assert overlap(node, b, node.output, ONE) is None
    assert not survives(node, ONE, {0: 8, 1: 0}, 0)


@pytest.mark.parametrize("axis", [1, 3])
def test_concat_at_its_leads(axis):
    graph, a = image(1, 3, 4, 2)
    b = graph.add_input("b", (1, 2, 4, 2) if axis == 1 else (1, 3, 4, 5), DType.INT8)
    node = graph.add("Concat", [a, b], {"axis": axis}).producer
    leads = [overlap(node, v, node.output, ONE).lead for v in (a, b)]
    for index, lead in enumerate(leads):
        elsewhere = {1 - index: lead + 100}
        assert survives(node, ONE, {index: lead, **elsewhere}, 0)
        if lead:
            assert not survives(node, ONE, {index: lead - 1, **elsewhere}, 0)
    assert (runs_of_concat(node) is not None) == (axis == 1)


def test_the_same_input_twice_in_a_concat_stays_apart():
    graph, a = image()
    node = graph.add("Concat", [a, a], {"axis": 1}).producer
    assert overlap(node, a, node.output, ONE) is None


def test_views():
    graph, x = image(1, 4, 3, 2)
    flat = graph.add("Reshape", [x], {"shape": (24,)})
    rows = graph.add("Slice", [x], dict(begin=(0, 1, 0, 0), size=(1, 2, 3, 2), stride=(1,) * 4))
    columns = graph.add("Slice", [x], dict(begin=(0, 0, 1, 0), size=(1, 4, 2, 2), stride=(1,) * 4))
    parts = graph.add_multi("Split", [x], {"axis": 1, "sizes": (1, 3)})
    assert view(flat.producer, flat) == (x, 0)
    assert view(rows.producer, rows) == (x, 6)
    assert view(columns.producer, columns) is None
    assert [view(p.producer, p) for p in parts] == [(x, 0), (x, 6)]


@pytest.mark.parametrize(
    ("name", "nbytes"),
    [("3x3", 4 * 36 * 2), ("1x1", 4 * 4 * 2), ("3x3 groups", 18 * 2), ("dense", 60),
     ("dense rows", 4 * 6 * 2), ("depthwise", 9 * 8 * 2),
     ("depthwise one channel", 4 * 10 * 2),  # a filter of 9 numbers goes in pairs
     ("relu", 0), ("3x3 float", 0)],
)  # fmt: skip
def test_scratch(name, nbytes):
    assert scratch_bytes(CASES[name], LOOPS["speed"]) == nbytes
    assert np.less_equal(scratch_bytes(CASES[name], LOOPS["ram"]), nbytes)
