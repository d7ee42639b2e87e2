"""Small nets in which channels are coupled in every way that the rules know."""

from __future__ import annotations

_STEM = """
    x: float32[1, 8, 8, 3] = input()
    w = random(8, 3, 3, 3)
    b = random(8)
    a = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation="relu")
"""
_HEAD = """
    m = ReduceMean(z, axes=(1, 2), keepdims=False)
    wh = random(5, {width})
    bh = random(5)
    y = FullyConnected(m, wh, bh)
    output(y)
"""


def net(middle: str, width: int = 8) -> str:
    """A stem that makes `a` with 8 channels, the `middle` that makes `z`, a dense head."""
    lines = "\n".join(f"    {line.strip()}" for line in middle.strip().splitlines())
    return f"{_STEM}{lines}{_HEAD.format(width=width)}"


COUPLED = {
    "a chain": net("""
    w2 = random(6, 3, 3, 8)
    z = Conv2d(a, w2, pad=((1, 1), (1, 1)), activation="relu6")
    """, 6),
    "a residual addition": net("""
    w2 = random(8, 3, 3, 8)
    c = Conv2d(a, w2, pad=((1, 1), (1, 1)))
    z = Add(a, c, activation="relu")
    """),
    "a shortcut with padded channels": net("""
    w2 = random(16, 3, 3, 8)
    c = Conv2d(a, w2, pad=((1, 1), (1, 1)))
    p = Pad(a, pads=((0, 0), (0, 0), (0, 0), (4, 4)))
    z = Add(p, c)
    """, 16),
    "a depthwise layer": net("""
    w2 = random(1, 3, 3, 8)
    b2 = random(8)
    z = DepthwiseConv2d(a, w2, b2, pad=((1, 1), (1, 1)), activation="relu")
    """),
    "a depthwise layer with two filters each": net("""
    w2 = random(1, 3, 3, 16)
    z = DepthwiseConv2d(a, w2, pad=((1, 1), (1, 1)))
    """, 16),
    "a grouped layer": net("""
    w2 = random(12, 3, 3, 4)
    b2 = random(12)
    z = Conv2d(a, w2, b2, pad=((1, 1), (1, 1)), groups=2)
    """, 12),
    "a concatenation": net("""
    w2 = random(6, 1, 1, 8)
    c = Conv2d(a, w2)
    d = Concat(a, c, axis=-1)
    w3 = random(8, 1, 1, 14)
    z = Conv2d(d, w3)
    """),
    "a concatenation of rows": net("""
    w2 = random(8, 1, 1, 8)
    c = Conv2d(a, w2)
    z = Concat(a, c, axis=1)
    """),
    "a split": net("""
    s, t = Split(a, axis=3, sizes=(3, 5))
    w2 = random(5, 1, 1, 3)
    c = Conv2d(s, w2)
    z = Add(c, t)
    """, 5),
    "a split of rows": net("""
    s, t = Split(a, axis=1, sizes=(4, 4))
    z = Mul(s, t)
    """),
    "a slice": net("""
    s = Slice(a, begin=(0, 0, 0, 2), size=(1, 8, 8, 4), stride=(1, 1, 1, 1))
    z = Relu(s)
    """, 4),
    "a slice of every second pixel": net("""
    z = Slice(a, begin=(0, 0, 0, 0), size=(1, 4, 4, 8), stride=(1, 2, 2, 1))
    """),
    "squeeze and excite": net("""
    q = ReduceMean(a, axes=(1, 2), keepdims=True)
    w2 = random(4, 1, 1, 8)
    r = Conv2d(q, w2, activation="relu")
    w3 = random(8, 1, 1, 4)
    e = Conv2d(r, w3)
    g = Sigmoid(e)
    z = Mul(a, g)
    """),
    "squeeze and excite by dense layers": net("""
    q = ReduceMean(a, axes=(1, 2), keepdims=False)
    w2 = random(4, 8)
    r = FullyConnected(q, w2, activation="relu")
    w3 = random(8, 4)
    e = FullyConnected(r, w3)
    g = Sigmoid(e)
    h = Reshape(g, shape=(1, 1, 1, 8))
    z = Mul(a, h)
    """),
    "PReLU and constants": net("""
    alpha = random(1, 1, 8)
    p = PRelu(a, alpha)
    k = random(8)
    s = Mul(p, k)
    half = full(0.5)
    z = Add(s, half)
    """),
    "BatchNorm": net("""
    g = full(0.5, 8)
    be = random(8)
    mu = random(8)
    va = full(2.0, 8)
    z = BatchNorm(a, g, be, mu, va)
    """),
    "pools and resizes": net("""
    p = MaxPool2d(a, kernel=(2, 2), stride=(2, 2))
    q = AveragePool2d(p, kernel=(2, 2), stride=(2, 2))
    z = ResizeNearest(q, size=(4, 4))
    """),
    "a transposed layer": net("""
    w2 = random(6, 2, 2, 8)
    z = ConvTranspose2d(a, w2, stride=(2, 2))
    """, 6),
    "rows and columns swapped": net("""
    t = Transpose(a, perm=(0, 2, 1, 3))
    z = Relu(t)
    """),
    "channels in front and back": net("""
    t = Transpose(a, perm=(0, 3, 1, 2))
    n = Tanh(t)
    z = Transpose(n, perm=(0, 2, 3, 1))
    """),
    "chosen channels": net("""
    i: int32[8] = const([7, 6, 5, 4, 3, 2, 1, 0])
    g = Gather(a, i, axis=3)
    z = Add(a, g)
    """),
    "repeated channels": net("""
    z = Tile(a, multiples=(1, 1, 1, 2))
    """, 16),
    "softmax over rows": net("""
    s = Softmax(a, axis=1)
    z = Mul(s, a)
    """),
    "a flattened picture": """
    x: float32[1, 4, 4, 3] = input()
    w = random(6, 3, 3, 3)
    a = Conv2d(x, w, activation="relu")
    f = Reshape(a, shape=(1, 24))
    v = random(7, 24)
    d = FullyConnected(f, v, activation="relu")
    u = random(3, 7)
    y = FullyConnected(d, u)
    output(y)
    """,
    "dense layers on a sequence": """
    x: float32[1, 5, 6] = input()
    v = random(8, 6)
    d = FullyConnected(x, v, activation="relu")
    u = random(4, 8)
    y = FullyConnected(d, u)
    output(y)
    """,
}  # fmt: skip

