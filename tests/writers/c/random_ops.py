"""Random quantized graphs of one operator, in the text form."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Graph
from edgepack.ir.text import parse

ACTIVATIONS = ("none", "none", "relu", "relu6")


class Draw:
    """One random graph after another from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def scale(self, low: float = 0.004, high: float = 0.2) -> float:
        return float(np.float32(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def quant(self) -> str:
        return f"q({self.scale():.9g}, {self.whole(-128, 127)})"

    def pick(self, *choices: str) -> str:
        return choices[self.whole(0, len(choices) - 1)]

    def graph(self) -> Graph:
        """A graph of one operator, chosen at random."""
        ops = (
            self.convolution, self.depthwise, self.dense, self.pool, self.binary, self.mean,
            self.softmax, self.concat, self.pad, self.transpose, self.transposed,
        )  # fmt: skip
        return parse(ops[self.whole(0, len(ops) - 1)]())

    # -- operators ---------------------------------------------------------------------------------

    def convolution(self) -> str:
        groups = self.whole(1, 3) if self.whole(0, 3) == 0 else 1
        depth, outs = self.whole(1, 9), self.whole(1, 9)
        return self._window("Conv2d", depth * groups, f"{outs * groups}", depth, 0, groups)

    def depthwise(self) -> str:
        depth = self.whole(1, 9)
        times = self.whole(2, 3) if self.whole(0, 3) == 0 else 1
        return self._window("DepthwiseConv2d", depth, "1", depth * times, 3, 1)

    def _window(self, op: str, depth: int, first: str, last: int, axis: int, groups: int) -> str:
        kernel = self.whole(1, 4), self.whole(1, 4)
        stride = self.whole(1, 3), self.whole(1, 3)
        dilation = (self.whole(1, 2), self.whole(1, 2)) if stride == (1, 1) else (1, 1)
        sizes = [self.whole((k - 1) * d + 1, 12) for k, d in zip(kernel, dilation, strict=True)]
        wider = 3 if self.whole(0, 4) == 0 else 0  # windows that lie in the padding
        most = [(k - 1) * d + wider for k, d in zip(kernel, dilation, strict=True)]
        pads = [(self.whole(0, m), self.whole(0, m)) for m in most]
        if self.whole(0, 2) == 0:
            pads = [(0, 0), (0, 0)]
        count = int(first) if axis == 0 else last
        input_scale = self.scale()
        scales = [self.scale() for _ in range(count)]
        steps = ", ".join(f"{s:.9g}" for s in scales)
        bias = ", ".join(f"{np.float32(s * input_scale):.9g}" for s in scales)
        attrs = f'stride={stride}, dilation={dilation}, pad={tuple(pads)}, activation="'
        attrs += self.pick(*ACTIVATIONS) + '"' + (f", groups={groups}" if groups > 1 else "")
        out_scale = input_scale * float(np.mean(scales)) * self.scale(10, 400)
        batch = 2 if self.whole(0, 4) == 0 else 1
        zero = self.whole(-128, 127)
        return (
            f"x: int8[{batch}, {sizes[0]}, {sizes[1]}, {depth}] @ q({input_scale:.9g}, {zero}) "
            f"= input()\n"
            f"w: int8[{first}, {kernel[0]}, {kernel[1]}, {last}] @ q([{steps}], axis={axis}) "
            f"= random()\n"
            f"b: int32[{count}] @ q([{bias}], axis=0) = random()\n"
            f"y: q({out_scale:.9g}, {self.whole(-128, 127)}) = {op}(x, w, b, {attrs})\noutput(y)"
        )

    def transposed(self) -> str:
        kernel, stride = self.whole(1, 4), self.whole(1, 3)
        depth, outs = self.whole(1, 5), self.whole(1, 5)
        return (
            f"x: int8[1, {self.whole(1, 5)}, {self.whole(1, 5)}, {depth}] @ {self.quant()} "
            f"= input()\n"
            f"w: int8[{outs}, {kernel}, {kernel}, {depth}] @ q(0.01, 0) = random()\n"
            f"y: {self.quant()} = ConvTranspose2d(x, w, stride=({stride}, {stride}))\noutput(y)"
        )

    def dense(self) -> str:
        rows, depth, outs = self.whole(1, 5), self.whole(1, 70), self.whole(1, 20)
        a, b = self.scale(), self.scale()
        return (
            f"x: int8[{rows}, {depth}] @ q({a:.9g}, {self.whole(-128, 127)}) = input()\n"
            f"w: int8[{outs}, {depth}] @ q({b:.9g}, 0) = random()\n"
            f"b: int32[{outs}] @ q({np.float32(a * b):.9g}, 0) = random()\n"
            f"y: q({a * b * self.scale(10, 400):.9g}, {self.whole(-128, 127)}) = "
            f'FullyConnected(x, w, b, activation="{self.pick(*ACTIVATIONS)}")\noutput(y)'
        )

    def pool(self) -> str:
        kernel = self.whole(1, 4), self.whole(1, 4)
        sizes = [self.whole(k, 11) for k in kernel]
        pads = tuple((self.whole(0, k - 1), self.whole(0, k - 1)) for k in kernel)
        quant = self.quant()
        return (
            f"x: int8[1, {sizes[0]}, {sizes[1]}, {self.whole(1, 7)}] @ {quant} = input()\n"
            f"y: {quant} = {self.pick('MaxPool2d', 'AveragePool2d')}(x, kernel={kernel}, "
            f"stride={(self.whole(1, 3), self.whole(1, 3))}, pad={pads}, "
            f'activation="{self.pick(*ACTIVATIONS)}")\noutput(y)'
        )

    def _shape(self, most: int = 4) -> list[int]:
        return [self.whole(1, 6) for _ in range(self.whole(1, most))]

    def binary(self) -> str:
        shape = self._shape()
        other = [n if self.whole(0, 2) else 1 for n in shape][self.whole(0, len(shape) - 1) :]
        one, two = (shape, other) if self.whole(0, 1) else (other, shape)
        op = self.pick("Add", "Sub", "Mul", "SquaredDifference", "Less")
        note = "" if op == "Less" else f": {self.quant()}"
        return (
            f"a: int8{one} @ {self.quant()} = input()\nb: int8{two} @ {self.quant()} = input()\n"
            f"y{note} = {op}(a, b)\noutput(y)"
        )

    def mean(self) -> str:
        shape = [self.whole(1, 5) for _ in range(4)]
        axes = tuple(d for d in range(4) if self.whole(0, 1)) or (1, 2)
        op = self.pick("ReduceMean", "ReduceSum")
        return (
            f"x: int8{shape} @ {self.quant()} = input()\n"
            f"y: {self.quant()} = {op}(x, axes={axes}, keepdims={self.pick('True', 'False')})\n"
            f"output(y)"
        )

    def softmax(self) -> str:
        shape = [*self._shape(2), self.whole(1, 40)]
        return (
            f"x: int8{shape} @ {self.quant()} = input()\n"
            f"y: q(0.00390625, -128) = Softmax(x)\noutput(y)"
        )

    def concat(self) -> str:
        shape, axis, quant = self._shape(), 0, self.quant()
        axis = self.whole(0, len(shape) - 1)
        other = [self.whole(1, 6) if d == axis else n for d, n in enumerate(shape)]
        second = quant if self.whole(0, 1) else self.quant()
        return (
            f"a: int8{shape} @ {quant} = input()\nb: int8{other} @ {second} = input()\n"
            f"y: {quant} = Concat(a, b, axis={axis})\noutput(y)"
        )

    def pad(self) -> str:
        shape, quant = self._shape(), self.quant()
        pads = tuple((self.whole(0, 2), self.whole(0, 2)) for _ in shape)
        return f"x: int8{shape} @ {quant} = input()\ny: {quant} = Pad(x, pads={pads})\noutput(y)"

    def transpose(self) -> str:
        shape, quant = self._shape(), self.quant()
        perm = tuple(int(d) for d in self.rng.permutation(len(shape)))
        return (
            f"x: int8{shape} @ {quant} = input()\ny: {quant} = Transpose(x, perm={perm})\noutput(y)"
        )
