"""The text form: what is printed is read back as the same graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.ir import DType, Graph, QuantParams, Value
from edgepack.ir.check import check
from edgepack.ir.text import parse, to_text
from tests.op_cases import CASES

# -- identity --------------------------------------------------------------------------------------


def same_content(a: Graph, b: Graph) -> bool:
    pairs = zip(a.constants(), b.constants(), strict=True)
    return all(np.array_equal(v.const, w.const, equal_nan=v.dtype.is_float) for v, w in pairs)


@pytest.mark.parametrize(
    "name", [n for n, c in CASES.items() if all(v.size <= 8 for v in c.graph().constants())]
)
def test_every_case_is_read_back(name: str) -> None:
    graph = CASES[name].graph()
    again = parse(to_text(graph))
    assert to_text(again) == to_text(graph)
    assert same_content(graph, again)


def _unary(graph: Graph, draw: st.DrawFn, x: Value) -> Value:
    op = draw(st.sampled_from(["Relu", "Neg", "Sigmoid", "Abs"]))
    return graph.add(op, [x], name=draw(st.sampled_from(["", "t"])))


def _reshape(graph: Graph, draw: st.DrawFn, x: Value) -> Value:
    return graph.add("Reshape", [x], {"shape": draw(st.sampled_from([(x.size,), (1, x.size)]))})


def _with_constant(graph: Graph, draw: st.DrawFn, x: Value) -> Value:
    number = draw(st.floats(width=32, allow_nan=False))
    shape = draw(st.sampled_from([(), (1,), (1, 1)]))
    constant = graph.constant(np.full(shape, number, np.float32), "c")
    return graph.add("Add", [x, constant], {"activation": draw(st.sampled_from(["none", "relu"]))})


def _clip(graph: Graph, draw: st.DrawFn, x: Value) -> Value:
    high = draw(st.one_of(st.just(float("inf")), st.floats(0, 9)))
    return graph.add("Clip", [x], {"min": float("-inf"), "max": high})


def _transpose(graph: Graph, draw: st.DrawFn, x: Value) -> Value:
    return graph.add("Transpose", [x], {"perm": draw(st.permutations(range(x.rank)))})


def _halves(graph: Graph, draw: st.DrawFn, x: Value) -> Value:
    size = x.shape[-1]
    cut = draw(st.integers(0, size))
    parts = graph.add_multi("Split", [x], {"axis": -1, "sizes": (cut, size - cut)})
    return graph.add("Concat", parts, {"axis": x.rank - 1})


STEPS = [_unary, _reshape, _with_constant, _clip, _transpose, _halves]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A chain of up to eight operators on a small input, with extra outputs."""
    graph = Graph()
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    value = graph.add_input("x", shape)
    graph.outputs = []
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)):
        value = step(graph, draw, value)
        if draw(st.booleans()):
            graph.outputs.append(value)
    graph.outputs = graph.outputs or [value]
    return graph


@settings(deadline=None)
@given(graphs())
def test_any_graph_is_read_back(graph: Graph) -> None:
    check(graph)
    again = parse(to_text(graph))
    check(again)
    assert to_text(again) == to_text(graph)
    assert same_content(graph, again)


scales = st.floats(2**-30, 2**10, width=32)


@settings(deadline=None)
@given(scales, st.integers(-128, 127), st.lists(scales, min_size=3, max_size=3))
def test_parameters_are_read_back_exactly(
    scale: float, zero_point: int, channels: list[float]
) -> None:
    graph = Graph()
    x = graph.add_input("x", (2, 3), DType.INT8)
    x.quant = QuantParams.per_tensor(scale, zero_point)
    w = graph.constant(np.ones((1, 3), np.int8), "w", QuantParams.per_channel(channels, 1))
    y = graph.add("Mul", [x, w])
    y.quant = QuantParams.per_tensor(scale, -zero_point)
    graph.outputs = [y]
    again = parse(to_text(graph))
    for old, new in zip(graph.values(), again.values(), strict=True):
        assert old.quant == new.quant


# -- the language ----------------------------------------------------------------------------------


def test_what_a_graph_looks_like() -> None:
    graph = parse("""
x: int8[1, 3] @ q(0.5, -3) = input()
w: int8[2, 3] @ q([0.1, 0.2], axis=0) = const([[1, 2, 3], [4, 5, 6]])
y: q(0.25, 0) = FullyConnected(x, w, None, activation="relu")
a, b = Split(y, axis=1, sizes=(1, 1))
output(a, b)
""")
    assert to_text(graph) == (
        "x: int8[1, 3] @ q(0.5, -3) = input()\n"
        "w: int8[2, 3] @ q([0.1, 0.2], axis=0) = const([[1, 2, 3], [4, 5, 6]])\n"
        "y: q(0.25, 0) = FullyConnected(x, w, None, activation='relu', flatten=False)"
        "  # int8[1, 2]\n"
        "a, b = Split(y, axis=1, sizes=(1, 1))  # int8[1, 1] int8[1, 1]\n"
        "output(a, b)\n"
    )


def test_large_constants_are_told_apart_by_a_checksum() -> None:
    one = to_text(parse("x: float32[9] = input()\nc = full(1.0, 9)\ny = Add(x, c)\noutput(y)"))
    two = to_text(parse("x: float32[9] = input()\nc = full(2.0, 9)\ny = Add(x, c)\noutput(y)"))
    assert "crc32" in one
    assert one != two


def test_random_constants_depend_on_the_name_alone() -> None:
    lines = "x: float32[4] = input()\n{0} = random(4)\ny = Add(x, {0})\noutput(y)"
    first, again, other = (parse(lines.format(n)).constants()[0].const for n in ("c", "c", "d"))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_random_weights_stay_in_the_range_of_their_dtype() -> None:
    weights = parse("x: float32[1] = input()\nw: int8[100] = random()\ny = Cast(w, to='int32')\n"
                    "output(y)").constants()[0]  # fmt: skip
    assert weights.dtype is DType.INT8
    assert len(np.unique(weights.const)) > 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: float32[2] = input()\ny = Relu(z)", r"line 2: y = Relu\(z\).*'z'"),
        ("x: float33[2] = input()", "line 1.*float33"),
        ("x: float32[2] = input()\ny = 3", "line 2.*not a value"),
        ("x: float32[2] = input()\ny = Relu(x, 'a' + 'b')", "line 2.*expected a name"),
        ("import os", "line 1.*not a value"),
        ("x: float32[2] = input()\na, b = Relu(x)", "line 2"),
    ],
)
def test_a_line_that_is_not_understood_is_quoted(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
