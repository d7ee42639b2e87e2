"""Random networks of 1-D layers, as readers give them: 2-D layers of height 1 between Reshapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import Graph, Value


class RandomLine:
    """Each number picks a fragment; a generator seeded by all of them picks its details."""

    def __init__(self, choices: Sequence[int]) -> None:
        self.graph = Graph()
        self.rng = np.random.default_rng(list(choices))
        self.pool = [self.graph.add_input("x", (1 + self.pick(2), 8, 4))]
        for choice in choices:
            value = self.pool[-1 - self.pick(min(3, len(self.pool)))]
            made = FRAGMENTS[choice % len(FRAGMENTS)](self, value)
            if made is not None and 0 < made.size < 5000:
                self.pool.append(made)
        computed = [v for v in self.graph.values() if v.producer is not None]
        inner = [v for v in computed if v.users and self.pick(12) == 0]
        self.graph.outputs = [*(v for v in computed if not v.users), *inner]
        self.graph.outputs = self.graph.outputs or [self.add("Relu", self.pool[0])]

    def pick(self, count: int) -> int:
        return int(self.rng.integers(count))

    def const(self, *shape: int) -> Value:
        return self.graph.constant(self.rng.uniform(0.2, 1, shape).astype(np.float32))

    def add(self, op: str, *inputs: Value, **attrs: object) -> Value:
        return self.graph.add(op, inputs, attrs)

    def shaped(self, x: Value, *shape: int) -> Value:
        return self.add("Reshape", x, shape=shape)


def _layer(net: RandomLine, x: Value) -> Value | None:
    if x.rank != 3 or x.shape[1] < 3:
        return None
    n, length, c = x.shape
    tall = net.shaped(x, n, 1, length, c)
    kind = net.pick(3)
    if kind == 0:
        y = net.add("Conv2d", tall, net.const(4, 1, 3, c), pad=((0, 0), (1, 1)))
    elif kind == 1:
        y = net.add("DepthwiseConv2d", tall, net.const(1, 1, 3, c), pad=((0, 0), (1, 1)))
    else:
        y = net.add("MaxPool2d", tall, kernel=(1, 2), stride=(1, 1 + net.pick(2)))
    return net.shaped(y, n, y.shape[2], y.shape[3])


def _unary(net: RandomLine, x: Value) -> Value | None:
    op = ("Relu", "Relu6", "Sigmoid", "HardSwish", "Abs", "Softmax", "CumSum", "L2Norm")[
        net.pick(8)
    ]
    if op in ("Softmax", "CumSum"):
        return net.add(op, x, axis=net.pick(x.rank)) if x.rank else None
    return net.add(op, x) if x.rank or op != "L2Norm" else None


def _norm(net: RandomLine, x: Value) -> Value | None:
    if not x.rank:
        return None
    if net.pick(2):
        axis = net.pick(x.rank)
        return net.add("BatchNorm", x, *(net.const(x.shape[axis]) for _ in range(4)), axis=axis)
    axis = net.pick(x.rank)
    return net.add("LayerNorm", x, net.const(*x.shape[axis:]), axis=axis)


def _constant(net: RandomLine, x: Value) -> Value:
    shapes = [(), x.shape[-1:], (1,) * (x.rank - 1) + x.shape[-1:], x.shape, (1,) * x.rank]
    pair = [x, net.const(*shapes[net.pick(len(shapes))])]
    return net.add(("Add", "Mul", "Maximum", "PRelu")[net.pick(4)], *pair)


def _pair(net: RandomLine, x: Value) -> Value | None:
    others = [v for v in net.pool if _broadcast(v.shape, x.shape)]
    if not others:
        return None
    pair = [x, others[net.pick(len(others))]]
    return net.add(("Add", "Mul", "Minimum")[net.pick(3)], *pair[:: (-1, 1)[net.pick(2)]])


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(1 in (m, n) or m == n for m, n in zip(a[::-1], b[::-1], strict=False))


def _join(net: RandomLine, x: Value) -> Value | None:
    if not x.rank:
        return None
    axis = net.pick(x.rank)
    if net.pick(3) == 0:
        first = net.pick(x.shape[axis] + 1)
        sizes = (first, x.shape[axis] - first)
        parts = net.graph.add_multi("Split", [x], {"axis": axis, "sizes": sizes})
        return net.add("Add", parts[0], parts[1]) if sizes[0] == sizes[1] else parts[net.pick(2)]
    others = [v for v in net.pool if v.rank == x.rank]
    others = [v for v in others if all(i == axis or d == x.shape[i] for i, d in enumerate(v.shape))]
    return net.add("Concat", x, others[net.pick(len(others))], axis=axis) if others else None


def _reduce(net: RandomLine, x: Value) -> Value | None:
    if not x.rank:
        return None
    op = ("ReduceMean", "ReduceMax", "ReduceSum", "ArgMax")[net.pick(4)]
    axis = net.pick(x.rank)
    if op == "ArgMax":
        return net.add("Cast", net.add(op, x, axis=axis), to="float32")
    return net.add(op, x, axes=(axis,), keepdims=bool(net.pick(2)))


def _move(net: RandomLine, x: Value) -> Value | None:
    if not x.rank:
        return None
    kind, rank = net.pick(5), x.rank
    if kind == 0:
        return net.add("Pad", x, pads=tuple((net.pick(2), 0) for _ in range(rank)))
    if kind == 1:
        begin = tuple(net.pick(d) for d in x.shape)
        size = tuple(d - b for d, b in zip(x.shape, begin, strict=True))
        return net.add("Slice", x, begin=begin, size=size, stride=(1,) * rank)
    if kind == 2:
        return net.add("Reverse", x, axes=(net.pick(rank),))
    if kind == 3:
        return net.add("Tile", x, multiples=tuple(1 + net.pick(2) for _ in range(rank)))
    return net.add("BroadcastTo", x, shape=x.shape)


def _ones(net: RandomLine, x: Value) -> Value:
    shape = [d for d in x.shape if d != 1 or net.pick(2)]
    if net.pick(2):
        shape.insert(net.pick(len(shape) + 1), 1)
    if net.pick(5) == 0:
        shape = [x.size]
    return net.shaped(x, *shape)


def _dense(net: RandomLine, x: Value) -> Value | None:
    return net.add("FullyConnected", x, net.const(4, x.shape[-1])) if x.rank > 1 else None


FRAGMENTS = [
    _layer, _unary, _norm, _constant, _pair, _join, _reduce, _move, _ones, _dense,
    _layer, _unary, _pair, _layer, _ones,
]  # fmt: skip
