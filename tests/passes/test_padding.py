import pytest
from equivalence import ops, rewritten

from edgepack.passes.padding import fold_conv_pad, fold_pad

HEAD = """
x: float32[1, 6, 6, 4] = input()
n: float32[1, 4, 6, 6] = input()
w = random(4, 3, 3, 4)
wd = random(1, 3, 3, 4)
"""
HW = "pads=((0, 0), (1, 1), (0, 1), (0, 0))"
CHW = "pads=((0, 0), (0, 0), (1, 1), (0, 1))"

CASES = {
    "a convolution": (f"p = Pad(x, {HW})\ny = Conv2d(p, w)", 1),
    "adds up": (f"p = Pad(x, {HW})\ny = Conv2d(p, w, pad=((1, 0), (0, 1)))", 1),
    "depthwise": (f"p = Pad(x, {HW})\ny = DepthwiseConv2d(p, wd, stride=(2, 2))", 1),
    "NCHW": (f"p = Pad(n, {CHW})\ny = Conv2d(p, w, layout='NCHW')", 1),
    "an average pool": (f"p = Pad(x, {HW})\ny = AveragePool2d(p, kernel=(2, 2))", 1),
    "one that counts its padding": (
        f"p = Pad(x, {HW})\n"
        "y = AveragePool2d(p, kernel=(2, 2), pad=((1, 0), (0, 0)), count_include_pad=True)",
        1,
    ),
    "two readers": (
        f"p = Pad(x, {HW})\na = Conv2d(p, w)\nb = DepthwiseConv2d(p, wd)\ny = Add(a, b)",
        1,
    ),
    "a maximum pool": (f"p = Pad(x, {HW}, value=-1e999)\ny = MaxPool2d(p, kernel=(3, 3))", 1),
    "zeros after a Relu": (f"r = Relu(x)\np = Pad(r, {HW})\ny = MaxPool2d(p, kernel=(3, 3))", 1),
    "declines: zeros might win": (f"p = Pad(x, {HW})\ny = MaxPool2d(p, kernel=(3, 3))", 0),
    "declines: a window of nothing but padding": (
        f"r = Relu(x)\np = Pad(r, {HW})\ny = MaxPool2d(p, kernel=(1, 1))",
        0,
    ),
    "declines: its own padding does not count": (
        f"p = Pad(x, {HW})\ny = AveragePool2d(p, kernel=(2, 2), pad=((1, 0), (0, 0)))",
        0,
    ),
    "declines: not zero": (f"p = Pad(x, {HW}, value=1.0)\ny = Conv2d(p, w)", 0),
    "declines: not constant": (f"p = Pad(x, {HW}, mode='reflect')\ny = Conv2d(p, w)", 0),
    "declines: channels": (
        "p = Pad(x, pads=((0, 0), (0, 0), (0, 0), (1, 0)))\nv = random(4, 3, 3, 5)\n"
        "y = Conv2d(p, v)",
        0,
    ),
    "declines: it cuts": (
        "p = Pad(x, pads=((0, 0), (-1, 1), (0, 0), (0, 0)))\ny = Conv2d(p, w)",
        0,
    ),
    "declines: another reader": (
        f"p = Pad(x, {HW})\nc = Conv2d(p, w, pad=((1, 1), (1, 1)))\ny = Add(c, p)",
        0,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_fold_pad(case):
    body, count = CASES[case]
    graph = rewritten(HEAD + body + "\noutput(y)", fold_pad, count)
    assert ("Pad" in ops(graph)) == (count == 0)


@pytest.mark.parametrize("case", ["depthwise", "two readers", "an average pool", "a maximum pool"])
def test_fold_conv_pad_leaves_pools_alone(case):
    count = int("pool" not in case)
    graph = rewritten(HEAD + CASES[case][0] + "\noutput(y)", fold_conv_pad, count)
    assert ("Pad" in ops(graph)) == (count == 0)
