"""The layout pass: no transposes in convolutional networks, equal numbers everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.ir import Array, DType, Graph
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.passes.layout import restore_io, to_layout
from edgepack.passes.manager import run_pass
from edgepack.run.reference import ReferenceRuntime
from tests.passes.layout_nets import NETS
from tests.passes.layout_random import random_graph

# Reordered sums: a rounding error for each term, relative to the largest.
TOLERANCE = 1e-4


def inputs_of(graph: Graph, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(-128, 128, v.shape).astype(np.int8)
        if v.dtype is DType.INT8
        else rng.standard_normal(v.shape).astype(np.float32)
        for v in graph.inputs
    ]


def run_as_file(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """Run with inputs and outputs in the layouts of the file that the graph came from."""
    source = graph.source
    turned = [
        np.ascontiguousarray(a.transpose(source.input_perms.get(v.name, range(a.ndim))))
        for v, a in zip(graph.inputs, inputs, strict=True)
    ]
    results = ReferenceRuntime(graph).run(turned)
    return [
        a.transpose(np.argsort(source.output_perms.get(v.name, range(a.ndim))))
        for v, a in zip(graph.outputs, results, strict=True)
    ]


def assert_same(expected: Sequence[Array], got: Sequence[Array]) -> None:
    for want, have in zip(expected, got, strict=True):
        assert have.shape == want.shape
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(have, want)
            continue
        finite = np.abs(want[np.isfinite(want)]).max(initial=1)
        np.testing.assert_allclose(have, want, rtol=TOLERANCE, atol=TOLERANCE * finite)


def count(graph: Graph, op: str) -> int:
    return len(graph.nodes_of(op))


@pytest.mark.parametrize("name", NETS)
def test_networks_end_without_transposes_both_ways(name: str) -> None:
    build, allowed = NETS[name]
    graph = build()
    inputs = inputs_of(graph)
    expected = run_as_file(graph, inputs)
    shapes = [v.shape for v in graph.inputs]
    for layout in ("NHWC", "NCHW", "NHWC"):
        assert to_layout(graph, layout) > 0
        check(graph)
        assert count(graph, "Transpose") == allowed
        assert all(n.attrs.get("layout", layout) == layout for n in graph.nodes)
        assert_same(expected, run_as_file(graph, inputs))
        if layout == "NCHW":  # back where it began
            assert [v.shape for v in graph.inputs] == shapes
            assert not graph.source.input_perms
            assert not graph.source.output_perms


@pytest.mark.parametrize("name", NETS)
def test_a_second_run_changes_nothing(name: str) -> None:
    graph = NETS[name][0]()
    to_layout(graph, "NHWC")
    assert to_layout(graph, "NHWC") == 0


def test_inputs_and_outputs_are_declared_in_the_new_layout() -> None:
    graph = NETS["unet"][0]()
    to_layout(graph, "NHWC")
    assert [v.shape for v in graph.inputs] == [(1, 8, 8, 3)]
    assert graph.source.input_perms == {"x": (0, 2, 3, 1)}
    assert [v.name for v in graph.inputs] == ["x"]
    assert graph.outputs[0].shape == (1, 8, 8, 3)
    assert graph.source.output_perms == {graph.outputs[0].name: (0, 2, 3, 1)}


def test_kept_inputs_and_outputs_cost_one_transpose_each() -> None:
    graph = NETS["unet"][0]()
    names = [v.name for v in graph.outputs]
    to_layout(graph, "NHWC", keep_io=True)
    assert [v.shape for v in graph.inputs] == [(1, 3, 8, 8)]
    assert [v.shape for v in graph.outputs] == [(1, 3, 8, 8), (1, 8, 8)]
    assert [v.name for v in graph.outputs] == names
    assert count(graph, "Transpose") == 2
    assert not graph.source.input_perms


def test_restored_inputs_and_outputs_have_the_shapes_of_the_file() -> None:
    graph = NETS["unet"][0]()
    inputs = inputs_of(graph)
    expected = run_as_file(graph, inputs)
    to_layout(graph, "NHWC")
    assert run_pass(graph, restore_io) == 2
    check(graph)
    assert [v.shape for v in graph.inputs] == [(1, 3, 8, 8)]
    assert not graph.source.input_perms
    assert not graph.source.output_perms
    to_layout(graph, "NCHW", keep_io=True)
    assert count(graph, "Transpose") == 0
    assert_same(expected, run_as_file(graph, inputs))


# -- one operator between transposes ---------------------------------------------------------------

# `x` is NHWC, `t` its NCHW transpose; `y` must come out with no transpose left inside.
_PUSHED = {
    "unary": "y = Relu(t)",
    "binary_same": "y = Add(t, t)",
    "binary_row": "c = random(3, 1, 1)\ny = Mul(t, c)",
    "binary_scalar": "c = full(2.0)\ny = Sub(c, t)",
    "binary_last": "c = random(5)\ny = Add(t, c)",
    "where": "c = random(3, 4, 5)\nb = Less(t, c)\ny = Where(b, t, c)",
    "prelu": "c = random(3, 1, 1)\ny = PRelu(t, c)",
    "concat": "y = Concat(t, t, axis=1)",
    "concat_negative": "c = random(1, 2, 4, 5)\ny = Concat(t, c, axis=-3)",
    "split": "a, b = Split(t, axis=1, sizes=(1, 2))\ny = Concat(b, a, axis=1)",
    "pad": "y = Pad(t, pads=((0, 0), (1, 2), (0, 0), (0, 3)))",
    "slice": "y = Slice(t, begin=(0, 1, 0, 3), size=(1, 2, 4, 2), stride=(1, 1, 1, -1))",
    "softmax": "y = Softmax(t, axis=1)",
    "cumsum": "y = CumSum(t, axis=-2)",
    "reverse": "y = Reverse(t, axes=(1, 3))",
    "tile": "y = Tile(t, multiples=(1, 2, 1, 3))",
    "broadcast": "s = ReduceMax(t, axes=(2, 3), keepdims=True)\n"
    "y = BroadcastTo(s, shape=(1, 3, 4, 5))",
    "batchnorm": "c = full(0.5, 3)\ny = BatchNorm(t, c, c, c, c, axis=1)",
    "reduce_keepdims": "y = ReduceSum(t, axes=(1,), keepdims=True)",
    "gather": "i: int64[2] = const([2, 0])\ny = Gather(t, i, axis=1)",
    "channel_shuffle_shape": "r = Reshape(t, shape=(1, 3, 20))\ny = Reshape(r, shape=(1, 3, 4, 5))",
    "quantize": "q: q(0.1, 3) = Quantize(t, to='int8')\ny = Dequantize(q)",
}


@pytest.mark.parametrize("name", _PUSHED)
def test_transposes_are_pushed_through(name: str) -> None:
    graph = parse(
        f"x: float32[1, 4, 5, 3] = input()\nt = Transpose(x, perm=(0, 3, 1, 2))\n"
        f"{_PUSHED[name]}\nz = Transpose(y, perm=(0, 2, 3, 1))\noutput(z)"
    )
    inputs = inputs_of(graph)
    expected = run_as_file(graph, inputs)
    assert to_layout(graph, "NHWC") > 0
    check(graph)
    assert count(graph, "Transpose") == 0
    assert_same(expected, run_as_file(graph, inputs))


# Graphs whose transposes must stay, and how many.
_STAYING = {
    "attention": (
        "x: float32[1, 6, 8] = input()\nr = Reshape(x, shape=(1, 6, 2, 4))\n"
        "t = Transpose(r, perm=(0, 2, 1, 3))\ns = MatMul(t, t, adj_b=True)\n"
        "m = MatMul(s, t)\nu = Transpose(m, perm=(0, 2, 1, 3))\ny = Reshape(u, shape=(1, 6, 8))\n"
        "output(y)",
        2,
    ),
    "dense_on_the_channels": (
        "x: float32[1, 4, 5, 3] = input()\nw = random(2, 5)\n"
        "t = Transpose(x, perm=(0, 3, 1, 2))\nb = FullyConnected(t, w)\noutput(b)",
        1,
    ),
    "mixing_reshape": (
        "x: float32[1, 4, 5, 3] = input()\nt = Transpose(x, perm=(0, 3, 1, 2))\n"
        "y = Reshape(t, shape=(1, 12, 5))\nz = Softmax(y)\noutput(z)",
        1,
    ),
    "flattened_output": (
        "x: float32[1, 4, 5, 3] = input()\nt = Transpose(x, perm=(0, 3, 1, 2))\n"
        "y = Reshape(t, shape=(1, 60))\nw = random(2, 60)\nz = FullyConnected(y, w)\n"
        "output(y, z)",
        1,
    ),
    "flattened_into_computed_weights": (
        "x: float32[1, 4, 5, 3] = input()\nw: float32[2, 60] = input()\n"
        "t = Transpose(x, perm=(0, 3, 1, 2))\ny = Reshape(t, shape=(1, 60))\n"
        "z = FullyConnected(y, w)\noutput(z)",
        1,
    ),
    "flattened_into_a_sum_with_another": (
        "x: float32[1, 4, 5, 3] = input()\nv: float32[1, 60] = input()\nw = random(2, 60)\n"
        "t = Transpose(x, perm=(0, 3, 1, 2))\ny = Reshape(t, shape=(1, 60))\n"
        "a = Add(y, v)\nz = FullyConnected(a, w)\noutput(z)",
        1,
    ),
}


@pytest.mark.parametrize("name", _STAYING)
def test_transposes_that_are_real_stay(name: str) -> None:
    text, transposes = _STAYING[name]
    graph = parse(text)
    inputs = inputs_of(graph)
    expected = run_as_file(graph, inputs)
    to_layout(graph, "NHWC", keep_io=True)
    check(graph)
    assert count(graph, "Transpose") == transposes
    assert_same(expected, run_as_file(graph, inputs))


def test_layout_is_lifted_from_a_residual_that_starts_at_the_input() -> None:
    graph = parse(
        "x: float32[1, 3, 4, 4] = input()\nw = random(3, 1, 1, 3)\n"
        'c = Conv2d(x, w, layout="NCHW")\ny = Add(x, c)\nz = Relu(y)\noutput(z)'
    )
    to_layout(graph, "NHWC")
    assert [n.op for n in graph.nodes] == ["Conv2d", "Add", "Relu"]


def test_a_transpose_of_ones_becomes_a_reshape() -> None:
    graph = parse(
        "x: float32[1, 5, 1, 3] = input()\ny = Transpose(x, perm=(2, 0, 1, 3))\noutput(y)"
    )
    assert to_layout(graph, "NHWC", keep_io=True) == 1
    assert [n.op for n in graph.nodes] == ["Reshape"]


def test_constants_shared_with_others_are_not_changed() -> None:
    graph = parse(
        "x: float32[1, 3, 4, 5] = input()\nk = random(3, 4, 5)\nw = random(3, 1, 1, 3)\n"
        'c = Conv2d(x, w, layout="NCHW")\ny = Mul(c, k)\nz = Exp(k)\noutput(y, z)'
    )
    before = {v.name: v.const.copy() for v in graph.constants()}
    arrays = {v.name: v.const for v in graph.constants()}
    to_layout(graph, "NHWC")
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_per_channel_parameters_follow_their_axis() -> None:
    graph = parse(
        "x: float32[1, 3, 4, 4] = input()\nw = random(3, 1, 1, 3)\n"
        'c = Conv2d(x, w, layout="NCHW")\n'
        "k: int8[3, 1, 1] @ q([0.1, 0.2, 0.3], axis=0) = const([[[1]], [[2]], [[3]]])\n"
        "y = Mul(c, k)\noutput(y)"
    )
    to_layout(graph, "NHWC")
    (mul,) = graph.nodes_of("Mul")
    quant = mul.input(1).quant
    assert mul.input(1).shape == (1, 1, 1, 3)
    assert quant is not None
    assert quant.axis == 3


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=25),
    st.sampled_from(["NCHW", "NHWC"]),
    st.booleans(),
)
def test_random_graphs_keep_their_numbers(choices: list[int], layout: str, keep_io: bool) -> None:
    graph = random_graph(choices, layout)
    graph.remove_dead()
    inputs = inputs_of(graph)
    expected = run_as_file(graph, inputs)
    shapes = [v.shape for v in (*graph.inputs, *graph.outputs)]
    for target in ("NHWC", "NCHW"):
        to_layout(graph, target, keep_io=keep_io)
        check(graph)
        assert_same(expected, run_as_file(graph, inputs))
        if keep_io:
            assert [v.shape for v in (*graph.inputs, *graph.outputs)] == shapes


def test_a_value_may_be_listed_twice_as_an_output():
    graph = parse(
        "x: float32[1, 3, 8, 8] = input()\nw = random(4, 3, 3, 3)\n"
        "y = Conv2d(x, w, layout='NCHW')\noutput(y, y)"
    )
    to_layout(graph, "NHWC")
    check(graph)
    assert [node.op for node in graph.nodes] == ["Conv2d"]
    assert [v.shape for v in graph.outputs] == [(1, 6, 6, 4)] * 2
    run_pass(graph, restore_io)
    assert [v.shape for v in graph.outputs] == [(1, 4, 6, 6)] * 2