# What stops channels of `a` from going, and a part of the reason.
STOPPED = {
    "an output of the model": (
        net("z = Relu(a)").replace("output(y)", "output(a, y)"), "output of the model"
    ),
    "the sum with an input": (
        """
    x: float32[1, 8, 8, 3] = input()
    w = random(3, 1, 1, 3)
    a = Conv2d(x, w)
    z = Add(a, x)
    wh = random(2, 1, 1, 3)
    y = Conv2d(z, wh)
    output(y)
    """,
        "tied to an input",
    ),
    "an operator without a rule": (
        net("z = DepthToSpace(a, block=2)", 2), "DepthToSpace z needs all of them"
    ),
    "softmax over channels": (net("z = Softmax(a, axis=3)"), "Softmax z needs all of them"),
    "a maximum over channels": (
        net("q = ReduceMax(a, axes=(3,), keepdims=True)\n    z = Mul(a, q)"), "ReduceMax q"
    ),
    "normalization over channels": (
        net("g = full(1.0, 8)\n    e = full(0.0, 8)\n    z = LayerNorm(a, g, e)"), "LayerNorm z"
    ),
    "channels shuffled by a reshape": (
        net("""
    r = Reshape(a, shape=(1, 8, 8, 2, 4))
    t = Transpose(r, perm=(0, 1, 2, 4, 3))
    z = Reshape(t, shape=(1, 8, 8, 8))
    """),
        "Reshape r",
    ),
    "every second channel": (
        net("z = Slice(a, begin=(0, 0, 0, 0), size=(1, 8, 8, 4), stride=(1, 1, 1, 2))", 4),
        "Slice z",
    ),
    "reflected channels": (
        net('z = Pad(a, pads=((0, 0), (0, 0), (0, 0), (1, 1)), mode="reflect")', 10), "Pad z"
    ),
}  # fmt: skip
