"""The quantized LSTM, bit for bit as TensorFlow Lite Micro's.

Gates are sums in units of 2**-12, activations 16-bit in units of 2**-15, the cell 16-bit in its own
power of two; input, output and hidden state are 8-bit (or 16-bit).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from edgepack.ir import Array, DType, Node, Value
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_activation import sigmoid16, tanh16
from edgepack.kernels.quantized_scale import double, exact_matmul, offset, refuse, scale, zero
from edgepack.kernels.recurrent import given
from edgepack.kernels.registry import quantized

GATE_SCALE: Final = 2.0**-12
UNIT: Final = np.float32(2.0**-15)  # of what sigmoid and tanh give
_ABSENT: Final = (1, 5, 9, 10, 11, 16, 17, 20, 21, 22, 23)  # 1 and 5 must be there instead


@quantized("Lstm")
def lstm(node: Node, *inputs: Array | None) -> Array:
    """Every hidden state of the steps. Raises Unsupported for peepholes, projections and the like.

    A step's four gates are those of `inputs` 1..4 (input), 5..8 (recurrent) and 12..15 (bias).
    """
    check_lstm(node)
    x, h, c = given(inputs, 0), given(inputs, 18), given(inputs, 19)
    steps = x if node.attrs["time_major"] else np.swapaxes(x, 0, 1)
    cell = c.astype(np.int64)
    outputs = []
    for step in steps:
        h, cell = _step(node, inputs, step, h, cell)
        outputs.append(h)
    y = np.stack(outputs)
    return y if node.attrs["time_major"] else np.swapaxes(y, 0, 1)


def check_lstm(node: Node) -> None:
    """Raise Unsupported for what the kernel lacks."""
    present = [node.optional(i) is not None for i in range(24)]
    if not (present[1] and present[5]) or any(present[i] for i in _ABSENT[2:]):
        raise refuse(node, "only LSTM without peepholes, projection, coupling or normalization")
    if node.input(19).dtype is not DType.INT16:
        raise refuse(node, "only a 16-bit cell state")


def _step(
    node: Node, inputs: tuple[Array | None, ...], step: Array, h: Array, cell: fp.Ints
) -> tuple[Array, fp.Ints]:
    cell_value, hidden = node.input(19), node.input(18)
    sums = [_gate_sum(node, inputs, gate, step, h) for gate in range(4)]
    enter, forget, leave = (sigmoid16(sums[i], 3, 0) for i in (0, 1, 3))
    candidate = tanh16(sums[2], 3, 0)
    kept = _product(forget, cell, (UNIT, scale(cell_value)), cell_value)
    added = _product(enter, candidate, (UNIT, UNIT), cell_value)
    cell = np.clip(kept + added, -(2**15), 2**15 - 1)
    cell = _clipped_cell(node, cell)
    shown = tanh_of_cell(cell_value, cell)
    y = _product(shown, leave, (UNIT, UNIT), hidden)
    return y.astype(hidden.dtype.numpy), cell


def _gate_sum(
    node: Node, inputs: tuple[Array | None, ...], gate: int, step: Array, h: Array
) -> fp.Ints:
    from_input = _matrix(node, inputs, 1 + gate, 0, step, inputs[12 + gate])
    from_hidden = _matrix(node, inputs, 5 + gate, 18, h, None)
    return np.asarray(np.clip(from_input + from_hidden, -(2**15), 2**15 - 1), np.int64)


def _matrix(
    node: Node, inputs: tuple[Array | None, ...], weight: int, source: int, x: Array,
    bias: Array | None,
) -> fp.Ints:  # fmt: skip
    """One product in units of the gates, saturated to 16 bits."""
    value = node.input(source)
    filters = offset(node.input(weight), given(inputs, weight))
    sums = exact_matmul(offset(value, x), filters.T)
    sums = sums if bias is None else sums + bias.astype(np.int64)
    real = double(scale(value) * scale(node.input(weight))) / GATE_SCALE
    multiply = fp.multiply if value.dtype is DType.INT8 else fp.multiply_wide
    y = multiply(sums, *fp.quantize_multiplier(real))
    return np.asarray(np.clip(y, -(2**15), 2**15 - 1), np.int64)


def _product(a: Array, b: Any, scales: tuple[np.float32, np.float32], target: Value) -> fp.Ints:
    real = double(scales[0]) * double(scales[1]) / double(scale(target))
    product = a.astype(np.int64) * b.astype(np.int64)
    y = fp.multiply(product, *fp.quantize_multiplier(real)) + zero(target)
    return np.asarray(np.clip(y, *target.dtype.limits), np.int64)


def _clipped_cell(node: Node, cell: fp.Ints) -> fp.Ints:
    limit = cell_limit(node)
    return cell if limit is None else np.asarray(np.clip(cell, -limit, limit), np.int64)


def cell_limit(node: Node) -> int | None:
    """The largest integer that `cell_clip` leaves the cell; None without one."""
    limit = node.attrs["cell_clip"]
    return None if limit <= 0 else int(min(limit / float(scale(node.input(19))), 32767.0))


def tanh_of_cell(value: Value, cell: fp.Ints) -> Array:
    """Tanh of the cell's integers, in units of 2**-15."""
    shift = 12 + round(float(np.log2(scale(value))))
    curve = partial(tanh16, cell)
    return curve(3, -shift) if shift < 0 else curve(3 << shift, 0)
