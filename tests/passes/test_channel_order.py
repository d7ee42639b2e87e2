import pytest
from equivalence import ops, rewritten

from edgepack.passes.channel_order import absorb_channel_shuffle, fold_channel_gather
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


SHUFFLE = """
x: float32[1, 6, 6, 6] = input()
w = random(4, 3, 3, 6)
wd = random(1, 3, 3, 12)
wo = random(5, 1, 1, 12)
b = random(12)
k = random(6)
r = Reshape(x, shape=(1, 6, 6, 2, 3))
t = Transpose(r, perm=(0, 1, 2, 4, 3))
s = Reshape(t, shape=(1, 6, 6, 6))
"""
ABSORBED = {
    "Conv2d": "y = Conv2d(s, w, activation='relu')",
    "two readers": "a = Conv2d(s, w)\nc = Conv2d(s, w)\ny = Add(a, c)",
    "past depthwise, two for each channel": "d = DepthwiseConv2d(s, wd, b)\ny = Conv2d(d, wo)",
    "past constants": "m = Mul(s, k)\na = Add(k, m)\ny = Conv2d(a, w)",
    "past a number": "n: float32 = const(2)\nm = Mul(s, n)\ny = Conv2d(m, w)",
    "past pooling and padding": (
        "p = Pad(s, pads=((0, 0), (1, 0), (0, 1), (0, 0)))\n"
        "m = MaxPool2d(p, kernel=(2, 2))\ny = Conv2d(m, w)"
    ),
    "past a mean": ("m = ReduceMean(s, axes=(1, 2))\nf = random(3, 6)\ny = FullyConnected(m, f)"),
}
NEEDED = {
    "an output": "y = Relu(s)",
    "groups": "g = random(4, 3, 3, 3)\ny = Conv2d(s, g, groups=2)",
    "a Split": "l, e = Split(s, axis=3, sizes=(3, 3))\nq = random(4, 1, 1, 3)\n"
               "a = Conv2d(l, q)\nc = Conv2d(e, q)\ny = Add(a, c)",
    "one reader of two": "a = Conv2d(s, w)\nc = Softmax(s)\ny = ReduceMean(c, axes=(3,))\n"
                         "output(a)",
    "padded channels": "p = Pad(s, pads=((0, 0), (0, 0), (0, 0), (0, 6)))\ny = Conv2d(p, wo)",
    "another computed value": "m = Mul(s, x)\ny = Conv2d(m, w)",
    "weights that are computed": "e = Exp(w)\ny = Conv2d(s, e)",
}  # fmt: skip


@pytest.mark.parametrize("case", ABSORBED)
def test_layers_absorb_a_shuffle(case):
    graph = rewritten(f"{SHUFFLE}{ABSORBED[case]}\noutput(y)", absorb_channel_shuffle, 1)
    assert "Transpose" not in ops(graph)


@pytest.mark.parametrize("case", NEEDED)
def test_shuffles_stay_where_the_order_is_needed(case):
    rewritten(f"{SHUFFLE}{NEEDED[case]}\noutput(y)", absorb_channel_shuffle, 0)


def test_scales_follow_a_shuffle():
    quantized = """
    x: int8[1, 4, 4, 4] @ q(0.1, 3) = input()
    w: int8[1, 3, 3, 4] @ q([0.01, 0.02, 0.03, 0.04], axis=3) = random()
    b: int32[4] @ q([0.001, 0.002, 0.003, 0.004], axis=0) = random()
    v: int8[3, 1, 1, 4] @ q([0.01, 0.02, 0.03], axis=0) = random()
    r: q(0.1, 3) = Reshape(x, shape=(1, 4, 4, 2, 2))
    t: q(0.1, 3) = Transpose(r, perm=(0, 1, 2, 4, 3))
    s: q(0.1, 3) = Reshape(t, shape=(1, 4, 4, 4))
    d: q(0.2, -4) = DepthwiseConv2d(s, w, b)
    y: q(0.3, 1) = Conv2d(d, v)
    output(y)
    """
    graph = rewritten(quantized, absorb_channel_shuffle, 1)
    assert [v.quant.scale[1] for v in graph.nodes[0].inputs[1:]] == pytest.approx([0.03, 0.003])
