"""The integer LSTM: what TFLite's kernels want, and how its states are emptied.

Input, output and hidden state have 8 bits (or 16), weights 8 (symmetric, one scale for each of the
eight matrices), biases 32 (or 64), the cell 16 with a power of two for a scale; the sums of the
gates are in units of 2**-12 whatever the data, so that they saturate at 8.

A float graph that was legalized for TFLite has a step in front of the sequence in which a mark
among the features closes the gates (`passes.tflite.recurrent`), with weights that no 8-bit scale
holds beside the others. `soften_resets` says the same with several marks, as large as the features
get, and weights four times as large as the largest others: at -8, sigmoid lets through 3e-4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value
from edgepack.kernels.activation import sigmoid
from edgepack.quantize.options import Precision
from edgepack.quantize.statistics import StatisticsTable

HIDDEN: Final = 18
CELL: Final = 19
WEIGHTS: Final = range(1, 9)
BIASES: Final = range(12, 16)
_SATURATED: Final = 8.5  # where gates saturate, and some room for rounding
_HUGE: Final = 1e3  # no weight that was learned
_MOST_MARKS: Final = 64
_LOUDER: Final = 4.0  # how much larger than the others the weights of marks are
_FINEST, _COARSEST = -15 - 8, -9  # powers of two that the kernels take as a cell's scale
_CELL_UNSEEN: Final = 16.0
_ENTER, _FORGET = 0, 1  # gates
_BIAS: Final = {DType.INT8: DType.INT32, DType.INT16: DType.INT64}  # beside activations


def is_quantizable_lstm(node: Node, precision: Precision) -> bool:
    """Whether an integer kernel serves this LSTM: plain, with constant weights of ordinary size."""
    return (
        precision.weights is DType.INT8
        and precision.activations in _BIAS
        and is_plain(node)
        and all(np.abs(node.input(i).const).max() < _HUGE for i in WEIGHTS)
    )


def is_plain(node: Node) -> bool:
    """Whether this is a float LSTM without peepholes and the like, with constant weights."""
    needed = [*WEIGHTS, *BIASES, HIDDEN, CELL]
    extra = any(v is not None and i not in (0, *needed) for i, v in enumerate(node.inputs))
    real = all(_is_real_constant(node.optional(i)) for i in needed)
    return (
        real
        and not extra
        and node.attrs["activation"] == "tanh"
        and node.input(0).dtype is DType.FLOAT32
        and not any(node.input(i).const.any() for i in (HIDDEN, CELL))
    )


def _is_real_constant(value: Value | None) -> bool:
    return value is not None and value.data is not None and value.dtype is DType.FLOAT32


# -- statistics ------------------------------------------------------------------------------------


def cell_name(node: Node) -> str:
    """The name under which statistics have the cell state of an LSTM, which is no value."""
    return f"{node.name}/cell"


def cell_states(node: Node, x: Array, y: Array) -> Array:
    """The cell after each step, [steps, batch, units], from the LSTM's input and output."""
    time_major = node.attrs["time_major"]
    steps, outputs = (a if time_major else a.swapaxes(0, 1) for a in (x, y))
    before = np.concatenate([node.input(HIDDEN).const[None], outputs[:-1]])
    sums = [_sums(node, gate, steps, before) for gate in range(3)]
    enter, forget, candidate = sigmoid(sums[0]), sigmoid(sums[1]), np.tanh(sums[2])
    cell, found = node.input(CELL).const, []
    for f, added in zip(forget, enter * candidate, strict=True):
        cell = f * cell + added
        found.append(cell)
    return np.stack(found)


def _sums(node: Node, gate: int, steps: Array, hidden: Array) -> Array:
    w, r = node.input(1 + gate).const, node.input(5 + gate).const
    total: Array = steps @ w.T + hidden @ r.T
    return total + node.input(12 + gate).const


# -- emptying the states ---------------------------------------------------------------------------


