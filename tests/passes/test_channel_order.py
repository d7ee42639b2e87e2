import pytest
from equivalence import ops, rewritten

from edgepack.passes.channel_order import fold_channel_gather
from edgepack.passes.pipeline import optimize

HEAD = """
x: float32[1, 6, 6, 2] = input()
w = random(4, 3, 3, 2)
wd = random(1, 3, 3, 4)
wg = random(4, 3, 3, 1)
b = random(4)
order: int32[4] = const([0, 2, 1, 3])
inner: int32[4] = const([1, 0, 3, 2])
"""
QUANTIZED = """
x: int8[1, 6, 6, 2] @ q(0.1, 3) = input()
w: int8[4, 3, 3, 2] @ q([0.01, 0.02, 0.03, 0.04], axis=0) = random()
b: int32[4] @ q([0.001, 0.002, 0.003, 0.004], axis=0) = random()
order: int32[4] = const([0, 2, 1, 3])
c: q(0.2, -4) = Conv2d(x, w, b)
y: q(0.2, -4) = Gather(c, order, axis=3)
output(y)
"""
CASES = {
    "Conv2d": ("c = Conv2d(x, w, b)\ny = Gather(c, order, axis=-1)", 1),
    "without a bias": ("c = Conv2d(x, w, activation='relu')\ny = Gather(c, order, axis=3)", 1),
    "negative indices": (
        "n: int32[4] = const([-1, 0, -2, 1])\nc = Conv2d(x, w)\ny = Gather(c, n, axis=3)", 1,
    ),
    "FullyConnected": ("f = random(4, 2)\nc = FullyConnected(x, f, b)\n"
                       "y = Gather(c, order, axis=3)", 1),
    "depthwise, within each channel": (
        "c = DepthwiseConv2d(x, wd, b)\ny = Gather(c, inner, axis=3)", 1,
    ),
    "groups, within each": ("c = Conv2d(x, wg, b, groups=2)\ny = Gather(c, inner, axis=3)", 1),
    "declines: depthwise across channels": (
        "c = DepthwiseConv2d(x, wd, b)\ny = Gather(c, order, axis=3)", 0,
    ),
    "declines: across groups": ("c = Conv2d(x, wg, groups=2)\ny = Gather(c, order, axis=3)", 0),
    "declines: rows": ("c = Conv2d(x, w, b)\ny = Gather(c, order, axis=1)", 0),
    "declines: a channel twice": (
        "n: int32[4] = const([0, 0, 1, 2])\nc = Conv2d(x, w)\ny = Gather(c, n, axis=3)", 0,
    ),
    "declines: some channels": (
        "n: int32[2] = const([2, 0])\nc = Conv2d(x, w)\ny = Gather(c, n, axis=3)", 0,
    ),
    "declines: another reader": (
        "c = Conv2d(x, w)\nr = Relu(c)\ng = Gather(c, order, axis=3)\ny = Add(g, r)", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fold_channel_gather(case):
    body, count = CASES[case]
    rewritten(f"{HEAD}{body}\noutput(y)", fold_channel_gather, count)


def test_scales_follow_their_channels():
    graph = rewritten(QUANTIZED, fold_channel_gather, 1)
    assert [v.quant.scale[1] for v in graph.nodes[0].inputs[1:]] == pytest.approx([0.03, 0.003])


def test_a_pixel_shuffle_becomes_one_operator():
    text = HEAD + "c = Conv2d(x, w)\ng = Gather(c, order, axis=3)\n"
    graph = rewritten(f"{text}y = DepthToSpace(g, block=2)\noutput(y)", optimize, None)
    assert ops(graph) == ["Conv2d", "DepthToSpace"]
