"""The LSTM and SVDF of real numbers."""

from __future__ import annotations

import numpy as np

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Array, Node
from edgepack.kernels.activation import activate, sigmoid
from edgepack.kernels.registry import real


@real("Lstm")
def lstm(node: Node, *inputs: Array | None) -> Array:
    """Every output h of the steps; f, i, o are sigmoids, the candidate and the cell tanh.

    c' = f * c + i * g and h' = o * tanh(c'), then the projection. Without w_i, i = 1 - f.
    """
    x, weights, recurrent = given(inputs, 0), inputs[1:5], inputs[5:9]
    peepholes, biases, h, c = inputs[9:12], inputs[12:16], given(inputs, 18), given(inputs, 19)
    if any(v is not None for v in inputs[20:]):
        finding = Finding(node.name, "Lstm", str(x.dtype), "layer normalization in the gates")
        raise Unsupported("there is no reference kernel", [finding])

    def gate(index: int, step: Array, peep: int | None = None) -> Array:
        w, r, b = given(weights, index), given(recurrent, index), biases[index]
        total: Array = step @ w.T + h @ r.T
        total = total if b is None else total + b
        p = None if peep is None else peepholes[peep]
        return total if p is None else total + c * p

    steps = x if node.attrs["time_major"] else np.swapaxes(x, 0, 1)
    outputs = []
    for step in steps:
        forget = sigmoid(gate(1, step, 1))
        enter = 1 - forget if weights[0] is None else sigmoid(gate(0, step, 0))
        c = _clipped(forget * c + enter * np.tanh(gate(2, step)), node.attrs["cell_clip"])
        h = _projected(node, inputs, sigmoid(gate(3, step, 2)) * np.tanh(c))
        outputs.append(h)
    y = np.stack(outputs)
    return y if node.attrs["time_major"] else np.swapaxes(y, 0, 1)


def given(inputs: tuple[Array | None, ...], index: int) -> Array:
    """An input that must be there: the shape rule asks for all but those of the input gate."""
    array = inputs[index]
    assert array is not None
    return array


def _clipped(x: Array, limit: float) -> Array:
    return np.clip(x, -limit, limit) if limit > 0 else x


def _projected(node: Node, inputs: tuple[Array | None, ...], h: Array) -> Array:
    matrix, bias = inputs[16], inputs[17]
    if matrix is None:
        return h
    y = h @ matrix.T
    return _clipped(y if bias is None else y + bias, node.attrs["proj_clip"])


@real("Svdf")
def svdf(node: Node, x: Array, feature: Array, time: Array, b: Array | None, state: Array) -> Array:
    """The newest features joined to the state's, weighted over time, summed over the rank."""
    history = shifted(state, x @ feature.T, time.shape[1])
    y = (history * time).sum(axis=-1).reshape(len(x), -1, node.attrs["rank"]).sum(axis=-1)
    return activate(node, y if b is None else y + b)


def shifted(state: Array, newest: Array, memory: int) -> Array:
    """[batch, filters, memory]: the state without its oldest step, and the newest one."""
    old = state.reshape(len(state), -1, memory)[:, :, 1:]
    return np.concatenate([old, newest[:, :, None]], axis=-1)
