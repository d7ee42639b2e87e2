"""ONNX's LSTM, GRU and RNN: the IR and what is written to TFLite compute what ONNX Runtime does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from edgepack.errors import EdgepackError
from edgepack.ir.check import check
from edgepack.passes.layout import to_layout
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.pipeline import optimize
from edgepack.readers.onnx import read_onnx
from edgepack.readers.options import ReadOptions
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite.write import write_tflite
from tests.readers.onnx.recurrent_cases import BATCH_FIRST, CASES, Case, arrays, feeds, model

# Sums of a few products and smooth functions of them, five steps deep: a few float32 roundings.
CLOSE = {"rtol": 1e-5, "atol": 2e-6}


def by_ort(case):
    session = onnxruntime.InferenceSession(model(case).SerializeToString())
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, feeds(case), strict=True)))


def read(case):
    graph = read_onnx(model(case), ReadOptions())
    check(graph)
    return graph


def to_tflite(graph):
    to_layout(graph, "NHWC")
    optimize(graph)
    legalize_tflite(graph)
    return LiteRTRuntime(write_tflite(graph))


def assert_same(results, expected):
    assert len(results) == len(expected)
    for ours, theirs in zip(results, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_reference_agrees_with_onnxruntime(name):
    graph = read(CASES[name])
    assert_same(ReferenceRuntime(graph).run(feeds(CASES[name])), by_ort(CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_tflite_agrees_with_onnxruntime(name):
    runtime = to_tflite(read(CASES[name]))
    assert_same(runtime.run(feeds(CASES[name])), by_ort(CASES[name]))


@pytest.mark.parametrize("name", BATCH_FIRST)
def test_batch_first_is_time_first_transposed(name):
    case = BATCH_FIRST[name]
    plain = replace(case, attrs={k: v for k, v in case.attrs.items() if k != "layout"})
    made = arrays(case)
    expected = by_ort_with(plain, made)
    assert_same(ReferenceRuntime(read(case)).run(feeds(case)), expected)
    assert_same(to_tflite(read(case)).run(feeds(case)), expected)


def by_ort_with(plain: Case, made):
    """ONNX Runtime's results in layout 0 from tensors in layout 1, turned into layout 1."""
    turned = replace(plain, fed=[n for n in plain.has if n.startswith("initial")])
    session = onnxruntime.InferenceSession(model(turned).SerializeToString())
    fed = {i.name: made[i.name].swapaxes(0, 1) for i in session.get_inputs()}
    names = [o.name for o in session.get_outputs()]
    results = session.run(None, fed)
    return [
        y.transpose(2, 0, 1, 3) if name == "Y" else y.swapaxes(0, 1)
        for name, y in zip(names, results, strict=True)
    ]


ONE_NODE = {
    "forward": (Case("LSTM", outputs=("Y", "Y_h")), 1),
    "bidirectional": (Case("LSTM", {"direction": "bidirectional"}, outputs=("Y",)), 2),
    "peepholes": (Case("LSTM", has=("B", "P"), outputs=("Y",)), 0),
    "only the last state is read": (Case("LSTM", outputs=("Y_h",)), 1),
    "states of zero": (
        Case("LSTM", has=("initial_h",), zero=("initial_h",), outputs=("Y",)),
        1,
    ),
    "the cell is read": (Case("LSTM"), 0),
    "states": (Case("LSTM", has=("initial_h",), outputs=("Y",)), 0),
    "lengths": (Case("LSTM", lengths=(2, 5), outputs=("Y",)), 0),
    "clip": (Case("LSTM", {"clip": 1.0}, outputs=("Y",)), 0),
    "coupled": (Case("LSTM", {"input_forget": 1}, outputs=("Y",)), 0),
    "few steps": (Case("LSTM", time=2, outputs=("Y",)), 0),
    "computed weights": (Case("LSTM", fed=("W",), outputs=("Y",)), 0),
}


@pytest.mark.parametrize("name", ONE_NODE)
def test_plain_lstm_stays_one_node(name):
    case, count = ONE_NODE[name]
    assert len(read(case).nodes_of("Lstm")) == count


def test_input_projection_is_outside_of_the_steps():
    graph = read(Case("GRU", time=6, size=3, units=4, batch=1))
    inputs = [n.input(0).shape for n in graph.nodes_of("FullyConnected")]
    assert inputs.count((6, 3)) == 1
    assert all(shape == (1, 4) for shape in inputs if shape != (6, 3))


def test_each_run_starts_anew():
    case = Case("LSTM", outputs=("Y", "Y_h"), time=6)
    runtime, x = to_tflite(read(case)), feeds(case)
    first = runtime.run(x)
    assert_same(runtime.run(x), first)


BROKEN = {
    "a direction that does not exist": {"direction": "sideways"},
    "too few activations": {"activations": ["Tanh"]},
    "an activation that does not exist": {"activations": ["Sigmoid", "Tanh", "Cubic"]},
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_attributes_are_reported(name):
    with pytest.raises(EdgepackError, match="LSTM"):
        read_onnx(model(Case("LSTM", BROKEN[name])), ReadOptions())
