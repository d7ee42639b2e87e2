"""LSTM, GRU and simple RNN over a sequence of known length, whichever format they come from.

A plain LSTM stays one `Lstm` node, because every format has it: TFLite as
UNIDIRECTIONAL_SEQUENCE_LSTM (float, and on microcontrollers int8 with a 16-bit cell, whose accuracy
no spelling in 8-bit elementwise operators reaches), ONNX as LSTM. Unrolled, it would take eleven
operators for every step: 1.5 KB of file each, and their records in a microcontroller's arena; on a
host both are about as fast. Everything else is unrolled here, at the door: no runtime has a builtin
for a GRU, TFLite's for the simple RNN has no integer kernel and is unknown to microcontrollers, and
their LSTM has neither peepholes nor a projection.

Unrolled, the products with the input are one FullyConnected for all steps together; each step adds
the product with the hidden state and the elementwise part of the cell. A state that starts at zero
costs the first step no product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Emitter
from edgepack.readers.recurrent_activations import SIGMOID, TANH, Activation, apply

# From this many steps on an LSTM is one node; below, its few unrolled nodes need no state at all.
LSTM_NODE_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one direction, constant or computed; gates below one another.

    `w` is [gates * units, in], `r` [gates * units, out], the biases [gates * units]. The gates of
    an LSTM are input, forget, output, cell; those of a GRU update, reset, new.
    """

    w: Value
    r: Value
    w_bias: Value | None = None
    r_bias: Value | None = None

    @property
    def out(self) -> int:
        """Size of the hidden state: the units, or what they are projected to."""
        return self.r.shape[1]


def in_order(array: Array, order: Sequence[int]) -> Array:
    """The gates' rows in another order: the first is that of `order[0]`."""
    gates = np.split(array, len(order))
    return np.concatenate([gates[i] for i in order])


@dataclass(frozen=True, slots=True)
class Scan:
    """How a direction goes over the sequence.

    `h` and `c` are initial states [batch, out] and [batch, units], None for zeros. `lengths`,
    [batch], are the steps that count in each sequence: behind them outputs are zero, states stay.
    """

    batch_first: bool = False
    reverse: bool = False
    h: Value | None = None
    c: Value | None = None
    lengths: Value | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What came out: `steps` in the input's layout and order, the states after the last step."""

    steps: Value
    h: Value
    c: Value | None = None


@dataclass(frozen=True, slots=True)
class LstmCell:
    """The variants of an LSTM.

    `peepholes` are [units] for the gates input, forget, output. `clip` bounds what goes into every
    activation. `coupled` makes the forget gate one minus the input gate. `wants_cell` says whether
    the final cell state is read. `projection` [out, units] makes h out of what the units show.
    """

    weights: Weights
    gate: Activation = SIGMOID
    candidate: Activation = TANH
    shown: Activation = TANH
    peepholes: tuple[Value, Value, Value] | None = None
    clip: float | None = None
    coupled: bool = False
    wants_cell: bool = True
    projection: Value | None = None

    @property
    def units(self) -> int:
        """Size of the cell state."""
        return self.weights.r.shape[0] // 4


@dataclass(frozen=True, slots=True)
class GruCell:
    """The variants of a GRU; with `reset_after` the reset gate scales the product, biased."""

    weights: Weights
    gate: Activation = SIGMOID
    candidate: Activation = TANH
    clip: float | None = None
    reset_after: bool = True


@dataclass(frozen=True, slots=True)
class RnnCell:
    """h' = activation(w x + r h + b)."""

    weights: Weights
    activation: Activation = TANH
    clip: float | None = None


def lstm(b: Emitter, x: Value, cell: LstmCell, scan: Scan) -> Run:
    """An LSTM over x, [time, batch, in] or batch first: one `Lstm` node where it is a plain one."""
    if _is_plain(x, cell, scan):
        return _lstm_node(b, x, cell, scan)
    parts = _projected(b, x, cell.weights, _merged_bias(b, cell.weights), scan)
    return _Loop(b, scan, cell.weights.out).run(
        parts, partial(_lstm_step, b, cell), (scan.h, scan.c)
    )


