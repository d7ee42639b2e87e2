"""LSTM and SVDF of 8-bit activations; their states last from one run to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.errors import Unsupported
from edgepack.ir import Array, DType, Node, Value
from edgepack.kernels.quantized_activation import SIGMOID
from edgepack.kernels.quantized_lstm import GATE_SCALE, UNIT, cell_limit, check_lstm
from edgepack.kernels.quantized_scale import double, params, scale, zero
from edgepack.writers.c.builder import CBuilder, Refused, lowers, refuse_unless
from edgepack.writers.c.elementwise import pair


@lowers("Lstm")
def lstm(node: Node, out: CBuilder) -> None:
    """Gates of plain LSTM, in the order input, forget, cell, output."""
    x, h, c, y = node.input(0), node.input(18), node.input(19), node.output
    _refuse_lstm(node)
    unit, cell = double(UNIT), double(scale(c))
    limit = cell_limit(node)
    multiplier, shift = _tanh_of_cell(c)
    order = (1, 0) if node.attrs["time_major"] else (0, 1)
    batches, steps = (x.shape[d] for d in order)
    features, units = x.shape[2], y.shape[2]
    fields = out.struct(
        "ep_lstm_t",
        gates=[_gate(node, out, gate) for gate in range(4)],
        sigmoid=out.table(SIGMOID.astype(np.uint16), "sigmoid"),
        kept=pair(unit * cell / cell), added=pair(unit * unit / cell),
        shown=pair(unit * unit / double(scale(h))),
        batches=batches, steps=steps, features=features, units=units,
        x_batch=features * (1 if order[0] else steps),
        x_step=features * (batches if order[0] else 1),
        y_batch=units * (1 if order[0] else steps),
        y_step=units * (batches if order[0] else 1),
        tanh_multiplier=multiplier, tanh_shift=shift,
        cell_limit=32768 if limit is None else limit, zero=zero(h),
    )  # fmt: skip
    hidden, kept = out.state(h), out.state(c)
    out.call("ep_lstm_s8", fields, out.at(x), hidden, kept, out.at(y))


def _refuse_lstm(node: Node) -> None:
    try:
        check_lstm(node)
    except Unsupported as problem:
        raise Refused(problem.findings[0].reason) from problem
    x, h, c, y = node.input(0), node.input(18), node.input(19), node.output
    bytes_only = all(v.dtype is DType.INT8 for v in (x, h, y))
    refuse_unless(bytes_only, f"{x.dtype} input and {h.dtype} state")
    refuse_unless(h.is_const and c.is_const, "states that are computed")


def _tanh_of_cell(cell: Value) -> tuple[int, int]:
    shift = 12 + round(float(np.log2(scale(cell))))
    return (3, -shift) if shift < 0 else (3 << shift, 0)


def _gate(node: Node, out: CBuilder, gate: int) -> dict[str, Any]:
    """An ep_gate_t; products come in units of the gates."""
    fields: dict[str, Any] = {}
    for name, weight, source in (("input", 1 + gate, 0), ("hidden", 5 + gate, 18)):
        w, value = node.input(weight), node.input(source)
        refuse_unless(w.is_const and w.dtype is DType.INT8, f"{w.dtype} weights")
        refuse_unless(not params(w).zero_point.any(), "weights with a zero point")
        bias = node.optional(12 + gate) if name == "input" else None
        given = np.zeros(len(w.const), np.int64) if bias is None else bias.const.astype(np.int64)
        fields[name] = out.table(w.const, f"{node.name}: {name} weights of gate {gate}")
        folded = _folded(given, w.const, value)
        fields[f"{name}_bias"] = out.table(folded, f"{node.name}: bias of gate {gate}")
        fields[f"{name}_scale"] = pair(double(scale(value) * scale(w)) / GATE_SCALE)
    return fields


def _folded(bias: Array, rows: Array, value: Value) -> Array:
    """The bias less the input's zero point times the sum of the weights."""
    folded = bias - zero(value) * rows.astype(np.int64).sum(axis=1)
    reach = np.abs(rows.astype(np.int64)).sum(axis=1) * 128 + np.abs(folded)
    refuse_unless(int(reach.max(initial=0)) < 2**31, "sums beyond 32 bits")
    return np.asarray(folded, np.int32)


@lowers("Svdf")
def svdf(node: Node, out: CBuilder) -> None:
    """A fused activation is ignored, as TensorFlow Lite Micro does."""
    x, w, time, state, y = (
        node.input(0), node.input(1), node.input(2), node.input(4), node.output
    )  # fmt: skip
    bytes_only = all(v.dtype is DType.INT8 for v in (x, w, y))
    same = state.dtype is time.dtype and state.dtype in (DType.INT8, DType.INT16)
    refuse_unless(bytes_only and same, f"{x.dtype} input and {state.dtype} state")
    refuse_unless(w.is_const and time.is_const and state.is_const, "computed weights or state")
    bias, rank = node.optional(3), node.attrs["rank"]
    filters, low, high = len(w.const), *state.dtype.limits
    given = np.zeros(filters // rank, np.int32) if bias is None else bias.const
    features = _folded(np.zeros(filters, np.int64), w.const, x)
    fields = out.struct(
        "ep_svdf_t",
        features=out.table(w.const, f"{node.name}: features"),
        feature_bias=out.table(features, f"{node.name}: bias of features"),
        bias=out.table(given, f"{node.name}: bias"),
        times=out.table(time.const, f"{node.name}: weights of steps"),
        feature_scale=pair(double(scale(x)) * double(scale(w)) / double(scale(state))),
        scale=pair(double(scale(state)) * double(scale(time)) / double(scale(y))),
        batches=x.shape[0], **{"in": x.shape[1]}, filters=filters, memory=time.shape[1], rank=rank,
        state_zero=zero(state), low=low, high=high, zero=zero(y),
    )  # fmt: skip
    kernel = "ep_svdf_s8" if state.dtype is DType.INT8 else "ep_svdf_s16"
    out.call(kernel, fields, out.at(x), out.state(state), out.at(y))
