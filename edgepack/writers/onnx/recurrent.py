"""The LSTM."""

from __future__ import annotations

import numpy as np

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Array, DType, Node
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers

_IOFC = (0, 3, 1, 2)  # ONNX's order of the gates, out of input, forget, cell, output


@lowers("Lstm")
def lstm(node: Node, out: OnnxBuilder) -> None:
    """LSTM; step by step where the cell is clipped or projected, which that does not do."""
    _need(node.inputs[20:] == () or not any(node.inputs[20:]), node, "layer normalization")
    _need(all(v.is_const for v in node.inputs[1:18] if v is not None), node, "computed weights")
    gates = _Gates(node)
    if gates.projection is None and not node.attrs["cell_clip"]:
        _whole(node, out, gates)
    else:
        _steps(node, out, gates)


def _need(holds: bool, node: Node, problem: str) -> None:
    if not holds:
        finding = Finding(node.name, node.op, str(node.output.dtype), problem)
        raise Unsupported("no ONNX form for this LSTM", [finding])


class _Gates:
    """The weights of input, forget, cell and output gate, one list each.

    Without an input gate i = 1 - f: that is the gate with the negative of f's weights, since
    sigmoid(-z) = 1 - sigmoid(z).
    """

    def __init__(self, node: Node) -> None:
        self.inputs = _gates(node, 1)
        self.recurrent = _gates(node, 5)
        hidden = self.recurrent[1].shape[0]
        self.biases = _gates(node, 12, np.zeros(hidden, np.float32))
        peep = [node.optional(i) for i in (9, 10, 11)]
        self.peepholes = None if not any(peep) else [
            np.zeros(hidden, np.float32) if v is None else v.real for v in peep]  # fmt: skip
        if node.optional(1) is None and self.peepholes is not None:
            self.peepholes[0] = -self.peepholes[1]
        projection = node.optional(16)
        self.projection = None if projection is None else projection.real.astype(np.float32)
        bias = node.optional(17)
        self.projection_bias = None if bias is None else bias.real.astype(np.float32)


def _gates(node: Node, first: int, default: Array | None = None) -> list[Array]:
    values = [node.optional(i) for i in range(first, first + 4)]
    arrays = [default if v is None else v.real.astype(np.float32) for v in values]
    if node.optional(1) is None:
        forget = arrays[1]
        assert forget is not None
        arrays[0] = -forget
    return [a for a in arrays if a is not None]


def _whole(node: Node, out: OnnxBuilder, gates: _Gates) -> None:
    def stacked(parts: list[Array], order: tuple[int, ...] = _IOFC) -> Array:
        return np.concatenate([parts[i] for i in order])[None]

    biases = stacked(gates.biases)
    x, time_major = out.real(node.input(0)), node.attrs["time_major"]
    steps = x if time_major else out.op("Transpose", [x], perm=[1, 0, 2])
    front = out.constant([0], name="axes")
    states = [out.op("Unsqueeze", [out.real(node.input(i)), front]) for i in (18, 19)]
    inputs = [
        steps,
        out.initializer(stacked(gates.inputs), "weights"),
        out.initializer(stacked(gates.recurrent), "recurrent"),
        out.initializer(np.concatenate([biases, np.zeros_like(biases)], axis=1), "bias"),
        "",
        *states,
    ]
    if gates.peepholes is not None:
        inputs.append(out.initializer(stacked(gates.peepholes, (0, 2, 1)), "peepholes"))
    hidden = gates.recurrent[1].shape[0]
    y = out.op("LSTM", inputs, hidden_size=hidden)
    y = out.op("Squeeze", [y, out.constant([1], name="axes")])  # the directions
    if time_major:
        out.store(y, node.output)
    else:
        out.emit("Transpose", [y], node.output, perm=[1, 0, 2])


