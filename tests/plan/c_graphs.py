"""Small int8 graphs for the planner of the C runtime; their numbers do not matter."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgepack.ir import DType, Graph, Value


def conv(graph, x, out, kernel=(3, 3), stride=(1, 1), pad=((1, 1), (1, 1)), **attrs):
    groups = attrs.get("groups", 1)
    w = graph.constant(np.zeros((out, *kernel, x.shape[-1] // groups), np.int8), "w")
    return graph.add("Conv2d", [x, w], {"stride": stride, "pad": pad, **attrs})


def depthwise(graph, x, kernel=(3, 3), stride=(1, 1), pad=((1, 1), (1, 1)), times=1, **attrs):
    w = graph.constant(np.zeros((1, *kernel, x.shape[-1] * times), np.int8), "w")
    return graph.add("DepthwiseConv2d", [x, w], {"stride": stride, "pad": pad, **attrs})


def dense(graph, x, out):
    w = graph.constant(np.zeros((out, x.shape[-1]), np.int8), "w")
    return graph.add("FullyConnected", [x, w], {})


def pool(graph, x, kernel=(2, 2), stride=(2, 2), pad=((0, 0), (0, 0)), op="MaxPool2d"):
    return graph.add(op, [x], {"kernel": kernel, "stride": stride, "pad": pad})


def slice_rows(graph, x, begin, size):
    return graph.add(
        "Slice", [x],
        {"begin": (0, begin, 0, 0), "size": (1, size, *x.shape[2:]), "stride": (1, 1, 1, 1)},
    )  # fmt: skip


@st.composite
def graphs(draw, most=9):
    """Chains and branches of layers on images; always with at least one output."""
    graph = Graph()
    shape = (1, draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 5)))
    values = [graph.add_input("x", shape, DType.INT8)]
    if draw(st.booleans()):
        values.append(graph.add_input("y", shape, DType.INT8))
    for _ in range(draw(st.integers(1, most))):
        recent = draw(st.sampled_from(values[-3:]))
        values.append(_layer(draw, graph, recent, values))
    outputs = [v for v in values if not v.users]
    graph.outputs = outputs + draw(st.lists(st.sampled_from(values), max_size=1).map(
        lambda extra: [v for v in extra if v not in outputs]
    ))  # fmt: skip
    return graph


def _layer(draw, graph: Graph, x: Value, values: list[Value]) -> Value:
    same = [v for v in values if v.shape == x.shape]
    wide = [v for v in values if v.shape[:3] == x.shape[:3]]
    tall = [v for v in values if (v.shape[0], *v.shape[2:]) == (x.shape[0], *x.shape[2:])]
    stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 2)]))
    kind = draw(st.sampled_from(
        ["conv", "point", "depthwise", "add", "relu", "concat", "rows", "cut", "pool", "reshape",
         "pad", "split"]
    ))  # fmt: skip
    match kind:
        case "conv":
            return conv(graph, x, draw(st.integers(1, 6)), stride=stride)
        case "point":
            return conv(graph, x, draw(st.integers(1, 9)), (1, 1), stride, ((0, 0), (0, 0)))
        case "depthwise":
            return depthwise(graph, x, stride=stride)
        case "add":
            return graph.add("Add", [x, draw(st.sampled_from(same))])
        case "relu":
            return graph.add("Relu", [x])
        case "concat":
            return graph.add("Concat", [x, draw(st.sampled_from(wide))], {"axis": 3})
        case "rows":
            return graph.add("Concat", [x, draw(st.sampled_from(tall))], {"axis": 1})
        case "cut":
            begin = draw(st.integers(0, x.shape[1] - 1))
            return slice_rows(graph, x, begin, draw(st.integers(1, x.shape[1] - begin)))
        case "pool":
            return pool(graph, x, (3, 3), stride, ((1, 1), (1, 1)))
        case "pad":
            return graph.add("Pad", [x], {"pads": ((0, 0), (1, 0), (0, 1), (0, 0))})
        case "split" if x.shape[1] > 1:
            parts = {"axis": 1, "sizes": (1, x.shape[1] - 1)}
            return graph.add_multi("Split", [x], parts)[1]
    flat = graph.add("Reshape", [x], {"shape": (x.size,)})
    return graph.add("Reshape", [flat], {"shape": x.shape})
