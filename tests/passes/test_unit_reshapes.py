import numpy as np
import pytest
from equivalence import inputs_for, ops, rewritten
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from line_random import RandomLine

from edgepack.ir.text import parse
from edgepack.passes.manager import run_pass
from edgepack.passes.pipeline import optimize
from edgepack.passes.unit_reshapes import cancel_unit_reshapes
from edgepack.run.reference import ReferenceRuntime

HEAD = """
x: float32[2, 1, 8, 4] = input()
w = random(4, 1, 3, 4)
c = Conv2d(x, w, pad=((0, 0), (1, 1)))
a = Reshape(c, shape=(2, 8, 4))
"""
TAIL = """
b = Reshape(y, shape=(2, 1, {}, {}))
v = random(4, 1, 3, {})
z = Conv2d(b, v)
output(z)
"""


def between(body, length=8, channels=4):
    return HEAD + body + TAIL.format(length, channels, channels)


# Between two layers, whose Reshapes must then meet and go.
CANCELLED = {
    "Relu": between("y = Relu(a)"),
    "one number per channel": between("k = random(4)\ny = Mul(a, k)"),
    "a constant of the whole shape": between("k = random(2, 8, 4)\ny = Sub(k, a)"),
    "PRelu": between("k = random(1, 4)\ny = PRelu(a, k)"),
    "Pad": between("y = Pad(a, pads=((0, 0), (2, 0), (0, 0)))", 10),
    "Softmax": between("y = Softmax(a, axis=-1)"),
    "Softmax over steps": between("y = Softmax(a, axis=1)"),
    "BatchNorm": between("k = random(4)\np = const([1, 2, 3, 4])\ny = BatchNorm(a, k, k, k, p)"),
    "LayerNorm": between("k = random(4)\ny = LayerNorm(a, k, axis=2)"),
    "FullyConnected": between("k = random(6, 4)\ny = FullyConnected(a, k)", 8, 6),
    "Concat": between("r = Relu(a)\ny = Concat(a, r, axis=2)", 8, 8),
    "residual": between("r = Sigmoid(a)\ny = Add(r, a)"),
    "squeeze and excite": between(
        "m = ReduceMean(a, axes=(1,), keepdims=True)\ns = Sigmoid(m)\ny = Mul(a, s)"
    ),
    "Slice": between("y = Slice(a, begin=(0, 2, 0), size=(2, 6, 4), stride=(1, 1, 1))", 6),
    "Split": between("s, t = Split(a, axis=2, sizes=(2, 2))\ny = Mul(s, t)", 8, 2),
    "Reverse": between("y = Reverse(a, axes=(1,))"),
    "Tile": between("y = Tile(a, multiples=(1, 2, 1))", 16),
    "Quantize and Dequantize": between("q: q(0.05, 3) = Quantize(a, to='int8')\ny = Dequantize(q)"),
    "chain": between("m = ReduceMax(a, axes=(1,), keepdims=True)\nr = Abs(m)\ny = Sub(a, r)"),
    "a reduction that drops its axis": HEAD
    + "r = Relu(a)\ny = ReduceMean(r, axes=(1,))\noutput(y)",
}
FUSABLE = {
    "activation": (HEAD + "y = Relu(a)\noutput(y)", ["Conv2d", "Relu", "Reshape"]),
    "Pad": (
        "x: float32[2, 8, 4] = input()\np = Pad(x, pads=((0, 0), (1, 1), (0, 0)))\n"
        "a = Reshape(p, shape=(2, 1, 10, 4))\nw = random(4, 1, 3, 4)\n"
        "y = Conv2d(a, w)\noutput(y)",
        ["Reshape", "Pad", "Conv2d"],
    ),
}
DECLINED = {
    "nothing to meet": HEAD + "y = Sigmoid(a)\noutput(y)",
    "outputs on both sides": between("y = Sigmoid(a)").replace("output(z)", "output(a, y, z)"),
    "the dimension itself": HEAD
    + "y = Softmax(b, axis=1)\nz = Reshape(y, shape=(2, 8, 4))\noutput(z)".replace(
        "y = Softmax(b", "b = Reshape(a, shape=(16, 4))\ny = Softmax(b"
    ),
    "more than ones": between("r = Reshape(a, shape=(4, 16))\ns = Sigmoid(r)\n"
                              "y = Reshape(s, shape=(2, 8, 4))"),
    "other parameters": """
        x: int8[1, 1, 8, 4] @ q(0.1, 0) = input()
        a: q(0.2, 0) = Reshape(x, shape=(8, 4))
        y: q(0.2, 0) = Relu(a)
        z: q(0.2, 0) = Reshape(y, shape=(1, 1, 8, 4))
        output(z)""",
}  # fmt: skip
QUANTIZED = """
x: int8[1, 1, 8, 4] @ q(0.05, 3) = input()
w: int8[4, 1, 3, 4] @ q([0.01, 0.02, 0.01, 0.03], axis=0) = random()
c: q(0.1, -5) = Conv2d(x, w, pad=((0, 0), (1, 1)))
a: q(0.1, -5) = Reshape(c, shape=(1, 8, 4))
k: int8[8, 4] @ q(0.02, 0) = random()
s: q(0.2, 1) = Add(a, k)
r: q(0.2, 1) = Relu(s)
t: q(0.2, 1) = Concat(r, r, axis=1)
b: q(0.2, 1) = Reshape(t, shape=(1, 1, 16, 4))
d: q(0.1, -5) = Conv2d(b, w)
output(d)
"""


@pytest.mark.parametrize("case", CANCELLED)
def test_reshapes_meet_and_cancel(case):
    assert "Reshape" not in ops(rewritten(CANCELLED[case], cancel_unit_reshapes, None))


@pytest.mark.parametrize("case", FUSABLE)
def test_reshapes_make_way_for_fusing(case):
    text, left = FUSABLE[case]
    assert ops(rewritten(text, cancel_unit_reshapes, None)) == left


@pytest.mark.parametrize("case", DECLINED)
def test_reshapes_stay(case):
    rewritten(DECLINED[case], cancel_unit_reshapes, 0)


def test_parameters_follow():
    graph = rewritten(QUANTIZED, cancel_unit_reshapes, None)
    assert ops(graph) == ["Conv2d", "Add", "Relu", "Concat", "Conv2d"]
    assert [v.quant.zero_point[0] for n in graph.nodes for v in n.outputs] == [-5, 1, 1, 1, -5]


def test_names_follow():
    graph = parse(CANCELLED["Relu"])
    run_pass(graph, cancel_unit_reshapes)
    assert [n.output.name for n in graph.nodes] == ["c", "y", "z"]


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=14))
def test_random_lines_keep_their_numbers(choices):
    graph = RandomLine(choices).graph
    arrays = inputs_for(graph)
    want = ReferenceRuntime(graph.copy()).run(arrays)
    before = ops(graph).count("Reshape")
    run_pass(graph, cancel_unit_reshapes)
    assert ops(graph).count("Reshape") <= before
    for a, b in zip(want, ReferenceRuntime(graph).run(arrays), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    optimize(graph)
    assert optimize(graph) == 0
    for a, b in zip(want, ReferenceRuntime(graph).run(arrays), strict=True):
        # a few float32 roundings of the largest number for each fragment
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4 * (1 + np.abs(a).max(initial=0)))
