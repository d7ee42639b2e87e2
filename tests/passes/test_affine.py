import pytest
from equivalence import ops, rewritten

from edgepack.passes.affine import decompose_batchnorm, fold_batchnorm, fold_scale

HEAD = """
x: float32[2, 6, 6, 4] = input()
f: float32[2, 3, 4] = input()
n: float32[2, 4, 6, 6] = input()
w = random(6, 3, 3, 4)
wg = random(6, 3, 3, 2)
wd = random(1, 3, 3, 8)
wf = random(6, 4)
b = random(6)
g4 = random(4)
b4 = random(4)
m4 = random(4)
v4 = const([1, 2, 3, 4])
g6 = random(6)
b6 = random(6)
m6 = random(6)
v6 = const([1, 2, 3, 4, 5, 6])
g8 = random(8)
v8 = const([1, 2, 3, 4, 5, 6, 7, 8])
k: float32[6, 1, 1] = random()
"""

BATCHNORM = {
    "after a convolution": ("c = Conv2d(x, w, b)\ny = BatchNorm(c, g6, b6, m6, v6)", 1),
    "without a bias": (
        "c = Conv2d(x, w, pad=((1, 1), (1, 1)))\ny = BatchNorm(c, g6, b6, m6, v6)",
        1,
    ),
    "grouped": ("c = Conv2d(x, wg, b, groups=2)\ny = BatchNorm(c, g6, b6, m6, v6)", 1),
    "depthwise": ("c = DepthwiseConv2d(x, wd)\ny = BatchNorm(c, g8, g8, g8, v8)", 1),
    "transposed": (
        "c = ConvTranspose2d(x, w, b, stride=(2, 2))\ny = BatchNorm(c, g6, b6, m6, v6)",
        1,
    ),
    "dense": ("c = FullyConnected(f, wf, b)\ny = BatchNorm(c, g6, b6, m6, v6)", 1),
    "NCHW": ("c = Conv2d(n, w, layout='NCHW')\ny = BatchNorm(c, g6, b6, m6, v6, axis=1)", 1),
    "before a convolution": ("c = BatchNorm(x, g4, b4, m4, v4)\ny = Conv2d(c, w, b)", 1),
    "before a grouped one": ("c = BatchNorm(x, g4, b4, m4, v4)\ny = Conv2d(c, wg, groups=2)", 1),
    "before a depthwise one": ("c = BatchNorm(x, g4, b4, m4, v4)\ny = DepthwiseConv2d(c, wd)", 1),
    "before a dense one": ("c = BatchNorm(f, g4, b4, m4, v4)\ny = FullyConnected(c, wf, b)", 1),
    "two in a row": (
        "c = Conv2d(x, w)\nd = BatchNorm(c, g6, b6, m6, v6)\ny = BatchNorm(d, b6, g6, m6, v6)",
        2,
    ),
    "declines: padded layer after it": (
        "c = BatchNorm(x, g4, b4, m4, v4)\ny = Conv2d(c, w, b, pad=((1, 1), (1, 1)))",
        0,
    ),
    "declines: transposed layer after it": (
        "c = BatchNorm(x, g4, b4, m4, v4)\ny = ConvTranspose2d(c, w, b)",
        0,
    ),
    "declines: activation between": (
        "c = Conv2d(x, w, activation='relu')\ny = BatchNorm(c, g6, b6, m6, v6)",
        0,
    ),
    "declines: another reader": (
        "c = Conv2d(x, w)\nd = BatchNorm(c, g6, b6, m6, v6)\ny = Add(c, d)",
        0,
    ),
    "declines: another axis": (
        "c = Conv2d(x, w)\ny = BatchNorm(c, v4, v4, v4, v4, axis=1)",
        0,
    ),
}


@pytest.mark.parametrize("case", BATCHNORM)
def test_fold_batchnorm(case):
    body, count = BATCHNORM[case]
    graph = rewritten(HEAD + body + "\noutput(y)", fold_batchnorm, count)
    assert ("BatchNorm" in ops(graph)) == (count == 0)


def test_declines_an_output_between():
    body = "c = Conv2d(x, w)\ny = BatchNorm(c, g6, b6, m6, v6)\noutput(c, y)"
    rewritten(HEAD + body, fold_batchnorm, 0)


