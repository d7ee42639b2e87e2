"""Random graphs out of the fragments that passes look for, and of what keeps passes from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepack.ir import Graph, Value

_MAX_ELEMENTS = 20000


class RandomNet:
    """Each number picks a fragment; a generator seeded by all of them picks its details."""

    def __init__(self, choices: Sequence[int]) -> None:
        self.graph = Graph()
        self.rng = np.random.default_rng(list(choices))
        self.pool = [self.graph.add_input("x", (1, 6, 6, 4))]
        for choice in choices:
            recent = self.pool[-3:]
            fragment = FRAGMENTS[choice % len(FRAGMENTS)]
            value = fragment(self, recent[self.pick(len(recent))])
            if value is not None and value.size < _MAX_ELEMENTS:
                self.pool.append(value)
        made = [v for v in self.graph.values() if v.producer is not None]
        ends = [v for v in made if not v.users]
        inner = [v for v in made if v.users and self.pick(12) == 0]
        self.graph.outputs = [*ends, *inner] or [self.add("Relu", self.pool[0])]

    def pick(self, count: int) -> int:
        return int(self.rng.integers(count))

    def chance(self) -> bool:
        return bool(self.pick(2))

    def const(self, *shape: int, scale: float = 1.0) -> Value:
        data = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        return self.graph.constant(data)

    def number(self, value: float) -> Value:
        return self.graph.constant(np.array(value, np.float32))

    def add(self, op: str, *inputs: Value, **attrs: object) -> Value:
        return self.graph.add(op, inputs, attrs)

    def pads(self) -> tuple[tuple[int, int], ...]:
        p = [self.pick(3) for _ in range(4)]
        return (0, 0), (0, 0) if self.chance() else (p[0], p[1]), (p[2], p[3]), (0, 0)

    def activation(self) -> str:
        return ("none", "none", "relu", "relu6")[self.pick(4)]


def _window(net: RandomNet, x: Value) -> dict[str, object] | None:
    if x.rank != 4 or min(x.shape[1:3]) < 3:
        return None
    pad = tuple((net.pick(2), net.pick(2)) for _ in range(2)) if net.chance() else ((0, 0), (0, 0))
    return {
        "stride": (1 + net.pick(2), 1 + net.pick(2)),
        "pad": pad,
        "activation": net.activation(),
    }


def _conv(net: RandomNet, x: Value) -> Value | None:
    attrs = _window(net, x)
    if attrs is None:
        return None
    c = x.shape[-1]
    bias = [net.const(4)] if net.chance() else []
    if net.chance() and c == 4:
        return net.add("DepthwiseConv2d", x, net.const(1, 3, 3, 4, scale=0.3), *bias, **attrs)
    op = "ConvTranspose2d" if net.pick(5) == 0 else "Conv2d"
    return net.add(op, x, net.const(4, 3, 3, c, scale=0.2), *bias, **attrs)


def _dense(net: RandomNet, x: Value) -> Value | None:
    if not x.rank:
        return None
    size = x.shape[-1]
    if net.chance() and x.rank > 1:
        return net.add("MatMul", x, net.const(size, 4, scale=0.3))
    return net.add("FullyConnected", x, net.const(4, size, scale=0.3))


def _pool(net: RandomNet, x: Value) -> Value | None:
    attrs = _window(net, x)
    if attrs is None:
        return None
    if net.chance():
        return net.add("MaxPool2d", x, kernel=(2 + net.pick(2), 2), **attrs)
    kernel = x.shape[1:3] if net.chance() else (2, 2)
    return net.add("AveragePool2d", x, kernel=kernel, count_include_pad=net.chance(), **attrs)


def _batchnorm(net: RandomNet, x: Value) -> Value | None:
    if not x.rank:
        return None
    axis = net.pick(x.rank) if net.pick(4) == 0 else x.rank - 1
    size = x.shape[axis]
    variance = net.graph.constant(net.rng.uniform(0.5, 2, size).astype(np.float32))
    return net.add("BatchNorm", x, net.const(size), net.const(size), net.const(size), variance,
                   axis=axis)  # fmt: skip


def _constant(net: RandomNet, x: Value) -> Value:
    op = ("Add", "Sub", "Mul", "Div")[net.pick(4)]
    shapes = [(), (1,), x.shape[-1:], (1,) * (x.rank - 1) + x.shape[-1:], x.shape]
    shape = shapes[net.pick(len(shapes))]
    data = net.rng.uniform(0.5, 2, shape).astype(np.float32)
    if net.pick(4) == 0:
        data = np.full(shape, op in ("Mul", "Div"), np.float32)  # changes nothing
    c = net.graph.constant(data)
    pair = (c, x) if net.chance() and op != "Div" else (x, c)
    return net.add(op, *pair, activation=net.activation())


def _clamp(net: RandomNet, x: Value) -> Value:
    kind = net.pick(6)
    if kind < 3:
        return net.add(("Relu", "Relu6", "ReluN1To1")[kind], x)
    if kind == 3:
        return net.add("Clip", x, min=-float(net.pick(2)), max=(1.0, 6.0, np.inf)[net.pick(3)])
    return net.add(("Maximum", "Minimum")[kind - 4], x, net.number(6.0 * net.pick(2)))


def _pad(net: RandomNet, x: Value) -> Value | None:
    if x.rank != 4:
        return None
    value = (0.0, 0.0, 1.0)[net.pick(3)]
    return net.add("Pad", x, pads=net.pads(), value=value)


def _pair(net: RandomNet, x: Value) -> Value:
    others = [v for v in net.pool if v.shape == x.shape]
    y = others[net.pick(len(others))]
    return net.add(("Add", "Mul", "Sub", "Maximum")[net.pick(4)], x, y)


def _swish(net: RandomNet, x: Value) -> Value:
    offset = 3.0 if net.pick(4) else 2.0
    ramp = net.add("Relu6", net.add("Add", x, net.number(offset)))
    if net.chance():
        return net.add("Mul", x, net.add("Mul", ramp, net.number(1 / 6)))
    return net.add("Div", net.add("Mul", ramp, x), net.number(6.0))


def _gelu(net: RandomNet, x: Value) -> Value:
    core = net.add("Erf", net.add("Mul", x, net.number(0.70710678)))
    gate = net.add("Add", core, net.number(1.0))
    half = net.add("Mul", x, net.number(0.5 if net.pick(4) else 0.4))
    return net.add("Mul", half, gate)


def _leaky(net: RandomNet, x: Value) -> Value:
    slope = net.number((0.1, 0.5, 1.5)[net.pick(3)])
    return net.add("Maximum", x, net.add("Mul", slope, x))


def _layer_norm(net: RandomNet, x: Value) -> Value | None:
    if not x.rank:
        return None
    over = {"axes": (x.rank - 1 - net.pick(2) * (x.rank > 1),), "keepdims": True}
    d = net.add("Sub", x, net.add("ReduceMean", x, **over)) if net.chance() else x
    spread = net.add("ReduceMean", net.add("Mul", d, d), **over)
    root = net.add("Sqrt", net.add("Add", spread, net.number(0.1)))
    y = net.add("Div", d, root)
    return net.add("Mul", y, net.const(x.shape[-1])) if net.chance() else y


def _softmax(net: RandomNet, x: Value) -> Value | None:
    if not x.rank:
        return None
    over = {"axes": (net.pick(x.rank),), "keepdims": True}
    shifted = net.add("Sub", x, net.add("ReduceMax", x, **over))
    e = net.add("Exp", shifted)
    return net.add("Div", e, net.add("ReduceSum", e, **over))


def _shape(net: RandomNet, x: Value) -> Value | None:
    kind = net.pick(6)
    if kind == 0:
        return net.add("Reshape", x, shape=(x.size,) if net.chance() else (1, *x.shape))
    if kind == 1 and x.rank:
        return net.add("ReduceMean", x, axes=(net.pick(x.rank),), keepdims=net.chance())
    if kind == 2 and x.rank:
        return net.add("Transpose", x, perm=tuple(int(i) for i in net.rng.permutation(x.rank)))
    if kind == 3 and x.rank:
        return net.add("Concat", x, x, axis=net.pick(x.rank))
    if kind == 4 and x.rank and x.shape[-1] % 2 == 0:
        half = x.shape[-1] // 2
        a, b = net.graph.add_multi("Split", [x], {"axis": -1, "sizes": (half, half)})
        return net.add("Concat", *((a, b) if net.pick(3) else (b, a)), axis=x.rank - 1)
    if kind == 5:
        return net.add("BroadcastTo", x, shape=(2, *x.shape))
    return None


FRAGMENTS: list[Callable[[RandomNet, Value], Value | None]] = [
    _conv, _dense, _pool, _batchnorm, _constant, _clamp, _pad, _pair, _swish, _gelu, _leaky,
    _layer_norm, _softmax, _shape, _conv, _constant, _batchnorm, _clamp,
]  # fmt: skip
