import numpy as np
import pytest

from edgepack.ir import Graph, node_macs
from edgepack.plan.c_patches import describe, in_strips, patch
from edgepack.plan.c_plan import plan_c
from edgepack.plan.c_verify import verify_plan
from edgepack.run.reference import ReferenceRuntime

SAME = ((1, 1), (1, 1))


def whole_numbers(*shape):
    """Float32, but small integers: sums are exact, in whatever order they are made."""
    return np.random.default_rng(len(shape)).integers(-3, 4, shape).astype(np.float32)


def conv(graph, x, out, **attrs):
    w = graph.constant(whole_numbers(out, 3, 3, x.shape[-1]), "w")
    b = graph.constant(whole_numbers(out), "b")
    return graph.add("Conv2d", [x, w, b], {"pad": SAME, "activation": "relu", **attrs})


def depthwise(graph, x, **attrs):
    w = graph.constant(whole_numbers(1, 3, 3, x.shape[-1]), "w")
    return graph.add("DepthwiseConv2d", [x, w], {"pad": SAME, **attrs})


def chain(graph, x):
    x = conv(graph, x, 6, stride=(2, 2), pad=((0, 1), (0, 1)))
    x = depthwise(graph, x)
    x = graph.add("MaxPool2d", [x], {"kernel": (3, 3), "stride": (2, 2), "pad": SAME})
    return graph.add("Relu", [x])


def residual(graph, x):
    x = conv(graph, x, 4)
    y = conv(graph, conv(graph, x, 4, stride=(2, 2)), 4)
    short = graph.constant(whole_numbers(4, 1, 1, 4), "w")
    x = graph.add("Conv2d", [x, short], {"stride": (2, 2)})
    shift = graph.constant(whole_numbers(4), "shift")
    return graph.add("Mul", [graph.add("Add", [x, y]), shift])


def dilated(graph, x):
    x = depthwise(graph, x, dilation=(3, 1), pad=((3, 3), (1, 1)))
    return graph.add(
        "AveragePool2d", [x], {"kernel": (3, 2), "stride": (2, 1), "pad": ((1, 1), (0, 0))}
    )


def wide(graph, x):
    return depthwise(graph, conv(graph, x, 24), stride=(2, 2))


SHAPES = {"chain": chain, "residual": residual, "dilated": dilated, "wide": wide}


def built(body):
    graph = Graph()
    x = graph.add_input("x", (1, 24, 10, 4))
    graph.outputs = [conv(graph, body(graph, x), 2)]
    return graph, graph.outputs[0].producer.input(0)


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("name", SHAPES)
def test_strips_compute_the_same(name, count):
    graph, cut = built(SHAPES[name])
    height = cut.shape[1]
    made = in_strips(graph, cut, [i * height // count for i in range(count + 1)])
    assert len(made.nodes_of("Concat")) == 1
    plan = plan_c(made, "ram", reorder=False)
    verify_plan(made, plan, "ram")
    sample = whole_numbers(1, 24, 10, 4)
    expected = ReferenceRuntime(graph).run([sample])
    np.testing.assert_array_equal(ReferenceRuntime(made).run([sample])[0], expected[0])


def test_values_that_others_read_cannot_be_inside():
    graph, cut = built(chain)
    graph.outputs = [*graph.outputs, graph.nodes[0].output]
    assert in_strips(graph, cut, [0, 3, 6]) is None


@pytest.mark.parametrize("op", ["Softmax", "Transpose"])
def test_operators_that_need_all_rows_cannot_be_inside(op):
    graph, cut = built(
        lambda g, x: g.add(op, [conv(g, x, 4)], {"perm": (0, 2, 1, 3)} if op == "Transpose" else {})
    )
    assert in_strips(graph, cut, [0, 3, cut.shape[1]]) is None


def test_padding_that_is_higher_than_a_strip_declines():
    graph, cut = built(lambda g, x: depthwise(g, x, pad=((5, 5), (1, 1))))
    assert in_strips(graph, cut, [0, 2, cut.shape[1]]) is None


def test_the_patches_found_take_less_and_say_what_they_cost():
    graph, _ = built(wide)
    macs = sum(map(node_macs, graph.nodes))
    found = patch(graph, most_extra=0.5)
    assert found is not None
    verify_plan(found.graph, found.plan, "ram")
    assert found.plan.arena_bytes < found.arena_before == plan_c(graph, "ram").arena_bytes
    assert found.extra_macs == sum(map(node_macs, found.graph.nodes)) - macs <= 0.5 * macs
    assert f"{found.extra_macs:,} MACs" in describe(found, macs)


def test_no_patches_where_the_price_is_too_high_or_nothing_is_gained():
    graph, _ = built(wide)
    assert patch(graph, most_extra=0.0) is None
    flat = Graph()
    x = flat.add_input("x", (1, 8))
    flat.outputs = [flat.add("Relu", [x])]
    assert patch(flat) is None