def test_declines_statistics_that_are_not_constant():
    head = "x: float32[2, 4] = input()\ng: float32[4] = input()\nv = const([1, 2, 3, 4])\n"
    body = "w = random(4, 4)\nc = FullyConnected(x, w)\ny = BatchNorm(c, g, v, v, v)\noutput(y)"
    rewritten(head + body, fold_batchnorm, 0)


SCALES = {
    "Mul": ("c = Conv2d(x, w, b)\ny = Mul(c, g6)", 1),
    "Mul from the left": ("c = Conv2d(x, w, b)\ny = Mul(g6, c)", 1),
    "Mul by a scalar": ("s = const(0.25)\nc = Conv2d(x, w, b)\ny = Mul(c, s)", 1),
    "Div": ("c = Conv2d(x, w, b)\ny = Div(c, v6)", 1),
    "Add": ("c = Conv2d(x, w)\ny = Add(c, b6)", 1),
    "Add with its activation": ("c = Conv2d(x, w)\ny = Add(c, b6, activation='relu')", 1),
    "Sub": ("c = Conv2d(x, w, b)\ny = Sub(c, b6)", 1),
    "Sub from a constant": ("c = Conv2d(x, w, b)\ny = Sub(b6, c)", 1),
    "NCHW": ("c = Conv2d(n, w, layout='NCHW')\ny = Add(c, k)", 1),
    "a chain": ("c = Conv2d(x, w)\nd = Mul(c, g6)\ny = Add(d, b6)", 2),
    "into the layer after": ("c = Mul(x, g4)\ny = Conv2d(c, w, b)", 1),
    "a shift into the layer after": ("c = Sub(x, g4)\ny = Conv2d(c, w, b)", 1),
    "a scale before padding": ("c = Mul(x, g4)\ny = Conv2d(c, w, b, pad=((1, 1), (1, 1)))", 1),
    "a scale before a transposed one": ("c = Mul(x, g4)\ny = ConvTranspose2d(c, w, b)", 1),
    "dense": ("c = FullyConnected(f, wf)\ny = Add(c, b6)", 1),
    "declines: a layer that flattens": (
        "v = random(5, 144)\nc = Mul(x, g4)\ny = FullyConnected(c, v, flatten=True)",
        0,
    ),
    "declines: a shift before padding": (
        "c = Add(x, g4)\ny = Conv2d(c, w, pad=((1, 1), (0, 0)))",
        0,
    ),
    "declines: not per channel": (
        "r: float32[4, 1] = random()\nc = Conv2d(x, w)\ny = Mul(c, r)",
        0,
    ),
    "declines: it broadcasts": (
        "r: float32[2, 1, 1, 1] = random()\nc = Conv2d(x, w)\ny = Mul(c, r)",
        0,
    ),
    "declines: an activation first": ("c = Mul(x, g4, activation='relu')\ny = Conv2d(c, w)", 0),
    "declines: divides by the layer": ("c = Conv2d(x, w, b)\ny = Div(v6, c)", 0),
}


@pytest.mark.parametrize("case", SCALES)
def test_fold_scale(case):
    body, count = SCALES[case]
    rewritten(HEAD + body + "\noutput(y)", fold_scale, count)


def test_declines_quantized_layers():
    text = """
x: int8[1, 4] @ q(0.5, 0) = input()
w: int8[2, 4] @ q(0.5, 0) = random()
g: int8[2] @ q(0.25, 0) = const([3, 5])
c: q(0.5, 0) = FullyConnected(x, w)
y: q(0.5, 0) = Mul(c, g)
output(y)"""
    rewritten(text, fold_scale, 0)


@pytest.mark.parametrize("axis", [1, -1])
def test_decompose_batchnorm(axis):
    text = f"""
x: float32[2, 4, 6, 4] = input()
g = random(4)
v = const([1, 2, 3, 4])
y = BatchNorm(x, g, g, g, v, axis={axis}, eps=0.1)
output(y)"""
    assert ops(rewritten(text, decompose_batchnorm, 1)) == ["Mul", "Add"]
