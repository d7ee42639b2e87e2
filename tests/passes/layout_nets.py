"""CNN-shaped graphs as a reader of an NCHW format leaves them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.ir import Graph, Value
from edgepack.ir.text import parse
from edgepack.ir.value import Attr

Pads = tuple[tuple[int, int], tuple[int, int]]


class Net:
    """A graph under construction; every spatial operator in `layout`."""

    def __init__(self, channels: int = 3, size: int = 8, layout: str = "NCHW") -> None:
        self.graph = Graph()
        self.layout = layout
        self.rng = np.random.default_rng(7)
        shape = (1, channels, size, size) if layout == "NCHW" else (1, size, size, channels)
        self.x = self.graph.add_input("x", shape)

    @property
    def axis(self) -> int:
        return 1 if self.layout == "NCHW" else 3

    def const(self, *shape: int) -> Value:
        return self.graph.constant((self.rng.standard_normal(shape) * 0.3).astype(np.float32))

    def add(self, op: str, *inputs: Value, **attrs: Attr) -> Value:
        return self.graph.add(op, inputs, attrs)

    def channels(self, x: Value) -> int:
        return x.shape[self.axis]

    def conv(self, x: Value, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Value:
        half = kernel // 2
        w = self.const(out, kernel, kernel, self.channels(x) // groups)
        return self.add(
            "Conv2d", x, w, self.const(out), stride=(stride, stride),
            pad=((half, half), (half, half)), groups=groups, layout=self.layout,
        )  # fmt: skip

    def depthwise(self, x: Value, stride: int = 1) -> Value:
        c = self.channels(x)
        return self.add(
            "DepthwiseConv2d", x, self.const(1, 3, 3, c), self.const(c), stride=(stride, stride),
            pad=((1, 1), (1, 1)), layout=self.layout,
        )  # fmt: skip

    def norm(self, x: Value) -> Value:
        c = self.channels(x)
        stats = [self.const(c), self.const(c), self.const(c), self.graph.constant(np.ones(c, "f"))]
        return self.add("BatchNorm", x, *stats, axis=self.axis)

    def perm(self, *nchw: int) -> tuple[int, ...]:
        """Per-dimension attributes given as N, C, H, W."""
        n, c, h, w = nchw
        return nchw if self.layout == "NCHW" else (n, h, w, c)

    @property
    def spatial(self) -> tuple[int, int]:
        return (2, 3) if self.layout == "NCHW" else (1, 2)

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        return self.graph


def resnet_option_a() -> Graph:
    net = Net()
    x = net.add("Relu", net.norm(net.conv(net.x, 4)))
    for stride, out in ((1, 4), (2, 8)):
        y = net.add("Relu", net.norm(net.conv(x, out, stride=stride)))
        y = net.norm(net.conv(y, out))
        if stride == 2:
            n, c, h, w = x.shape
            x = net.add("Slice", x, begin=(0, 0, 0, 0), size=(n, c, h // 2, w // 2),
                        stride=(1, 1, 2, 2))  # fmt: skip
            x = net.add("Pad", x, pads=((0, 0), (2, 2), (0, 0), (0, 0)))
        x = net.add("Relu", net.add("Add", y, x))
    pooled = net.add("AveragePool2d", x, kernel=x.shape[2:], stride=(1, 1), layout="NCHW")
    flat = net.add("Reshape", pooled, shape=(1, 8))
    return net.done(net.add("FullyConnected", flat, net.const(5, 8), net.const(5)))


def mobilenet_v2() -> Graph:
    net = Net()
    x = net.add("Relu6", net.conv(net.x, 4, stride=2))
    y = net.add("Relu6", net.conv(x, 8, kernel=1))
    y = net.add("Relu6", net.depthwise(y))
    x = net.add("Add", x, net.conv(y, 4, kernel=1))
    pooled = net.add("ReduceMean", x, axes=(2, 3))
    return net.done(net.add("Softmax", net.add("FullyConnected", pooled, net.const(5, 4))))


def mobilenet_v3() -> Graph:
    """Squeeze-and-excite with convolutions, and with dense layers; h-swish spelled out."""
    net = Net()
    x = net.add("HardSwish", net.conv(net.x, 8, stride=2))
    s = net.add("ReduceMean", x, axes=(2, 3), keepdims=True)
    s = net.add("Relu", net.conv(s, 2, kernel=1))
    s = net.add(
        "Relu6", net.add("Add", net.conv(s, 8, kernel=1), net.graph.constant(np.float32(3)))
    )
    x = net.add("Mul", x, net.add("Mul", s, net.graph.constant(np.float32(1 / 6))))
    x = net.depthwise(x)
    s = net.add("ReduceMean", x, axes=(2, 3))
    s = net.add("FullyConnected", s, net.const(2, 8), activation="relu")
    s = net.add("Sigmoid", net.add("FullyConnected", s, net.const(8, 2)))
    x = net.add("Mul", x, net.add("Reshape", s, shape=(1, 8, 1, 1)))
    x = net.conv(x, 4, kernel=1)
    x = net.add("Add", x, net.const(4, 1, 1))
    return net.done(net.add("Reshape", net.add("ReduceMean", x, axes=(2, 3), keepdims=True),
                            shape=(1, 4)))  # fmt: skip


def densenet() -> Graph:
    net = Net()
    features = net.conv(net.x, 4)
    for _ in range(3):
        y = net.conv(net.add("Relu", net.norm(features)), 2)
        features = net.add("Concat", features, y, axis=1)
    x = net.add("AveragePool2d", features, kernel=(2, 2), stride=(2, 2), layout="NCHW")
    x = net.add("MaxPool2d", net.conv(x, 4, kernel=1), kernel=(4, 4), layout="NCHW")
    return net.done(net.add("Reshape", x, shape=(1, -1 * -4)))


def unet() -> Graph:
    net = Net()
    a = net.add("Relu", net.conv(net.x, 4))
    b = net.add("MaxPool2d", a, kernel=(2, 2), stride=(2, 2), layout="NCHW")
    b = net.add("Relu", net.conv(b, 8))
    up = net.add("ResizeBilinear", b, size=(8, 8), half_pixel=True, layout="NCHW")
    up2 = net.add("ConvTranspose2d", b, net.const(4, 2, 2, 8), net.const(4), stride=(2, 2),
                  layout="NCHW")  # fmt: skip
    y = net.conv(net.add("Concat", up, a, up2, axis=1), 3)
    return net.done(net.add("Softmax", y, axis=1), net.add("ArgMax", y, axis=1))


def shufflenet() -> Graph:
    net = Net()
    x = net.conv(net.x, 8)
    left, right = net.graph.add_multi("Split", [x], {"axis": 1, "sizes": (4, 4)})
    right = net.depthwise(net.conv(right, 4, kernel=1))
    x = net.add("Concat", left, right, axis=1)
    x = net.add("Reshape", x, shape=(1, 2, 4, 8, 8))
    x = net.add("Transpose", x, perm=(0, 2, 1, 3, 4))
    x = net.add("Reshape", x, shape=(1, 8, 8, 8))
    x = net.conv(x, 4, groups=2)
    return net.done(net.add("ReduceMean", x, axes=(2, 3)))


def flatten_dense() -> Graph:
    """A flatten that mixes channels and pixels, with operators between it and the dense layer."""
    net = Net()
    x = net.add("MaxPool2d", net.conv(net.x, 4), kernel=(2, 2), stride=(2, 2), layout="NCHW")
    flat = net.add("Relu", net.add("Reshape", x, shape=(1, 64)))
    flat = net.add("Mul", flat, net.const(64))
    y = net.add("FullyConnected", flat, net.const(6, 64), net.const(6))
    return net.done(y, net.add("FullyConnected", flat, net.const(2, 64)))


def two_branches_dense() -> Graph:
    """Two flattened branches, concatenated before one dense layer."""
    net = Net()
    a = net.add("Reshape", net.conv(net.x, 2, stride=2), shape=(1, 32))
    b = net.add("Reshape", net.conv(net.x, 3, stride=4), shape=(1, 12))
    flat = net.add("Concat", a, b, axis=1)
    return net.done(net.add("FullyConnected", flat, net.const(6, 44)))


def generator() -> Graph:
    """A dense layer whose output is reshaped to an image."""
    net = Net(channels=4, size=1)
    z = net.add("Reshape", net.x, shape=(1, 4))
    y = net.add("Relu", net.add("FullyConnected", z, net.const(32, 4), net.const(32)))
    y = net.add("Reshape", y, shape=(1, 2, 4, 4))
    y = net.add("ConvTranspose2d", y, net.const(3, 2, 2, 2), stride=(2, 2), layout="NCHW")
    return net.done(
        net.add("Tanh", net.add("DepthToSpace", net.conv(y, 4), block=2, layout="NCHW"))
    )


def conv1d() -> Graph:
    """A 1-D convolution with a residual, spelled with a dimension of one."""
    net = Net()
    net.graph.inputs.clear()
    x = net.graph.add_input("series", (1, 3, 16))

    def conv(v: Value, out: int) -> Value:
        wide = net.add("Reshape", v, shape=(1, v.shape[1], 1, v.shape[2]))
        w = net.const(out, 1, 3, v.shape[1])
        y = net.add("Conv2d", wide, w, pad=((0, 0), (1, 1)), layout="NCHW")
        return net.add("Reshape", y, shape=(1, out, y.shape[3]))

    y = net.add("Relu", conv(x, 3))
    y = net.add("Add", y, conv(y, 3))
    y = net.add("Relu", net.add("Mul", conv(y, 5), net.const(5, 1)))
    return net.done(net.add("ReduceMean", y, axes=(2,)))


def quantized() -> Graph:
    """int8 from end to end, with per-channel weights."""
    return parse(
        """
        x: int8[1, 3, 8, 8] @ q(0.02, -5) = input()
        w: int8[4, 3, 3, 3] @ q([0.01, 0.02, 0.03, 0.04], axis=0) = random()
        y: q(0.05, 3) = Conv2d(x, w, pad=((1, 1), (1, 1)), layout="NCHW")
        k: int8[4, 1, 1] @ q(0.02, 0) = random()
        m: q(0.06, 1) = Mul(y, k)
        r: q(0.06, 1) = Reshape(m, shape=(1, 256))
        v: int8[2, 256] @ q([0.01, 0.02], axis=0) = random()
        z: q(0.5, 1) = FullyConnected(r, v)
        output(z)
        """.replace("\n        ", "\n")
    )


# Networks, and the transposes that are theirs: a channel shuffle is one.
NETS: dict[str, tuple[Callable[[], Graph], int]] = {
    "resnet_option_a": (resnet_option_a, 0),
    "mobilenet_v2": (mobilenet_v2, 0),
    "mobilenet_v3": (mobilenet_v3, 0),
    "densenet": (densenet, 0),
    "unet": (unet, 0),
    "shufflenet": (shufflenet, 1),
    "flatten_dense": (flatten_dense, 0),
    "two_branches_dense": (two_branches_dense, 0),
    "generator": (generator, 0),
    "conv1d": (conv1d, 0),
    "quantized": (quantized, 0),
}