def _steps(node: Node, out: OnnxBuilder, gates: _Gates) -> None:
    """One Gemm for the inputs of all gates, then the recurrence, step by step."""
    axis = 0 if node.attrs["time_major"] else 1
    x, count = out.real(node.input(0)), node.input(0).shape[axis]
    h, c = out.real(node.input(18)), out.real(node.input(19))
    outputs = []
    for step in range(count):
        place = out.constant(step, name="step")
        part = out.op("Gather", [x, place], axis=axis)
        h, c = _step(node, out, gates, (part, h, c))
        outputs.append(out.op("Unsqueeze", [h, out.constant([axis], name="axes")]))
    out.emit("Concat", outputs, node.output, axis=axis)


def _step(
    node: Node, out: OnnxBuilder, gates: _Gates, state: tuple[str, str, str]
) -> tuple[str, str]:
    x, h, c = state

    def gate(index: int, peep: int | None, cell: str) -> str:
        names = [x, out.initializer(gates.inputs[index], "w"),
                 out.initializer(gates.biases[index], "b")]  # fmt: skip
        recurrent = out.initializer(gates.recurrent[index], "r")
        total = out.op("Gemm", [h, recurrent, out.op("Gemm", names, transB=1)], transB=1)
        if peep is None or gates.peepholes is None:
            return total
        looked = out.op("Mul", [cell, out.initializer(gates.peepholes[peep], "p")])
        return out.op("Add", [total, looked])

    kept = out.op("Mul", [out.op("Sigmoid", [gate(1, 1, c)]), c])
    new = out.op("Tanh", [gate(2, None, c)])
    cell = out.op("Add", [kept, out.op("Mul", [out.op("Sigmoid", [gate(0, 0, c)]), new])])
    cell = _clipped(out, cell, node.attrs["cell_clip"])
    shown = out.op("Sigmoid", [gate(3, 2, cell)])
    hidden = out.op("Mul", [shown, out.op("Tanh", [cell])])
    return _projected(node, out, gates, hidden), cell


def _clipped(out: OnnxBuilder, name: str, limit: float) -> str:
    if limit <= 0:
        return name
    return out.op("Clip", [name, *(out.constant(b, DType.FLOAT32) for b in (-limit, limit))])


def _projected(node: Node, out: OnnxBuilder, gates: _Gates, hidden: str) -> str:
    if gates.projection is None:
        return hidden
    names = [hidden, out.initializer(gates.projection, "projection")]
    if gates.projection_bias is not None:
        names.append(out.initializer(gates.projection_bias, "projection_bias"))
    return _clipped(out, out.op("Gemm", names, transB=1), node.attrs["proj_clip"])


@lowers("Svdf")
def svdf(node: Node, out: OnnxBuilder) -> None:
    """The newest features beside the state without its oldest step, weighted and summed.

    The state is an input: who runs the model feeds it back.
    """
    (x, feature, time), bias, state = node.present_inputs[:3], node.optional(3), node.input(4)
    filters, memory = time.shape
    turned = out.op("Transpose", [out.real(feature)], perm=[1, 0])
    newest = out.op("MatMul", [out.real(x), turned])
    if state.quant is not None and state.dtype is DType.INT8:  # so coarse that it shows
        stored = out.quantize(newest, state.quant, state.dtype)
        newest = out.dequantize(stored, state.quant, state.dtype)
    newest = out.op("Unsqueeze", [newest, out.constant([2], name="axes")])
    shape = out.constant([x.shape[0], filters, memory], name="shape")
    before = out.op("Reshape", [out.real(state), shape])
    bounds = [out.constant([v], name="slice") for v in (1, memory, 2)]
    history = out.op("Concat", [out.op("Slice", [before, *bounds]), newest], axis=2)
    weighted = out.op("Mul", [history, out.real(time)])
    ranks = out.constant([x.shape[0], filters // node.attrs["rank"], -1], name="shape")
    features = out.op("Reshape", [weighted, ranks])
    inputs = [features, out.constant([2], name="axes")]
    if bias is None:
        emit_activated(node, out, "ReduceSum", inputs, keepdims=0)
    else:
        total = out.op("ReduceSum", inputs, keepdims=0)
        emit_activated(node, out, "Add", [total, out.real(bias)])