def gru(b: Emitter, x: Value, cell: GruCell, scan: Scan) -> Run:
    """A GRU over x, [time, batch, in] or batch first, unrolled."""
    weights = cell.weights
    bias = weights.w_bias if cell.reset_after else _merged_bias(b, weights)
    parts = _projected(b, x, weights, bias, scan)
    zeros = b.const(np.zeros((parts[0].shape[0], weights.out), x.dtype.numpy))
    step = _gru_reset_after if cell.reset_after else _gru_reset_before
    loop = _Loop(b, scan, weights.out)
    return loop.run(parts, partial(step, b, cell), (scan.h or zeros,))


def rnn(b: Emitter, x: Value, cell: RnnCell, scan: Scan) -> Run:
    """A simple RNN over x, [time, batch, in] or batch first, unrolled."""
    parts = _projected(b, x, cell.weights, _merged_bias(b, cell.weights), scan)
    return _Loop(b, scan, cell.weights.out).run(parts, partial(_rnn_step, b, cell), (scan.h,))


# -- the whole LSTM as one node --------------------------------------------------------------------


def _is_plain(x: Value, cell: LstmCell, scan: Scan) -> bool:
    weights = cell.weights
    learned = [weights.w, weights.r, weights.w_bias, weights.r_bias]
    return (
        x.shape[1 if scan.batch_first else 0] >= LSTM_NODE_STEPS
        and x.dtype is DType.FLOAT32
        and all(v is None or v.is_const for v in learned)
        and _is_zero(scan.h)
        and _is_zero(scan.c)
        and scan.lengths is None
        and (cell.gate, cell.candidate, cell.shown) == (SIGMOID, TANH, TANH)
        and cell.peepholes is None  # the kernels of microcontrollers have neither these
        and cell.projection is None  # nor this
        and cell.clip is None
        and not cell.coupled
        and not cell.wants_cell
    )


def _is_zero(state: Value | None) -> bool:
    return state is None or (state.is_const and not state.const.any())


def _lstm_node(b: Emitter, x: Value, cell: LstmCell, scan: Scan) -> Run:
    weights, units = cell.weights, cell.units
    time, batch = (1, x.shape[0]) if scan.batch_first else (0, x.shape[1])
    bias = _merged_bias(b, weights)
    bias = bias or b.const(np.zeros(4 * units, np.float32))
    zeros = b.const(np.zeros((batch, units), np.float32))
    source = b.emit("Reverse", x, axes=(time,)) if scan.reverse else x
    y = b.emit(
        "Lstm", source, *_gates(b, weights.w), *_gates(b, weights.r),
        None, None, None, *_gates(b, bias), None, None, zeros, zeros,
        time_major=not scan.batch_first,
    )  # fmt: skip
    last = b.reshape(b.slice(y, time, y.shape[time] - 1, 1), (batch, units))
    return Run(b.emit("Reverse", y, axes=(time,)) if scan.reverse else y, last)


def _gates(b: Emitter, stacked: Value) -> list[Value]:
    """The four gates' parts in the order of the `Lstm` node: input, forget, cell, output."""
    enter, forget, leave, candidate = np.split(stacked.const, 4)
    return [b.const(a) for a in (enter, forget, candidate, leave)]


# -- unrolled: what all cells share ----------------------------------------------------------------

State = tuple[Value | None, ...]
Step = Callable[[Value, State], tuple[Value, ...]]


