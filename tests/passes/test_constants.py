import numpy as np
import pytest
from equivalence import ops, rewritten

from edgepack.ir.text import parse
from edgepack.passes.constants import deduplicate_constants, fold_constants
from edgepack.passes.manager import run_pass

FOLDS = {
    "arithmetic": ("c = Add(a, b)\ny = Mul(x, c)", 1, ["Mul"]),
    "a chain": ("c = Add(a, b)\nd = Relu(c)\ny = Mul(x, d)", 2, ["Mul"]),
    "an output": ("y = Add(a, b)", 1, []),
    "small growth": ("c = BroadcastTo(a, shape=(2, 4))\ny = Mul(x, c)", 1, ["Mul"]),
}


@pytest.mark.parametrize("case", FOLDS)
def test_folds(case):
    body, count, left = FOLDS[case]
    graph = rewritten(
        f"x: float32[2, 4] = input()\na = random(4)\nb = random(4)\n{body}\noutput(y)",
        fold_constants,
        count,
    )
    assert ops(graph) == left


def test_declines_what_would_fill_the_flash():
    rewritten(
        """
        x: float32[64, 64, 4] = input()
        a = random(4)
        c = BroadcastTo(a, shape=(64, 64, 4))
        y = Mul(x, c)
        output(y)""".replace("        ", ""),
        fold_constants,
        0,
    )


def test_nothing_is_computed_where_there_are_no_elements():
    graph = parse("x: float32[0, 4] = input()\nr = Relu(x)\noutput(r)")
    assert run_pass(graph, fold_constants) == 1
    assert graph.outputs[0].shape == (0, 4)
    assert graph.outputs[0].is_const


def test_quantized_constants_fold_by_their_parameters():
    graph = parse("""
x: float32[3] = input()
q: int8[3] @ q(0.5, 1) = const([1, 3, 5])
w = Dequantize(q)
y = Mul(x, w)
output(y)""")
    assert run_pass(graph, fold_constants) == 1
    np.testing.assert_array_equal(graph.nodes[0].input(1).const, [0, 1, 2])


def test_equal_constants_are_shared():
    graph = parse("""
x: float32[4] = input()
a = const([1, 2, 3, 4])
b = const([1, 2, 3, 4])
c = const([1, 2, 3, 5])
d: int8[4] @ q(0.5, 1) = const([1, 2, 3, 4])
e: int8[4] @ q(0.25, 1) = const([1, 2, 3, 4])
s = Add(x, a)
t = Add(s, b)
u = Add(t, c)
v = Dequantize(d)
w = Dequantize(e)
z = Add(u, v)
y = Add(z, w)
output(y)""")
    assert run_pass(graph, deduplicate_constants) == 1
    assert len(graph.constants()) == 4
