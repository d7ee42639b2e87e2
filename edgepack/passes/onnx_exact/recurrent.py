"""LSTM step by step, and SVDF."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_activation import sigmoid16, tanh16
from edgepack.kernels.quantized_lstm import (
    GATE_SCALE,
    UNIT,
    cell_limit,
    check_lstm,
    tanh_of_cell,
)
from edgepack.kernels.quantized_scale import double, scale, zero
from edgepack.passes.onnx_exact.fixed_point import multiply, multiply_wide, wrap32
from edgepack.passes.onnx_exact.ints import Ints, Table, from_value, joined
from edgepack.passes.onnx_exact.layers import product
from edgepack.passes.onnx_exact.spelling import (
    centred,
    centred_constant,
    constant,
    spells,
    stored,
)

_INT16 = DType.INT16.limits
_GATES = range(4)  # input, forget, candidate, output


@spells("Lstm")
def lstm(graph: Graph, node: Node) -> Ints:
    """What the inputs add to the gates for all steps at once, then the recurrence."""
    check_lstm(node)
    axis = 0 if node.attrs["time_major"] else 1
    x = centred(graph, node, 0)
    from_input = [_matrix(graph, node, x, 0, gate) for gate in _GATES]
    curves = _Curves.of(graph, node)
    h, cell = centred(graph, node, 18), stored(graph, node, 19)
    middle, outputs = zero(node.input(18)), []
    for step in range(x.shape[axis]):
        now = [part.every(axis, step, 1) for part in from_input]
        now = [part.reshaped((part.shape[1 - axis], part.shape[2])) for part in now]
        h, cell = _step(graph, node, curves, now, (h, cell))
        shape = (h.shape[0], 1, h.shape[1]) if axis else (1, *h.shape)
        outputs.append((h + middle).reshaped(shape))
    return joined(outputs, axis)


@dataclass(frozen=True, slots=True)
class _Curves:
    """Tables of 16-bit numbers, the same for every step."""

    sigmoid: Table
    tanh: Table
    tanh_of_cell: Table

    @classmethod
    def of(cls, graph: Graph, node: Node) -> _Curves:
        functions: tuple[Any, ...] = (
            partial(sigmoid16, multiplier=3, shift=0),
            partial(tanh16, multiplier=3, shift=0),
            partial(tanh_of_cell, node.input(19)),
        )
        return cls(*(Table.of(graph, function, *_INT16) for function in functions))


def _step(
    graph: Graph, node: Node, curves: _Curves, now: list[Ints], before: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    """The hidden state less its zero point, and the cell."""
    h, cell = before
    sums = [
        (part + _matrix(graph, node, h, 18, gate)).clipped(*_INT16) for gate, part in enumerate(now)
    ]
    enter, forget, leave = (curves.sigmoid(sums[i]) for i in (0, 1, 3))
    candidate = curves.tanh(sums[2])
    state, hidden = node.input(19), node.input(18)
    kept = _scaled(forget * cell, (UNIT, scale(state)), state)
    added = _scaled(enter * candidate, (UNIT, UNIT), state)
    cell = (kept + added).clipped(*_INT16)
    limit = cell_limit(node)
    cell = cell if limit is None else cell.clipped(-limit, limit)
    shown = curves.tanh_of_cell(cell)
    return _scaled(shown * leave, (UNIT, UNIT), hidden) - zero(hidden), cell


def _matrix(graph: Graph, node: Node, x: Ints, source: int, gate: int) -> Ints:
    """One product in units of the gates, saturated to 16 bits; of the input with the bias."""
    first, value = (1, node.input(0)) if source == 0 else (5, node.input(18))
    weights = node.input(first + gate)
    sums = product(x, centred_constant(node, first + gate))
    bias = node.optional(12 + gate) if source == 0 else None
    total = sums if bias is None else sums + from_value(graph, bias)
    real = double(scale(value) * scale(weights)) / GATE_SCALE
    rounded = multiply if value.dtype is DType.INT8 else multiply_wide
    return rounded(total, *fp.quantize_multiplier(real)).clipped(*_INT16)


def _scaled(numbers: Ints, scales: tuple[np.float32, np.float32], target: Value) -> Ints:
    real = double(scales[0]) * double(scales[1]) / double(scale(target))
    y = multiply(numbers, *fp.quantize_multiplier(real)) + zero(target)
    return y.clipped(*target.dtype.limits)


@spells("Svdf")
def svdf(graph: Graph, node: Node) -> Ints:
    """The features are saturated to the state's type before they are weighted over time."""
    kept, out, time = node.input(4), node.output, constant(node, 2)
    filters, memory = time.shape
    sums = product(centred(graph, node, 0), constant(node, 1).const.astype(np.int64))
    real = double(scale(node.input(0))) * double(scale(node.input(1))) / double(scale(kept))
    newest = multiply(sums, *fp.quantize_multiplier(real)).clipped(*kept.dtype.limits)
    newest = (newest + zero(kept)).clipped(*kept.dtype.limits)
    batch = node.input(0).shape[0]
    before = stored(graph, node, 4).reshaped((batch, filters, memory)).every(2, 1, memory - 1)
    history = joined([before, newest.reshaped((batch, filters, 1))], 2) - zero(kept)
    weighted = (history * time.const.astype(np.int64)).sum((2,), keepdims=False)
    ranks = weighted.reshaped((batch, filters // node.attrs["rank"], node.attrs["rank"]))
    y = ranks.sum((2,), keepdims=False)
    bias = node.optional(3)
    y = y if bias is None else y + from_value(graph, bias)
    last = double(scale(kept)) * double(scale(node.input(2))) / double(scale(out))
    return multiply(wrap32(y), *fp.quantize_multiplier(last)) + zero(out)