@dataclass(slots=True)
class _Loop:
    """Calls a cell's step for each part of the projected input and keeps its states."""

    b: Emitter
    scan: Scan
    out: int

    def run(self, parts: tuple[Value, ...], step: Step, state: State) -> Run:
        """`parts` are [batch, gates * units], one per step; `state` begins with h."""
        batch, count = parts[0].shape[0], len(parts)
        masks = _masks(self.b, self.scan.lengths, count)
        zeros = self.b.const(np.zeros((batch, self.out), parts[0].dtype.numpy))
        outputs = {}
        for t in reversed(range(count)) if self.scan.reverse else range(count):
            new: State = state if masks[t] is False else step(parts[t], state)
            outputs[t], state = self._masked(masks[t], new, state, zeros)
        h, *others = (zeros if v is None else v for v in state)
        ordered = [outputs[t] for t in range(count)]
        return Run(self._stacked(ordered, batch), h, *others)

    def _masked(
        self, mask: Value | bool, new: State, old: State, zeros: Value
    ) -> tuple[Value, State]:
        """The output of a step and the states after it."""
        if isinstance(mask, bool):
            return (new[0] if mask and new[0] is not None else zeros), new
        kept = [self._chosen(mask, n, o) for n, o in zip(new, old, strict=True)]
        return self._chosen(mask, new[0], None), tuple(kept)

    def _chosen(self, mask: Value, new: Value | None, old: Value | None) -> Value:
        """`new` where the mask holds, else `old` or zeros."""
        assert new is not None, "a step gives every state"
        other = old or self.b.const(np.zeros(new.shape, new.dtype.numpy))
        return self.b.emit("Where", mask, new, other)

    def _stacked(self, outputs: list[Value], batch: int) -> Value:
        joined = self.b.concat(outputs, 0)
        y = self.b.reshape(joined, (len(outputs), batch, self.out))
        return _swapped(self.b, y) if self.scan.batch_first else y


def _projected(
    b: Emitter, x: Value, weights: Weights, bias: Value | None, scan: Scan
) -> tuple[Value, ...]:
    """The input's share of the gates, [batch, gates * units] for each step."""
    x = _swapped(b, x) if scan.batch_first else x
    steps, batch, size = x.shape
    y = _dense(b, b.reshape(x, (steps * batch, size)), weights.w, bias)
    return b.split(y, 0, (batch,) * steps)


def _masks(b: Emitter, lengths: Value | None, steps: int) -> list[Value | bool]:
    """For each step, whether it counts: for all sequences, for none, or for those of [batch, 1]."""
    if lengths is None:
        return [True] * steps
    if lengths.is_const:
        known = np.arange(steps)[:, None] < lengths.const[None, :]
        return [_known_mask(b, row) for row in known]
    order = b.const(np.arange(steps, dtype=lengths.dtype.numpy)[:, None])
    mask = b.emit("Less", order, b.reshape(lengths, (1, lengths.size)))
    rows = b.split(mask, 0, (1,) * steps)
    return [b.reshape(row, (lengths.size, 1)) for row in rows]


def _known_mask(b: Emitter, row: Array) -> Value | bool:
    return bool(row[0]) if (row == row[0]).all() else b.const(row[:, None])


# -- unrolled: one step of each cell ---------------------------------------------------------------


def _lstm_step(b: Emitter, cell: LstmCell, part: Value, state: State) -> tuple[Value, ...]:
    """i, f, o = gate(...), g = candidate(...); c' = f * c + i * g and h' = o * shown(c')."""
    h, c = state
    z = part if h is None else b.emit("Add", part, _dense(b, h, cell.weights.r, None))
    act = partial(_clipped, b, cell.clip)
    units = cell.units
    if cell.peepholes is None:
        gates, candidate = b.split(z, 1, (3 * units, units))
        enter, forget, leave = b.emit_multi(
            "Split", act(cell.gate, gates), axis=1, sizes=(units,) * 3
        )
        return _lstm_states(
            b, cell, (enter, forget, act(cell.candidate, candidate)), c, lambda _: leave
        )
    to_enter, to_forget, to_leave, candidate = b.split(z, 1, (units,) * 4)
    seen = [
        _peeped(b, v, c, p) for v, p in zip((to_enter, to_forget), cell.peepholes, strict=False)
    ]
    enter, forget = (act(cell.gate, v) for v in seen)
    last = cell.peepholes[2]
    return _lstm_states(
        b, cell, (enter, forget, act(cell.candidate, candidate)), c,
        lambda cell_state: act(cell.gate, _peeped(b, to_leave, cell_state, last)),
    )  # fmt: skip


def _lstm_states(
    b: Emitter, cell: LstmCell, gates: tuple[Value, Value, Value], c: Value | None,
    leave: Callable[[Value], Value],
) -> tuple[Value, Value]:  # fmt: skip
    enter, forget, candidate = gates
    if cell.coupled:
        forget = b.emit("Sub", 1, enter)
    added = b.emit("Mul", enter, candidate)
    new = added if c is None else b.emit("Add", b.emit("Mul", forget, c), added)
    shown = _clipped(b, cell.clip, cell.shown, new)
    h = b.emit("Mul", leave(new), shown)
    return h if cell.projection is None else _dense(b, h, cell.projection, None), new


