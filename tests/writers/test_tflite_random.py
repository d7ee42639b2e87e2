"""Windows, slices and pads at random: legalized, written, run by LiteRT, against the kernels."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgepack.errors import BadModel
from edgepack.ir import Graph, Value
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite

small = st.integers(1, 3)
pair = st.tuples(small, small)
edge = st.tuples(st.integers(0, 2), st.integers(0, 2))
pads = st.tuples(edge, edge)
activations = st.sampled_from(["none", "relu", "relu6", "relu_n1_to_1"])


def _input(graph: Graph, draw: st.DrawFn, channels: int) -> Value:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return graph.add_input("x", (draw(small), height, width, channels))


def _normal(graph: Graph, *shape: int) -> Value:
    data = np.random.default_rng(len(graph)).standard_normal(shape).astype(np.float32)
    return graph.constant(data)


def _add(graph: Graph, op: str, inputs: list[Value], **attrs: object) -> Graph:
    try:
        graph.outputs = [graph.add(op, inputs, attrs)]
    except BadModel:  # a window that does not fit
        assume(False)
    assume(graph.outputs[0].size > 0)
    return graph


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    graph, groups = Graph(), draw(st.integers(1, 3))
    inner, outer = draw(small), draw(small)
    x = _input(graph, draw, inner * groups)
    w = _normal(graph, outer * groups, *draw(pair), inner)
    bias = [_normal(graph, outer * groups)] if draw(st.booleans()) else []
    return _add(
        graph, "Conv2d", [x, w, *bias], stride=draw(pair), dilation=draw(pair), pad=draw(pads),
        groups=groups, activation=draw(activations),
    )  # fmt: skip


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> Graph:
    graph, channels = Graph(), draw(small)
    x = _input(graph, draw, channels)
    w = _normal(graph, 1, *draw(pair), channels * draw(small))
    return _add(
        graph, "DepthwiseConv2d", [x, w], stride=draw(pair), dilation=draw(pair), pad=draw(pads),
        activation=draw(activations),
    )  # fmt: skip


@st.composite
def transposed_convolutions(draw: st.DrawFn) -> Graph:
    graph, groups = Graph(), draw(st.integers(1, 2))
    inner, outer, stride = draw(small), draw(small), draw(pair)
    x = _input(graph, draw, inner * groups)
    w = _normal(graph, outer * groups, *draw(pair), inner)
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    assume(all(n > 0 for n in x.shape))
    graph = _add(
        graph, "ConvTranspose2d", [x, w], stride=stride, dilation=draw(pair), pad=draw(pads),
        output_pad=extra, groups=groups, activation=draw(activations),
    )  # fmt: skip
    assume(all(n > 0 for n in graph.outputs[0].shape))
    return graph


@st.composite
def poolings(draw: st.DrawFn) -> Graph:
    graph, kernel = Graph(), draw(pair)
    x = _input(graph, draw, 2)
    edges = tuple(
        (draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel
    )  # no window lies in the padding alone
    attrs = {"kernel": kernel, "stride": draw(pair), "pad": edges, "activation": draw(activations)}
    if draw(st.booleans()):
        return _add(graph, "MaxPool2d", [x], **attrs)
    return _add(graph, "AveragePool2d", [x], count_include_pad=draw(st.booleans()), **attrs)


@st.composite
def slices(draw: st.DrawFn) -> Graph:
    graph = Graph()
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    x = graph.add_input("x", shape)
    begin, size, stride = [], [], []
    for n in shape:
        step = draw(st.sampled_from([1, 2, -1, -2]))
        start = draw(st.integers(0, n - 1))
        room = (n - 1 - start if step > 0 else start) // abs(step) + 1
        begin, size, stride = [*begin, start], [*size, draw(st.integers(1, room))], [*stride, step]
    return _add(graph, "Slice", [x], begin=begin, size=size, stride=stride)


@st.composite
def paddings(draw: st.DrawFn) -> Graph:
    graph = Graph()
    shape = draw(st.lists(st.integers(3, 5), min_size=1, max_size=4))
    mode = draw(st.sampled_from(["constant", "reflect", "symmetric", "edge"]))
    edges = [draw(st.tuples(st.integers(-1, 2), st.integers(-1, 2))) for _ in shape]
    # a cut and a mirror of what is left must not ask for more than there is
    edges = edges if mode in ("constant", "edge") else [(max(a, 0), max(b, 0)) for a, b in edges]
    value = draw(st.sampled_from([0.0, 1.5])) if mode == "constant" else 0.0
    return _add(graph, "Pad", [graph.add_input("x", shape)], pads=edges, mode=mode, value=value)


graphs = st.one_of(
    convolutions(), depthwise_convolutions(), transposed_convolutions(), poolings(), slices(),
    paddings(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(graphs, st.booleans())
def test_litert_agrees(graph: Graph, plain_kernels: bool) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs]
    want = ReferenceRuntime(graph).run(inputs)
    legal = graph.copy()
    legalize_tflite(legal)
    got = LiteRTRuntime(write_tflite(legal), reference_kernels=plain_kernels).run(inputs)
    assert got[0].shape == want[0].shape
    # sums of up to 81 products of standard normals, added up in another order
    np.testing.assert_allclose(got[0], want[0], rtol=1e-4, atol=1e-4)
