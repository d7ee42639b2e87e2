"""The LSTM and SVDF where ONNX has no operator for them: real numbers, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.activations import UNFUSED
from edgepack.passes.match import supersede, take_over
from edgepack.passes.onnx.rules import legalizes
from edgepack.passes.rules import Maker
from edgepack.writers.onnx.recurrent import Gates, has_form, is_whole


@legalizes("Lstm")
def lstm_by_steps(graph: Graph, node: Node) -> bool:
    """c' = clip(f * c + i * g), h' = project(o * tanh(c')) for every step.

    ONNX's LSTM neither clips its cell nor projects the hidden state.
    """
    if is_whole(node) or not has_form(node):
        return False
    make, axis = Maker(graph, node), 0 if node.attrs["time_major"] else 1
    x, h, c = (_real(make, node.input(i)) for i in (0, 18, 19))
    step, outputs = _Step.of(make, node), []
    for part in _slices(make, x, axis):
        h, c = step(part, h, c)
        shape = (h.shape[0], 1, h.shape[1]) if axis else (1, *h.shape)
        outputs.append(make("Reshape", h, attrs={"shape": shape}))
    _store(make, node, make("Concat", *outputs, attrs={"axis": axis}))
    return True


def _slices(make: Maker, x: Value, axis: int) -> list[Value]:
    """[batch, features] of each step."""
    count, shape = x.shape[axis], (x.shape[1 - axis], x.shape[2])
    parts = make.parts("Split", x, attrs={"axis": axis, "sizes": (1,) * count})
    return [make("Reshape", part, attrs={"shape": shape}) for part in parts]


@dataclass(frozen=True, slots=True)
class _Step:
    """One step; weights, recurrent weights and biases of input, forget, cell and output gate."""

    make: Maker
    node: Node
    w: list[Value]
    r: list[Value]
    b: list[Value]
    peepholes: list[Value] | None
    projection: Value | None
    projection_bias: Value | None

    @classmethod
    def of(cls, make: Maker, node: Node) -> _Step:
        gates, graph = Gates(node), make.graph
        w, r, b = (
            [graph.constant(a, f"{node.name}/{name}") for a in arrays]
            for name, arrays in (("w", gates.inputs), ("r", gates.recurrent), ("b", gates.biases))
        )
        peep = gates.peepholes
        parts = (node.optional(16), node.optional(17))
        projection, bias = (
            None if v is None else graph.constant(v.real.astype("float32"), v.name) for v in parts
        )
        looks = None if peep is None else [graph.constant(p, f"{node.name}/p") for p in peep]
        return cls(make, node, w, r, b, looks, projection, bias)

    def __call__(self, x: Value, h: Value, c: Value) -> tuple[Value, Value]:
        make = self.make
        kept = make("Mul", make("Sigmoid", self._gate(1, x, h, (1, c))), c)
        enter, new = make("Sigmoid", self._gate(0, x, h, (0, c))), make("Tanh", self._gate(2, x, h))
        cell = self._clipped(make("Add", kept, make("Mul", enter, new)), "cell_clip")
        shown = make("Sigmoid", self._gate(3, x, h, (2, cell)))
        return self._projected(make("Mul", shown, make("Tanh", cell))), cell

    def _gate(self, index: int, x: Value, h: Value, peep: tuple[int, Value] | None = None) -> Value:
        make = self.make
        seen = make("FullyConnected", x, self.w[index], self.b[index])
        total = make("Add", seen, make("FullyConnected", h, self.r[index]))
        if peep is None or self.peepholes is None:
            return total
        place, cell = peep
        return make("Add", total, make("Mul", cell, self.peepholes[place]))

    def _projected(self, hidden: Value) -> Value:
        if self.projection is None:
            return hidden
        y = self.make("FullyConnected", hidden, self.projection, self.projection_bias)
        return self._clipped(y, "proj_clip")

    def _clipped(self, x: Value, limit: str) -> Value:
        bound = self.node.attrs[limit]
        return self.make("Clip", x, attrs={"min": -bound, "max": bound}) if bound > 0 else x


@legalizes("Svdf")
def svdf(graph: Graph, node: Node) -> bool:
    """The newest features beside the state without its oldest step, weighted and summed.

    The state is an input: who runs the model feeds it back.
    """
    make, state = Maker(graph, node), node.input(4)
    x, feature, time = (_real(make, node.input(i)) for i in (0, 1, 2))
    filters, memory = time.shape
    newest = make("FullyConnected", x, feature)
    if state.quant is not None and state.dtype is DType.INT8:  # so coarse that it shows
        stored = make("Quantize", newest, attrs={"to": str(state.dtype)})
        stored.quant = state.quant
        newest = make("Dequantize", stored)
    shape = (x.shape[0], filters, memory)
    before = make("Reshape", _real(make, state), attrs={"shape": shape})
    kept = {"begin": (0, 0, 1), "size": (*shape[:2], memory - 1), "stride": (1, 1, 1)}
    latest = make("Reshape", newest, attrs={"shape": (*shape[:2], 1)})
    history = make("Concat", make("Slice", before, attrs=kept), latest, attrs={"axis": 2})
    ranks = (x.shape[0], filters // node.attrs["rank"], node.attrs["rank"] * memory)
    features = make("Reshape", make("Mul", history, time), attrs={"shape": ranks})
    y = make("ReduceSum", features, attrs={"axes": (2,), "keepdims": False})
    if (bias := node.optional(3)) is not None:
        y = make("Add", y, _real(make, bias))
    activation = node.attrs["activation"]
    _store(make, node, y if activation == "none" else make(UNFUSED[activation], y))
    return True


def _real(make: Maker, value: Value) -> Value:
    return value if value.quant is None else make("Dequantize", value)


def _store(make: Maker, node: Node, y: Value) -> None:
    """Let the node's output be the real numbers `y`, quantized if that is."""
    if node.output.quant is None:
        take_over(make.graph, node.output, y)
    else:
        supersede(make.graph, node.output, "Quantize", [y], {"to": str(node.output.dtype)})
