"""Rows of recurrent operators."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.records import Tensor
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.schema import tflite as fmt

_SLOTS: Final = 24
_STATES: Final = {18: "hidden", 19: "cell"}


@reads("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(op: OpView) -> Value:
    """UNIDIRECTIONAL_SEQUENCE_LSTM; its variables become states that start at zero."""
    if op.input_count < 20 or op.input_count > _SLOTS:
        raise BadModel(f"it has {op.input_count} inputs instead of 20 or 24")
    options = op.options("UnidirectionalSequenceLSTMOptions")
    if options.diagonalRecurrentTensors:
        raise Refused("its recurrent weights are diagonal")
    if options.fusedActivationFunction != fmt.schema().ActivationFunctionType.TANH:
        raise Refused(f"its activation {options.fusedActivationFunction} is not tanh")
    x = op.input(0)
    if x.rank != 3:
        raise BadModel(f"the input {list(x.shape)} is not [batch, time, features]")
    batch = x.shape[1 if options.timeMajor else 0]
    inputs = [
        _state(op, i, batch, _STATES[i]) if i in _STATES else op.optional(i)
        for i in range(op.input_count)
    ]
    return op.emit(
        "Lstm", *inputs, cell_clip=float(options.cellClip), proj_clip=float(options.projClip),
        time_major=bool(options.timeMajor), intermediates=_pairs(op.intermediates),
    )  # fmt: skip


def _state(op: OpView, index: int, batch: int, what: str) -> Value:
    tensor = op.input_tensor(index)
    if tensor is None or len(tensor.shape) != 2 or tensor.dtype is None:
        raise BadModel(f"the {what} state is missing or not [batch, units]")
    start = 0 if tensor.quant is None else int(tensor.quant.zero_point[0])
    data = np.full((batch, tensor.shape[1]), start, tensor.dtype.numpy)
    return op.graph.constant(data, tensor.name, tensor.quant)


def _pairs(tensors: tuple[Tensor, ...]) -> tuple[tuple[float, int] | None, ...]:
    return tuple(
        None if t.quant is None else (float(t.quant.scale[0]), int(t.quant.zero_point[0]))
        for t in tensors
    )


@reads("SVDF")
def svdf(op: OpView) -> Value:
    """SVDF; its variable becomes a state that starts at zero."""
    x, options = op.input(0), op.options("SVDFOptions")
    if x.rank != 2:
        raise BadModel(f"the input {list(x.shape)} is not [batch, features]")
    inputs = [x, op.input(1), op.input(2), op.optional(3), _state(op, 4, x.shape[0], "filter")]
    activation = op.activation(options.fusedActivationFunction)
    return op.emit("Svdf", *inputs, rank=options.rank, activation=activation)
