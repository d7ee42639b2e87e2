"""Keras LSTM, GRU and SimpleRNN layers, kept whole through TensorFlow's tracing.

TensorFlow traces them to loops over lists of tensors, in which an LSTM is hard to recognize. While
a model is traced, the loop of each layer that the readers' recurrent module can express is put
into a function of its own, marked by what it implements; where the walker meets that function, it
takes the layer instead of its body. Everything else (masks, states that are kept, other cells)
stays a loop.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from edgepack.ir import Array, Value
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
from edgepack.readers.recurrent_activations import Activation
from edgepack.readers.tensorflow.call import Call, Const, Item

_MARK: Final = re.compile(r"edgepack_(LSTM|GRU|SimpleRNN)_([a-z]+)_([a-z]+)_([01]{4})_layer")
_ACTIVATIONS: Final[Mapping[str, Activation]] = {
    "sigmoid": Activation("Sigmoid"),
    "tanh": Activation("Tanh"),
    "relu": Activation("Relu"),
    "linear": Activation("Affine", 1.0, 0.0),
    "elu": Activation("Elu", 1.0),
    "softsign": Activation("Softsign"),
    "softplus": Activation("Softplus"),
}
_GATES: Final = {"LSTM": (0, 1, 3, 2), "GRU": (0, 1, 2), "SimpleRNN": (0,)}  # neutral from Keras'


# -- while the model is traced ---------------------------------------------------------------------


@contextlib.contextmanager
def marked_layers(model: Any) -> Iterator[None]:
    """Inside, the model's recurrent layers are traced as marked functions."""
    layers = [layer for layer in model._flatten_layers() if _is_known(layer)]
    for layer in layers:
        layer.__dict__["inner_loop"] = partial(_marked, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["inner_loop"]


def _is_known(layer: Any) -> bool:
    import keras

    kind = _kind(layer)
    if kind is None or layer.stateful or layer.compute_dtype != "float32":
        return False
    original = getattr(keras.layers, kind)
    whole = type(layer).inner_loop is original.inner_loop and type(layer).call is original.call
    names = [layer.activation.__name__, getattr(layer, "recurrent_activation", None)]
    names = [n if isinstance(n, str) else getattr(n, "__name__", "tanh") for n in names]
    return whole and all(name in _ACTIVATIONS for name in names)


def _kind(layer: Any) -> str | None:
    import keras

    return next((k for k in _GATES if isinstance(layer, getattr(keras.layers, k))), None)


def _marked(
    layer: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False
) -> Any:
    """The layer's loop as a function; its weights are arguments so that the reader finds them."""
    import tensorflow as tf

    inner_loop = type(layer).inner_loop
    if mask is not None:
        return inner_loop(layer, sequences, initial_state, mask=mask, training=training)

    states = len(initial_state)

    def body(x: Any, *tensors: Any) -> Any:
        return inner_loop(layer, x, list(tensors[:states]), mask=None, training=training)

    body.__name__ = _mark(layer)  # in the graph it is called so, with something around it
    cell = layer.cell
    weights = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    function = tf.function(body, autograph=False)
    return function(sequences, *initial_state, *(tf.convert_to_tensor(w) for w in weights))


def _mark(layer: Any) -> str:
    """What `_MARK` finds in a function's name: all that the reader must know of the layer."""
    gate = getattr(layer, "recurrent_activation", layer.activation).__name__
    flags = (
        layer.go_backwards,
        layer.return_state,
        getattr(layer, "reset_after", False),
        layer.use_bias,
    )
    digits = "".join(str(int(flag)) for flag in flags)
    return f"edgepack_{_kind(layer)}_{layer.activation.__name__}_{gate}_{digits}_layer"


# -- while the graph is read -----------------------------------------------------------------------


def read_marked(call: Call, function: Any) -> Sequence[Item] | None:
    """The results of a marked function: the last output, all outputs, the states.

    None when it is no such function or when its weights are not constant.
    """
    found = _MARK.search(function.signature.name)
    if found is None:
        return None
    kind, activation, gate = found.groups()[:3]
    backwards, wants_cell, reset_after, biased = (digit == "1" for digit in found[4])
    count = 3 if kind == "LSTM" else 2  # x and the states come first
    held = call.inputs[count : count + (3 if biased else 2)]  # then what the body captures
    weights = [item.array for item in held if isinstance(item, Const)]
    if len(weights) != len(held):
        return None
    x = call.emit("Reverse", call.value(0), axes=(1,)) if backwards else call.value(0)
    scan = Scan(True, False, *(call.value(i) for i in range(1, count)))
    acts = (_ACTIVATIONS[gate], _ACTIVATIONS[activation])
    run = _run(call, kind, x, acts, _weights(call, kind, weights), scan, (wants_cell, reset_after))
    return [run.h, run.steps, run.h, *([] if run.c is None else [run.c])]


def _weights(call: Call, kind: str, arrays: Sequence[Array]) -> Weights:
    """Keras' kernels are [in, gates * units], its biases one row or one for each product."""
    kernel, recurrent, *biases = arrays
    order = _GATES[kind]
    rows = [in_order(np.asarray(a).T, order) for a in (kernel, recurrent)]
    rows += [in_order(row, order) for row in np.atleast_2d(biases[0])] if biases else []
    return Weights(*(call.const(a, name="weight") for a in rows))


def _run(
    call: Call, kind: str, x: Value, acts: tuple[Activation, Activation], weights: Weights,
    scan: Scan, flags: tuple[bool, bool],
) -> Run:  # fmt: skip
    gate, other = acts
    wants_cell, reset_after = flags
    if kind == "LSTM":
        return lstm(call, x, LstmCell(weights, gate, other, other, wants_cell=wants_cell), scan)
    if kind == "GRU":
        return gru(call, x, GruCell(weights, gate, other, None, reset_after), scan)
    return rnn(call, x, RnnCell(weights, other), scan)