def soften_resets(
    graph: Graph, seen: StatisticsTable, wanted: Callable[[Node], bool]
) -> tuple[str, ...]:
    """Give LSTMs that start with an emptying step one that 8 bits hold; return their names.

    In place, for those that are `wanted` so; the outputs stay, statistics of the LSTMs' inputs are
    out of date afterwards. One that would take more marks than it has units, or 64, is left alone.
    """
    nodes = [node for node in graph.nodes_of("Lstm") if wanted(node)]
    return tuple(node.name for node in nodes if _soften(graph, node, seen))


def _soften(graph: Graph, node: Node, seen: StatisticsTable) -> bool:
    concat = node.input(0).producer
    if concat is None or concat.op != "Concat" or len(concat.inputs) != 2:
        return False
    x, mark = concat.input(0), concat.input(1)
    if mark.data is None or mark.shape[-1] != 1 or x.name not in seen or not is_plain(node):
        return False
    if np.abs(node.input(1).const[:, -1]).max() < _HUGE:
        return False
    low, high = seen[x.name].low, seen[x.name].high
    size, sign = max(-low, high), -1.0 if high >= -low else 1.0
    count = _marks(node, size)
    if count is None:
        return False
    marks = np.repeat(mark.const, count, axis=-1) * np.float32(-sign * size)
    longer = graph.add("Concat", [x, graph.constant(marks, mark.name)], concat.attrs)
    node.set_input(0, longer)
    for gate in range(4):
        w = node.input(1 + gate).const[:, :-1]
        weight = sign * _LOUDER * np.abs(w).max() if gate in (_ENTER, _FORGET) else 0.0
        columns = np.full((len(w), count), weight, np.float32)
        name = node.input(1 + gate).name
        node.set_input(1 + gate, graph.constant(np.concatenate([w, columns], axis=1), name))
    graph.remove_dead()
    graph.sort()
    return True


def _marks(node: Node, size: float) -> int | None:
    """How many marks of this size close both gates whatever the states are; None for too many."""
    counts = []
    for gate in (_ENTER, _FORGET):
        w, r = node.input(1 + gate).const[:, :-1], node.input(5 + gate).const
        against = np.abs(r).sum(axis=1) + node.input(12 + gate).const
        strength = _LOUDER * float(np.abs(w).max()) * size
        if strength <= 0:
            return None
        counts.append(math.ceil((_SATURATED + float(against.max())) / strength))
    most = min(_MOST_MARKS, node.input(5).shape[0])
    return max(counts) if max(counts) <= most else None


# -- parameters ------------------------------------------------------------------------------------


def cell_params(node: Node, seen: StatisticsTable) -> QuantParams:
    """A power of two for which 16 bits hold the cell states that were seen."""
    found = seen.get(cell_name(node))
    largest = _CELL_UNSEEN if found is None or not found.count else max(-found.low, found.high)
    power = math.ceil(math.log2(max(largest, 1e-6))) - 15
    return QuantParams.per_tensor(2.0 ** min(max(power, _FINEST), _COARSEST))


def quantize_lstm(
    graph: Graph, node: Node, x: QuantParams, y: QuantParams, cell: QuantParams, dtype: DType
) -> None:
    """Put integer constants in the place of the node's real ones; x and y are its activations'.

    `dtype` is the type of these, int8 or int16.
    """
    for index in WEIGHTS:
        value = node.input(index)
        largest = float(np.abs(value.const).max()) or 1.0
        params = QuantParams.per_tensor(largest / DType.INT8.limits[1])
        _set(graph, node, index, params, DType.INT8)
    for gate, index in enumerate(BIASES):
        weight = node.input(1 + gate).quant
        assert weight is not None  # just set
        scale = float(x.scale[0]) * float(weight.scale[0])
        _set(graph, node, index, QuantParams.per_tensor(scale), _BIAS[dtype])
    _set(graph, node, HIDDEN, y, dtype)
    _set(graph, node, CELL, cell, DType.INT16)
    hidden = (float(y.scale[0]), int(y.zero_point[0]))
    node.attrs["intermediates"] = (None, None, None, None, hidden)


def _set(graph: Graph, node: Node, index: int, params: QuantParams, dtype: DType) -> None:
    value = node.input(index)
    stored = params.quantize(value.const, dtype)
    node.set_input(index, graph.constant(stored, f"{value.name}_{dtype}", params))
