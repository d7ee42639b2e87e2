"""Keras' recurrent layers: the IR computes what Keras does, and knows the layers as layers."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from keras import layers  # noqa: E402

from edgepack.ir.check import check  # noqa: E402
from edgepack.passes.legalize_tflite import legalize_tflite  # noqa: E402
from edgepack.passes.pipeline import optimize  # noqa: E402
from edgepack.readers.tensorflow.load import read_keras_model  # noqa: E402
from edgepack.run.litert import LiteRTRuntime  # noqa: E402
from edgepack.run.reference import ReferenceRuntime  # noqa: E402
from edgepack.writers.tflite.write import write_tflite  # noqa: E402

SHAPE = (2, 5, 3)


def stack(*parts):
    return keras.Sequential([keras.Input(SHAPE[1:], batch_size=SHAPE[0]), *parts])


def with_states():
    x = keras.Input(SHAPE[1:], batch_size=SHAPE[0])
    return keras.Model(x, layers.LSTM(4, return_state=True)(x))


def from_states():
    x = keras.Input(SHAPE[1:], batch_size=SHAPE[0])
    _, *states = layers.LSTM(4, return_state=True)(x)
    return keras.Model(x, layers.LSTM(4, return_sequences=True)(x, initial_state=states))


def sequences(kind, **options):
    return lambda: stack(kind(4, return_sequences=True, **options))


# name -> (model, Lstm nodes)
MODELS = {
    "lstm": (lambda: stack(layers.LSTM(4)), 1),
    "lstm, sequences": (sequences(layers.LSTM), 1),
    "lstm, backwards": (sequences(layers.LSTM, go_backwards=True), 1),
    "lstm, unrolled": (lambda: stack(layers.LSTM(4, unroll=True)), 1),
    "lstm, no bias": (sequences(layers.LSTM, use_bias=False), 1),
    "lstm, dropout": (lambda: stack(layers.LSTM(4, dropout=0.5, recurrent_dropout=0.3)), 1),
    "lstm, softsign": (sequences(layers.LSTM, activation="softsign"), 0),
    "lstm, hard sigmoid": (sequences(layers.LSTM, recurrent_activation="hard_sigmoid"), 0),
    "lstm, masked": (lambda: stack(layers.Masking(), layers.LSTM(4)), 0),
    "lstm, states out": (with_states, 0),
    "lstm, states in": (from_states, 0),
    "both ways, then one": (
        lambda: stack(layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.LSTM(3)),
        3,
    ),
    "nested": (lambda: stack(stack(layers.LSTM(4, return_sequences=True)), layers.Dense(2)), 1),
    "gru": (lambda: stack(layers.GRU(4)), 0),
    "gru, sequences": (sequences(layers.GRU), 0),
    "gru, reset before": (sequences(layers.GRU, reset_after=False), 0),
    "gru, no bias": (sequences(layers.GRU, use_bias=False), 0),
    "gru, relu, backwards": (sequences(layers.GRU, activation="relu", go_backwards=True), 0),
    "rnn": (lambda: stack(layers.SimpleRNN(4)), 0),
    "rnn, linear": (sequences(layers.SimpleRNN, activation="linear"), 0),
    "cells": (lambda: stack(layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])), 0),
}


def build(name):
    """The model with weights drawn anew, biases too; an input; what Keras makes of it."""
    model = MODELS[name][0]()
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if str(weight.dtype) == "float32":
            weight.assign(rng.normal(size=weight.shape) * 0.5)
    x = rng.normal(size=SHAPE).astype(np.float32)
    result = model(x, training=False)
    results = result if isinstance(result, list | tuple) else [result]
    return model, x, [np.asarray(r) for r in results]


def assert_same(results, expected):
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_keras(name):
    model, x, expected = build(name)
    graph = read_keras_model(model)
    check(graph)
    assert_same(ReferenceRuntime(graph).run([x]), expected)
    assert len(graph.nodes_of("Lstm")) == MODELS[name][1]


@pytest.mark.parametrize("name", ["lstm", "both ways, then one", "gru", "rnn"])
def test_every_run_of_the_tflite_model_agrees_with_keras(name):
    model, x, expected = build(name)
    graph = read_keras_model(model)
    optimize(graph)
    legalize_tflite(graph)
    runtime = LiteRTRuntime(write_tflite(graph))
    for _ in range(2):
        assert_same(runtime.run([x]), expected)


def test_input_projection_is_outside_of_the_steps():
    graph = read_keras_model(build("gru, sequences")[0])
    wide = [n for n in graph.nodes_of("FullyConnected") if n.input(0).shape == (10, 3)]
    assert len(wide) == 1


def test_reading_leaves_the_model_as_it_was():
    model, x, expected = build("lstm")
    read_keras_model(model)
    assert "inner_loop" not in vars(model.layers[0])
    assert_same([np.asarray(model(x))], expected)
