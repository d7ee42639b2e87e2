"""Random graphs out of everything that the layout rules know, driven by a list of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepack.ir import Graph, Value
from edgepack.ir.shapes import broadcast

_LIMIT = 4096  # elements of a value


class RandomNet:
    """Each number picks an operator, then its operands and attributes from what is there."""

    def __init__(self, choices: Sequence[int], layout: str) -> None:
        self.graph = Graph()
        self.layout = layout
        self.rng = np.random.default_rng(abs(hash(tuple(choices))) % 2**32)
        shape = (1, 4, 6, 6) if layout == "NCHW" else (1, 6, 6, 4)
        self.pool = [self.graph.add_input("x", shape)]
        for choice in choices:
            self._step(_STEPS[choice % len(_STEPS)])
        self.graph.outputs = self._outputs()

    def _outputs(self) -> list[Value]:
        ends = [v for v in self.pool if not v.users and v.producer is not None]
        extra = [v for v in self.pool if v.producer is not None][: self.pick(2)]
        return list(dict.fromkeys(ends + extra))

    def _step(self, build: Callable[[RandomNet, Value], Value | None]) -> None:
        recent = self.pool[-4:]
        value = build(self, recent[self.pick(len(recent))])
        if value is not None:
            self.pool.append(value)

    def pick(self, count: int) -> int:
        return int(self.rng.integers(count))

    def perm(self, rank: int) -> tuple[int, ...]:
        if rank == 4 and self.pick(2):
            return [(0, 2, 3, 1), (0, 3, 1, 2)][self.pick(2)]
        return tuple(int(i) for i in self.rng.permutation(rank))

    def const(self, *shape: int) -> Value:
        return self.graph.constant(self.rng.standard_normal(shape).astype(np.float32))

    def add(self, op: str, *inputs: Value, **attrs: object) -> Value:
        return self.graph.add(op, inputs, attrs)

    def channels(self, x: Value) -> int:
        return x.shape[1] if self.layout == "NCHW" else x.shape[-1]


def _conv(net: RandomNet, x: Value) -> Value | None:
    if x.rank != 4:
        return None
    return net.add("Conv2d", x, net.const(3 + net.pick(3), 1, 1, net.channels(x)),
                   layout=net.layout)  # fmt: skip


def _pool(net: RandomNet, x: Value) -> Value | None:
    return net.add("MaxPool2d", x, kernel=(1, 1), layout=net.layout) if x.rank == 4 else None


def _unary(net: RandomNet, x: Value) -> Value:
    return net.add(["Relu", "Sigmoid", "Neg"][net.pick(3)], x)


def _binary(net: RandomNet, x: Value) -> Value | None:
    other = net.pool[net.pick(len(net.pool))]
    try:
        shape = broadcast(x.shape, other.shape)
    except ValueError:
        return None
    return net.add("Add", x, other) if np.prod(shape) <= _LIMIT else None


def _binary_const(net: RandomNet, x: Value) -> Value:
    shape = x.shape[net.pick(x.rank + 1) :]
    shape = tuple(1 if net.pick(3) == 0 else d for d in shape)
    pair = (x, net.const(*shape))
    return net.add("Mul", *(pair if net.pick(2) else pair[::-1]))


def _transpose(net: RandomNet, x: Value) -> Value:
    return net.add("Transpose", x, perm=net.perm(x.rank))


def _reshape(net: RandomNet, x: Value) -> Value:
    shape = list(x.shape)
    at = net.pick(len(shape)) if shape else 0
    kind = net.pick(4)
    if kind == 0 and at + 1 < len(shape):  # merge
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
    elif kind == 1 and at < len(shape) and shape[at] % 2 == 0 and len(shape) < 5:  # split
        shape[at : at + 1] = [2, shape[at] // 2]
    elif kind == 2 and len(shape) < 5:
        shape.insert(at, 1)
    elif kind == 3 and 1 in shape and len(shape) > 1:
        shape.remove(1)
    return net.add("Reshape", x, shape=tuple(shape))


def _flatten_dense(net: RandomNet, x: Value) -> Value | None:
    if x.rank < 2:
        return None
    flat = net.add("Reshape", x, shape=(x.shape[0], x.size // x.shape[0]))
    flat = _unary(net, _binary_const(net, flat)) if net.pick(2) else flat
    return net.add("FullyConnected", flat, net.const(4, flat.shape[1]), net.const(4))


def _unflatten(net: RandomNet, x: Value) -> Value | None:
    if x.rank != 2:
        return None
    y = net.add("FullyConnected", x, net.const(24, x.shape[1]), net.const(24))
    y = _binary_const(net, y) if net.pick(2) else y
    return net.add("Reshape", y, shape=(x.shape[0], 4, 2, 3))


def _concat(net: RandomNet, x: Value) -> Value | None:
    axis = net.pick(x.rank) if x.rank else 0

    def rest(v: Value) -> tuple[int, ...]:
        return v.shape[:axis] + v.shape[axis + 1 :]

    small = [v for v in net.pool if v.rank == x.rank > 0 and v.size <= _LIMIT // 4]
    fits = [v for v in small if rest(v) == rest(x)]
    return net.add("Concat", x, *fits[:2], axis=axis - x.rank * net.pick(2)) if fits else None


def _split(net: RandomNet, x: Value) -> Value | None:
    axes = [i for i, d in enumerate(x.shape) if d > 1]
    if not axes:
        return None
    axis = axes[net.pick(len(axes))]
    sizes = (1, x.shape[axis] - 1)
    parts = net.graph.add_multi("Split", [x], {"axis": axis, "sizes": sizes})
    net.pool.append(parts[0])
    return parts[1]


def _slice(net: RandomNet, x: Value) -> Value:
    size = tuple(max(1, (d + 1) // 2) for d in x.shape)
    return net.add("Slice", x, begin=(0,) * x.rank, size=size,
                   stride=tuple(1 if d < 3 else 2 for d in x.shape))  # fmt: skip


def _pad(net: RandomNet, x: Value) -> Value | None:
    pads = tuple((net.pick(2), net.pick(2)) for _ in x.shape)
    return net.add("Pad", x, pads=pads) if x.rank and x.size <= _LIMIT // 16 else None


def _reduce(net: RandomNet, x: Value) -> Value | None:
    axes = tuple(i for i in range(x.rank) if net.pick(2))
    return net.add("ReduceMean", x, axes=axes, keepdims=bool(net.pick(2)))


def _axis(net: RandomNet, x: Value) -> Value | None:
    if not x.rank:
        return None
    axis = net.pick(x.rank)
    kind = net.pick(5)
    if kind == 0:
        return net.add("Softmax", x, axis=axis - x.rank)
    if kind == 1:
        stats = [net.const(x.shape[axis]) for _ in range(3)]
        ones = net.graph.constant(np.ones(x.shape[axis], np.float32))
        return net.add("BatchNorm", x, *stats, ones, axis=axis)
    if kind == 2:
        index = net.pick(x.shape[axis])
        data = np.array(index if net.pick(2) else [index, 0], np.int64)
        return net.add("Gather", x, net.graph.constant(data), axis=axis)
    if kind == 3:
        return net.add("Reverse", x, axes=(axis,))
    return net.add("CumSum", x, axis=axis)


def _tile(net: RandomNet, x: Value) -> Value | None:
    return (
        net.add("Tile", x, multiples=(1,) * (x.rank - 1) + (2,))
        if x.rank and x.size <= 512
        else None
    )


def _last(net: RandomNet, x: Value) -> Value | None:
    if not x.rank:
        return None
    kind = net.pick(3)
    if kind == 0:
        return net.add("FullyConnected", x, net.const(3, x.shape[-1]))
    if kind == 1:
        return net.add("LayerNorm", x, net.const(x.shape[-1]), None)
    return net.add("L2Norm", x)


def _matmul(net: RandomNet, x: Value) -> Value | None:
    if x.rank < 2 or x.shape[-1] * x.size > _LIMIT:
        return None
    return net.add("MatMul", x, x, adj_b=True)


_STEPS = (
    _conv, _conv, _conv, _pool, _unary, _binary, _binary, _binary_const, _transpose, _reshape,
    _reshape, _flatten_dense, _unflatten, _concat, _split, _slice, _pad, _reduce, _axis, _axis,
    _tile, _last, _matmul,
)  # fmt: skip


def random_graph(choices: Sequence[int], layout: str) -> Graph:
    """A graph of about as many nodes as there are numbers; spatial operators in `layout`."""
    return RandomNet(choices, layout).graph
