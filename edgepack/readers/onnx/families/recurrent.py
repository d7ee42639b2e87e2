"""LSTM, GRU and RNN: ONNX's layouts, gate orders and attributes in the readers' neutral form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgepack.ir import Value
from edgepack.readers.emitter import Refused, stored_constant
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.registry import reads
from edgepack.readers.recurrent import (
    GruCell,
    LstmCell,
    RnnCell,
    Run,
    Scan,
    Weights,
    gru,
    lstm,
    rnn,
)
from edgepack.readers.recurrent_activations import ACTIVATIONS, Activation

# Gates in the file's order -> position of each in the neutral order.
_LSTM_ORDER = (0, 2, 1, 3)  # input, output, forget, cell -> input, forget, output, cell
_GRU_ORDER = (0, 1, 2)  # update, reset, hidden in both
_RNN_ORDER = (0,)

_TAKES_ALPHA = {
    "Affine": 1.0, "LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "ScaledTanh": 1.0,
    "HardSigmoid": 0.2, "Elu": 1.0,
}  # fmt: skip
_TAKES_BETA = {"Affine": 0.0, "ScaledTanh": 1.0, "HardSigmoid": 0.5}
_BY_LOWER_NAME = {name.lower(): name for name in ACTIVATIONS}

RunOne = Callable[[Value, Weights, Sequence[Activation], Scan, int], Run]


@reads("LSTM")
def read_lstm(ctx: Context, node: Call) -> Sequence[Value | None]:
    """Y, Y_h and Y_c; peepholes are those of the gates input, output, forget."""
    defaults = ("Sigmoid", "Tanh", "Tanh")
    clip, coupled = node.attr("clip"), bool(node.attr("input_forget", 0))

    def run(x: Value, weights: Weights, acts: Sequence[Activation], scan: Scan, d: int) -> Run:
        gate, candidate, shown = acts
        peepholes = _peepholes(ctx, node, d, weights.out)
        wants_cell = node.wants(2)
        cell = LstmCell(weights, gate, candidate, shown, peepholes, clip, coupled, wants_cell)
        return lstm(ctx, x, cell, scan)

    return _read(ctx, node, defaults, _LSTM_ORDER, run)


@reads("GRU")
def read_gru(ctx: Context, node: Call) -> Sequence[Value | None]:
    """Y and Y_h."""
    clip, reset_after = node.attr("clip"), bool(node.attr("linear_before_reset", 0))

    def run(x: Value, weights: Weights, acts: Sequence[Activation], scan: Scan, d: int) -> Run:
        gate, candidate = acts
        return gru(ctx, x, GruCell(weights, gate, candidate, clip, reset_after), scan)

    return _read(ctx, node, ("Sigmoid", "Tanh"), _GRU_ORDER, run)


@reads("RNN")
def read_rnn(ctx: Context, node: Call) -> Sequence[Value | None]:
    """Y and Y_h."""
    clip = node.attr("clip")

    def run(x: Value, weights: Weights, acts: Sequence[Activation], scan: Scan, d: int) -> Run:
        return rnn(ctx, x, RnnCell(weights, acts[0], clip), scan)

    return _read(ctx, node, ("Tanh",), _RNN_ORDER, run)


def _read(
    ctx: Context, node: Call, defaults: tuple[str, ...], order: tuple[int, ...], run: RunOne
) -> list[Value | None]:
    """Every direction by itself, then their outputs beside each other."""
    x, batch_first = node.input(0), bool(node.attr("layout", 0))
    if x.rank != 3:
        raise ValueError(f"the input {list(x.shape)} is not a batch of sequences")
    if not x.size:
        raise Refused("its sequence is empty")
    reverses = _directions(node)
    activations = _activations(node, defaults * len(reverses))
    runs = []
    for d, reverse in enumerate(reverses):
        scan = Scan(
            batch_first, reverse, _state(ctx, node, 5, d), _state(ctx, node, 6, d), node.optional(4)
        )
        acts = activations[d * len(defaults) : (d + 1) * len(defaults)]
        runs.append(run(x, _weights(ctx, node, d, order), acts, scan, d))
    return _outputs(ctx, runs, batch_first)


def _outputs(ctx: Context, runs: Sequence[Run], batch_first: bool) -> list[Value | None]:
    """Y [time, directions, batch, units], Y_h, Y_c [directions, batch, units], or batch first."""
    states = [[r.h for r in runs], [r.c for r in runs if r.c is not None]]
    axis = 1 if batch_first else 0
    steps = ctx.stack([r.steps for r in runs], 2 if batch_first else 1)
    return [steps, *(ctx.stack(s, axis) if s else None for s in states)]


# -- attributes ------------------------------------------------------------------------------------


def _directions(node: Call) -> tuple[bool, ...]:
    """For each direction, whether it is the reverse one."""
    direction = node.attr("direction", "forward")
    known = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    if direction not in known:
        raise ValueError(f"direction {direction!r}")
    return known[direction]


def _activations(node: Call, defaults: tuple[str, ...]) -> list[Activation]:
    """The activations of all directions; constants are given to those that take them, in order."""
    names = node.attr("activations") or defaults
    if len(names) != len(defaults):
        raise ValueError(f"{len(names)} activations instead of {len(defaults)}")
    alphas, betas = iter(node.attr("activation_alpha", ())), iter(node.attr("activation_beta", ()))
    return [_activation(name, alphas, betas) for name in names]


def _activation(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    known = _BY_LOWER_NAME.get(name.lower())
    if known is None:
        raise ValueError(f"unknown activation {name!r}")
    alpha = next(alphas, _TAKES_ALPHA[known]) if known in _TAKES_ALPHA else 0.0
    beta = next(betas, _TAKES_BETA[known]) if known in _TAKES_BETA else 0.0
    return Activation(known, float(alpha), float(beta))


# -- inputs ----------------------------------------------------------------------------------------


def _part(ctx: Context, x: Value, axis: int, index: int) -> Value:
    """One index of an axis, which disappears."""
    x = _spelled_out(ctx, x)
    return ctx.reshape(ctx.slice(x, axis, index, 1), x.shape[:axis] + x.shape[axis + 1 :])


def _spelled_out(ctx: Context, x: Value) -> Value:
    """The numbers of a constant that is stored quantized: its parts are taken apart."""
    stored = stored_constant(x)
    return x if stored is None else ctx.const(stored.real, x.dtype)


def _state(ctx: Context, node: Call, index: int, direction: int) -> Value | None:
    """An initial state, [directions, batch, units] or [batch, directions, units]."""
    value = node.optional(index)
    return None if value is None else _part(ctx, value, node.attr("layout", 0), direction)


def _weights(ctx: Context, node: Call, direction: int, order: tuple[int, ...]) -> Weights:
    w, r = (_part(ctx, node.input(i), 0, direction) for i in (1, 2))
    units = r.shape[-1]
    gates = len(order)
    if w.shape[0] != gates * units or r.shape[0] != gates * units:
        raise ValueError(f"weights {w.shape} and {r.shape} are not of {gates} gates")
    w, r = (_reordered(ctx, v, order, units) for v in (w, r))
    if node.optional(3) is None:
        return Weights(w, r)
    both, size = _part(ctx, node.input(3), 0, direction), gates * units
    of_w, of_r = (
        _reordered(ctx, ctx.slice(both, 0, begin, size), order, units) for begin in (0, size)
    )
    return Weights(w, r, of_w, of_r)


def _reordered(ctx: Context, x: Value, order: tuple[int, ...], units: int) -> Value:
    """The gates, `units` rows each, in another order."""
    if order == tuple(range(len(order))):
        return x
    return ctx.concat([ctx.slice(x, 0, i * units, units) for i in order], 0)


def _peepholes(
    ctx: Context, node: Call, direction: int, units: int
) -> tuple[Value, Value, Value] | None:
    if node.optional(7) is None:
        return None
    both = _part(ctx, node.input(7), 0, direction)
    enter, leave, forget = (ctx.slice(both, 0, i * units, units) for i in range(3))
    return enter, forget, leave
