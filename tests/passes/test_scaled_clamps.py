import pytest
from equivalence import ops, rewritten

from edgepack.passes.pipeline import optimize
from edgepack.passes.scaled_clamps import clip_to_relu6, fold_scale_through_product

HEAD = """
x: float32[1, 6, 6, 4] = input()
w = random(6, 1, 1, 4)
v = random(5, 1, 1, 6)
b = random(6)
s = const(0.25)
"""

CASES = {
    "a clip at 1": (
        clip_to_relu6, "c = Conv2d(x, w, b)\ny = Clip(c, min=0.0, max=1.0)", 1, ["Conv2d", "Mul"],
    ),
    "declines: from below 0": (
        clip_to_relu6, "c = Conv2d(x, w, b)\ny = Clip(c, min=-1.0, max=1.5)", 0, ["Conv2d", "Clip"],
    ),
    "declines: another reader": (
        clip_to_relu6, "c = Conv2d(x, w, b)\nd = Clip(c, min=0.0, max=1.0)\ny = Mul(c, d)", 0,
        ["Conv2d", "Clip", "Mul"],
    ),
    "declines: no layer": (clip_to_relu6, "y = Clip(x, min=0.0, max=1.0)", 0, ["Clip"]),
    "a factor": (
        fold_scale_through_product,
        "c = Conv2d(x, w, b)\nd = Sigmoid(c)\ne = Mul(d, s)\nf = Mul(c, e)\ny = Conv2d(f, v)", 1,
        ["Conv2d", "Sigmoid", "Mul", "Conv2d"],
    ),
    "declines: the product is read twice": (
        fold_scale_through_product,
        "c = Conv2d(x, w, b)\nd = Sigmoid(c)\ne = Mul(d, s)\nf = Mul(c, e)\ng = Conv2d(f, v)\n"
        "h = Relu(f)\ni = Conv2d(h, v)\ny = Add(g, i)", 0,
        ["Conv2d", "Sigmoid", "Mul", "Mul", "Conv2d", "Relu", "Conv2d", "Add"],
    ),
    "declines: no layer follows": (
        fold_scale_through_product, "d = Sigmoid(x)\ne = Mul(d, s)\ny = Mul(x, e)", 0,
        ["Sigmoid", "Mul", "Mul"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_case(case):
    step, body, count, left = CASES[case]
    assert ops(rewritten(HEAD + body + "\noutput(y)", step, count)) == left


def test_the_gate_of_squeeze_and_excite_leaves_nothing_behind():
    body = """
m = ReduceMean(x, axes=(1, 2), keepdims=True)
g1 = random(2, 1, 1, 4)
g2 = random(4, 1, 1, 2)
p = random(3, 1, 1, 4)
sixth = const(0.16666667)
half = const(0.5)
r = Conv2d(m, g1, activation='relu')
q = Conv2d(r, g2)
i = Mul(q, sixth)
j = Add(i, half)
k = Clip(j, min=0.0, max=1.0)
z = Mul(x, k)
y = Conv2d(z, p)
output(y)"""
    left = ops(rewritten(HEAD + body, optimize, None))
    assert left == ["ReduceMean", "Conv2d", "Conv2d", "Mul", "Conv2d"]
