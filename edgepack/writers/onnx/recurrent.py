"""The LSTM."""

from __future__ import annotations

import numpy as np

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Array, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need

_IOFC = (0, 3, 1, 2)  # ONNX's order of the gates, out of input, forget, cell, output


@lowers("Lstm")
def lstm(node: Node, out: OnnxBuilder) -> None:
    """LSTM. Legal form: `is_whole`. Raises Unsupported for what has no form at all."""
    if not has_form(node):
        problem = "computed weights, or layer normalization"
        finding = Finding(node.name, node.op, str(node.output.dtype), problem)
        raise Unsupported("no ONNX form for this LSTM", [finding])
    need(is_whole(node), node, "clips its cell or projects")
    _whole(node, out, Gates(node))


def has_form(node: Node) -> bool:
    """Whether its weights are known, and it does not normalize its gates."""
    return not any(node.inputs[20:]) and all(v.is_const for v in node.inputs[1:18] if v is not None)


def is_whole(node: Node) -> bool:
    """Whether it is an LSTM of ONNX: the cell is not clipped, the hidden state not projected."""
    return node.optional(16) is None and not node.attrs["cell_clip"]


class Gates:
    """The weights of input, forget, cell and output gate, one list each; real numbers.

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


def _gates(node: Node, first: int, default: Array | None = None) -> list[Array]:
    values = [node.optional(i) for i in range(first, first + 4)]
    arrays = [default if v is None else v.real.astype(np.float32) for v in values]
    if node.optional(1) is None:
        forget = arrays[1]
        assert forget is not None
        arrays[0] = -forget
    return [a for a in arrays if a is not None]


def _whole(node: Node, out: OnnxBuilder, gates: Gates) -> None:
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