def _peeped(b: Emitter, z: Value, c: Value | None, weights: Value) -> Value:
    return z if c is None else b.emit("Add", z, b.emit("Mul", c, weights))


def _gru_reset_after(b: Emitter, cell: GruCell, part: Value, state: State) -> tuple[Value, ...]:
    """n = candidate(x_n + r * (R_n h + b)); h' = n + z * (h - n)."""
    h, units = _present(state), cell.weights.out
    product = _dense(b, h, cell.weights.r, cell.weights.r_bias)
    sizes = (2 * units, units)
    x_gates, x_new = b.split(part, 1, sizes)
    h_gates, h_new = b.split(product, 1, sizes)
    update, reset = _gru_gates(b, cell, b.emit("Add", x_gates, h_gates))
    z = b.emit("Add", x_new, b.emit("Mul", reset, h_new))
    return (_gru_state(b, cell, update, z, h),)


def _gru_reset_before(b: Emitter, cell: GruCell, part: Value, state: State) -> tuple[Value, ...]:
    """n = candidate(x_n + R_n (r * h) + b); h' = n + z * (h - n)."""
    h, units = _present(state), cell.weights.out
    x_gates, x_new = b.split(part, 1, (2 * units, units))
    of_gates, of_new = (
        b.slice(cell.weights.r, 0, 0, 2 * units),
        b.slice(cell.weights.r, 0, 2 * units, units),
    )
    update, reset = _gru_gates(b, cell, b.emit("Add", x_gates, _dense(b, h, of_gates, None)))
    z = b.emit("Add", x_new, _dense(b, b.emit("Mul", reset, h), of_new, None))
    return (_gru_state(b, cell, update, z, h),)


def _gru_gates(b: Emitter, cell: GruCell, z: Value) -> tuple[Value, Value]:
    units = cell.weights.out
    gates = _clipped(b, cell.clip, cell.gate, z)
    update, reset = b.split(gates, 1, (units, units))
    return update, reset


def _gru_state(b: Emitter, cell: GruCell, update: Value, z: Value, h: Value) -> Value:
    new = _clipped(b, cell.clip, cell.candidate, z)
    return b.emit("Add", new, b.emit("Mul", update, b.emit("Sub", h, new)))


def _rnn_step(b: Emitter, cell: RnnCell, part: Value, state: State) -> tuple[Value, ...]:
    h = state[0]
    z = part if h is None else b.emit("Add", part, _dense(b, h, cell.weights.r, None))
    return (_clipped(b, cell.clip, cell.activation, z),)


def _present(state: State) -> Value:
    h = state[0]
    assert h is not None, "a GRU starts from zeros where no state is given"
    return h


# -- small parts -----------------------------------------------------------------------------------


def _clipped(b: Emitter, clip: float | None, activation: Activation, x: Value) -> Value:
    """The activation of `x`, kept within -clip..clip before."""
    bounded = x if clip is None else b.emit("Clip", x, min=-clip, max=clip)
    return apply(b, activation, bounded)


def _dense(b: Emitter, x: Value, w: Value, bias: Value | None) -> Value:
    """X [rows, in] times w [out, in], plus the bias."""
    if w.is_const and (bias is None or bias.is_const) and not x.is_const:
        return b.emit("FullyConnected", x, w, bias)
    y = b.emit("MatMul", x, w, adj_b=True)
    return y if bias is None else b.emit("Add", y, bias)


def _merged_bias(b: Emitter, weights: Weights) -> Value | None:
    """The sum of both biases: they are added in one place."""
    first, second = weights.w_bias, weights.r_bias
    if first is None or second is None:
        return first or second
    return b.emit("Add", first, second)


def _swapped(b: Emitter, x: Value) -> Value:
    """Time and batch exchanged; a mere reshape where one of them is 1."""
    first, second, size = x.shape
    if 1 in (first, second):
        return b.reshape(x, (second, first, size))
    return b.transpose(x, (1, 0, 2))
