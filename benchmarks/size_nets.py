"""Random small int8 networks, in the text form, on which compilers' calls are measured."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Graph
from edgepack.ir.text import parse


def random_net(seed: int, layers: int) -> Graph:
    """A network of about so many layers: convolutions, sums, what moves data, a classifier."""
    return parse(_Net(seed).text(layers))


class _Net:
    """The text of one network as it grows; `shape` is that of the last value."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lines: list[str] = []
        self.shape = (self._whole(6, 24), self._whole(4, 20), self._whole(1, 4))
        self.last, self.scale = "x0", 0.1
        self.last_of: dict[tuple[int, ...], tuple[str, float]] = {}
        self.count = 0

    def text(self, layers: int) -> str:
        """The whole of it."""
        height, width, depth = self.shape
        self.lines.append(f"x0: int8[1, {height}, {width}, {depth}] @ q(0.1, 3) = input()")
        if self._whole(0, 3) == 0:
            self.lines.append(f"z: int8[1, {height}, {width}, {depth}] @ q(0.1, 5) = input()")
            self._emit("q(0.1, -5)", "Add(x0, z)")
        self._layer("conv")
        for _ in range(layers):
            kinds = ["depthwise", "point", "point", "conv", "add", "add", "pool", "move", "gate"]
            self._layer(kinds[self._whole(0, len(kinds) - 1)])
        end = self._whole(0, 2)
        if end:
            self._layer("dense")
        if end == 2:
            self.scale = 0.00390625
            self._emit("q(0.00390625, -128)", f"Softmax({self.last})")
        ends = [self.last]
        if self._whole(0, 3) == 0:
            ends += [name for name, _ in self.last_of.values() if name != self.last][:2]
        return "\n".join([*self.lines, f"output({', '.join(ends)})"])

    def _whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _emit(self, quant: str, call: str) -> None:
        self.count += 1
        self.last = f"x{self.count}"
        self.lines.append(f"{self.last}: {quant} = {call}")

    def _layer(self, kind: str) -> None:
        getattr(self, f"_{kind}")()
        if self.shape and kind != "dense":
            self.last_of[self.shape] = self.last, self.scale

    def _weights(self, shape: tuple[int, ...], outs: int, axis: int) -> str:
        steps = ", ".join(["0.01"] * outs)
        bias = ", ".join([f"{np.float32(0.01) * np.float32(self.scale):.9g}"] * outs)
        n = self.count
        self.lines.append(f"w{n}: int8{list(shape)} @ q([{steps}], axis={axis}) = random()")
        self.lines.append(f"b{n}: int32[{outs}] @ q([{bias}], axis=0) = random()")
        return f"{self.last}, w{n}, b{n}"

    def _window(self, op: str, outs: int, size: int, *, same: bool = False) -> None:
        height, width, depth = self.shape
        first = (1, size, size, outs) if op == "DepthwiseConv2d" else (outs, size, size, depth)
        given = self._weights(first, outs, 3 if op == "DepthwiseConv2d" else 0)
        halved = size > 1 and min(height, width) > 4 and not same and self._whole(0, 3) == 0
        stride = 2 if halved else 1
        pad = size // 2
        self.scale = 0.1
        attrs = f"stride=({stride}, {stride}), pad=(({pad}, {pad}), ({pad}, {pad}))"
        self._emit("q(0.1, -5)", f'{op}({given}, {attrs}, activation="relu")')
        height, width = ((n + 2 * pad - size) // stride + 1 for n in (height, width))
        self.shape = (height, width, outs)

    def _conv(self) -> None:
        self._window("Conv2d", self._whole(3, 20), 3)

    def _depthwise(self) -> None:
        self._window("DepthwiseConv2d", self.shape[2], 3)

    def _point(self) -> None:
        self._window("Conv2d", self._whole(3, 24), 1)

    def _add(self) -> None:
        other, scale = self.last_of.get(self.shape, (self.last, self.scale))
        if other == self.last:
            self._window("DepthwiseConv2d", self.shape[2], 3, same=True)
        self.scale = 0.2 if scale == self.scale else scale
        self._emit(f"q({self.scale}, 2)", f"Add({self.last}, {other})")

    def _pool(self) -> None:
        height, width, depth = self.shape
        if min(height, width) < 4:
            return self._point()
        self._emit(f"q({self.scale}, -5)", f"MaxPool2d({self.last}, kernel=(2, 2), stride=(2, 2))")
        self.shape = (height // 2, width // 2, depth)
        return None

    def _move(self) -> None:
        height, width, depth = self.shape
        self._emit(f"q({self.scale}, -5)", f"Transpose({self.last}, perm=(0, 2, 1, 3))")
        self.shape = (width, height, depth)

    def _gate(self) -> None:
        """A factor for each channel: calls in loops."""
        x = self.last
        self._emit(f"q({self.scale}, 0)", f"ReduceMean({x}, axes=(1, 2), keepdims=True)")
        self._emit("q(0.25, 7)", f"Mul({x}, {self.last})")
        self.scale = 0.25

    def _dense(self) -> None:
        self._emit(f"q({self.scale}, 0)", f"ReduceMean({self.last}, axes=(1, 2), keepdims=False)")
        outs = self._whole(2, 12)
        given = self._weights((outs, self.shape[2]), outs, 0)
        self._emit("q(0.1, 4)", f"FullyConnected({given})")
        self.scale = 0.1
