import pytest
from equivalence import ops, rewritten

from edgepack.passes.activations import fuse_activation, merge_clamps

HEAD = """
x: float32[1, 6, 6, 4] = input()
w = random(4, 3, 3, 4)
wd = random(1, 3, 3, 4)
wf = random(5, 4)
six = const(6)
zero = const(0)
one = const(1)
per = random(4)
"""

CLAMPS = {
    "relu6 of Maximum and Minimum": ("a = Maximum(x, zero)\ny = Minimum(a, six)", 2, ["Relu6"]),
    "the other way round": ("a = Minimum(x, six)\ny = Maximum(zero, a)", 2, ["Relu6"]),
    "Relu and Minimum": ("a = Relu(x)\ny = Minimum(a, six)", 1, ["Relu6"]),
    "Clip 0 6": ("y = Clip(x, min=0.0, max=6.0)", 1, ["Relu6"]),
    "Clip -1 1": ("y = Clip(x, min=-1.0, max=1.0)", 1, ["ReluN1To1"]),
    "Clip above 0": ("y = Clip(x, min=0.0, max=float_inf)", 1, ["Relu"]),
    "Relu of Relu": ("a = Relu(x)\ny = Relu(a)", 1, ["Relu"]),
    "after a sigmoid": ("a = Sigmoid(x)\ny = Clip(a, min=0.0, max=1.0)", 1, ["Sigmoid"]),
    "after a fused one": ("a = Conv2d(x, w, activation='relu6')\ny = Relu(a)", 1, ["Conv2d"]),
    "declines: a clip of its own": ("y = Clip(x, min=0.0, max=5.0)", 0, ["Clip"]),
    "declines: per channel": ("y = Maximum(x, per)", 0, ["Maximum"]),
    "declines: another reader": (
        "a = Clip(x, min=-2.0, max=4.0)\nb = Clip(a, min=0.0, max=5.0)\ny = Add(a, b)", 0,
        ["Clip", "Clip", "Add"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAMPS)
def test_merge_clamps(case):
    body, count, left = CLAMPS[case]
    text = HEAD + body.replace("float_inf", "1e999") + "\noutput(y)"
    assert ops(rewritten(text, merge_clamps, count)) == left


FUSIONS = {
    "Conv2d": ("c = Conv2d(x, w)\ny = Relu(c)", 1),
    "DepthwiseConv2d": ("c = DepthwiseConv2d(x, wd)\ny = Relu6(c)", 1),
    "FullyConnected": ("c = FullyConnected(x, wf)\ny = ReluN1To1(c)", 1),
    "Add": ("c = Add(x, x)\ny = Relu(c)", 1),
    "Mul": ("c = Mul(x, per)\ny = Relu6(c)", 1),
    "a pool": ("c = MaxPool2d(x, kernel=(2, 2))\ny = Relu(c)", 1),
    "declines: another reader": ("c = Conv2d(x, w)\nr = Relu(c)\ny = Sub(c, r)", 0),
    "declines: fused already": ("c = Conv2d(x, w, activation='relu_n1_to_1')\ny = Relu(c)", 0),
    "declines: nothing to fuse with": ("c = Sigmoid(x)\ny = Relu(c)", 0),
}


@pytest.mark.parametrize("case", FUSIONS)
def test_fuse_activation(case):
    body, count = FUSIONS[case]
    graph = rewritten(HEAD + body + "\noutput(y)", fuse_activation, count)
    assert (len(graph) == 1) == bool(count)


def test_declines_an_output_between():
    rewritten(HEAD + "c = Conv2d(x, w)\ny = Relu(c)\noutput(c, y)", fuse_activation, 0)


QUANTIZED = """
x: int8[1, 6, 6, 4] @ q(0.05, 3) = input()
w: int8[4, 3, 3, 4] @ q([0.01, 0.02, 0.01, 0.03], axis=0) = random()
c: q(0.1, -10) = Conv2d(x, w)
y: q({}) = Relu(c)
output(y)"""


@pytest.mark.parametrize(("parameters", "count"), [("0.1, -10", 1), ("0.05, -128", 0)])
def test_between_integers_only_with_equal_parameters(parameters, count):
    rewritten(QUANTIZED.format(parameters), fuse_activation, count)
