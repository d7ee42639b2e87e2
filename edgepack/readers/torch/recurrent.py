"""LSTM, GRU and RNN layers and cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.ir import Array, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.recurrent import (
    GruCell,
    LstmCell,
    RnnCell,
    Run,
    Scan,
    Weights,
    gru,
    in_order,
    lstm,
    rnn,
)
from edgepack.readers.recurrent_activations import RELU, TANH
from edgepack.readers.torch.call import Call, to_numpy
from edgepack.readers.torch.registry import reads

_LSTM_ORDER = (0, 1, 3, 2)  # torch's input, forget, cell, output -> input, forget, output, cell
_GRU_ORDER = (1, 0, 2)  # torch's reset, update, new -> update, reset, new
_RNN_ORDER = (0,)
_ACTIVATIONS = {"tanh": TANH, "relu": RELU}

RunOne = Callable[[Value, Weights, Value | None, Scan], Run]


@reads("aten.lstm.input")
def lstm_layers(call: Call) -> Sequence[Value]:
    """The outputs, the last h and the last c of every layer and direction."""
    h, c = call["hx"]
    wants_cell = 2 in call.used

    def run(x: Value, weights: Weights, projection: Value | None, scan: Scan) -> Run:
        cell = LstmCell(weights, wants_cell=wants_cell, projection=projection)
        return lstm(call, x, cell, scan)

    return _layers(call, _LSTM_ORDER, (h, c), run)


@reads("aten.gru.input")
def gru_layers(call: Call) -> Sequence[Value]:
    """The outputs and the last h of every layer and direction."""

    def run(x: Value, weights: Weights, projection: Value | None, scan: Scan) -> Run:
        return gru(call, x, GruCell(weights), scan)

    return _layers(call, _GRU_ORDER, (call["hx"],), run)


@reads("aten.rnn_tanh.input", "aten.rnn_relu.input")
def rnn_layers(call: Call) -> Sequence[Value]:
    """The outputs and the last h of every layer and direction."""

    def run(x: Value, weights: Weights, projection: Value | None, scan: Scan) -> Run:
        return rnn(call, x, RnnCell(weights, _activation(call)), scan)

    return _layers(call, _RNN_ORDER, (call["hx"],), run)


def _activation(call: Call) -> Any:
    return next(a for name, a in _ACTIVATIONS.items() if f"rnn_{name}" in call.target)


def _layers(
    call: Call, order: tuple[int, ...], states: Sequence[Any], run: RunOne
) -> Sequence[Value]:
    """Each layer reads what the directions of the one before gave, beside each other."""
    if call.get("dropout", 0.0) and call.get("train", False):
        raise Refused("dropout is active although the module is in eval mode")
    x, batch_first = call.value("input"), bool(call["batch_first"])
    parts = _parameters(call, order)
    runs: list[Run] = []
    for _ in range(call["num_layers"]):
        layer: list[Run] = []
        for reverse in (False, True) if call["bidirectional"] else (False,):
            weights, projection = next(parts)
            scan = Scan(batch_first, reverse, *_states(call, states, len(runs) + len(layer)))
            layer.append(run(x, weights, projection, scan))
        steps = [r.steps for r in layer]
        x = call.concat(steps, 2)
        runs += layer
    cells = [r.c for r in runs if r.c is not None]
    return [x, _stacked(call, [r.h for r in runs]), *([_stacked(call, cells)] if cells else [])]


def _stacked(call: Call, values: Sequence[Value]) -> Value:
    """[batch, size] each to [layers * directions, batch, size]."""
    return call.stack(values, 0)


def _states(call: Call, states: Sequence[Any], index: int) -> Iterator[Value]:
    """The initial states of one layer and direction."""
    for state in states:
        if isinstance(state, Value):
            yield call.reshape(call.slice(state, 0, index, 1), state.shape[1:])
        else:
            yield call.as_value(state[index])


# -- weights ---------------------------------------------------------------------------------------


def _parameters(call: Call, order: tuple[int, ...]) -> Iterator[tuple[Weights, Value | None]]:
    """The weights of each layer and direction, and the projection where there is one."""
    params = [_array(p) for p in call["params"]]
    directions = call["num_layers"] * (2 if call["bidirectional"] else 1)
    count = len(params) // directions
    biases = 2 if call["has_biases"] else 0
    for begin in range(0, len(params), count):
        mine = params[begin : begin + count]
        projection = call.const(mine[-1]) if count > 2 + biases else None
        yield _weights(call, order, mine[: 2 + biases]), projection


def _array(tensor: Any) -> Array:
    if isinstance(tensor, Value):
        raise Refused("its weights are computed at run time and must be constants")
    return to_numpy(tensor)


def _weights(call: Call, order: tuple[int, ...], arrays: Sequence[Array]) -> Weights:
    return Weights(*(call.const(in_order(a, order), name="weight") for a in arrays))


# -- cells: one step -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Single:
    """The arguments of a cell: x as a sequence of one step, and its weights."""

    x: Value
    weights: Weights


def _single(call: Call, order: tuple[int, ...]) -> _Single:
    x = call.value("input")
    names = [n for n in ("w_ih", "w_hh", "b_ih", "b_hh") if call.get(n) is not None]
    weights = _weights(call, order, [_array(call[n]) for n in names])
    return _Single(call.reshape(x, (1, *x.shape)), weights)


@reads("aten.lstm_cell")
def lstm_cell(call: Call) -> Sequence[Value]:
    """The next h and c."""
    single, (h, c) = _single(call, _LSTM_ORDER), call["hx"]
    run = lstm(
        call, single.x, LstmCell(single.weights), Scan(h=call.as_value(h), c=call.as_value(c))
    )
    assert run.c is not None, "it was asked for"
    return run.h, run.c


@reads("aten.gru_cell")
def gru_cell(call: Call) -> Value:
    """The next h."""
    single = _single(call, _GRU_ORDER)
    return gru(call, single.x, GruCell(single.weights), Scan(h=call.value("hx"))).h


@reads("aten.rnn_tanh_cell", "aten.rnn_relu_cell")
def rnn_cell(call: Call) -> Value:
    """The next h."""
    single = _single(call, _RNN_ORDER)
    cell = RnnCell(single.weights, _activation(call))
    return rnn(call, single.x, cell, Scan(h=call.value("hx"))).h
