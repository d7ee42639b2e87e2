"""PyTorch's recurrent layers: a plain LSTM stays one node, and TFLite runs of all agree."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepack.passes.legalize_tflite import legalize_tflite  # noqa: E402
from edgepack.passes.pipeline import optimize  # noqa: E402
from edgepack.readers.torch import read_torch  # noqa: E402
from edgepack.run.litert import LiteRTRuntime  # noqa: E402
from edgepack.writers.tflite.write import write_tflite  # noqa: E402
from tests.readers.torch_cases import RECURRENT  # noqa: E402

NODES = {
    "lstm": 0,  # its last cell state is read
    "lstm, no cell": 1,
    "lstm, outputs only": 1,
    "lstm, batch first, outputs only": 1,
    "lstm, both ways, two layers, no cell": 4,
    "lstm, projected": 0,
}


def graph_of(name):
    torch.manual_seed(1)
    case = RECURRENT[name]
    model, inputs = case.make().eval(), [torch.randn(s) for s in case.inputs]
    return model, inputs, read_torch(model, example_inputs=inputs)


@pytest.mark.parametrize("name", NODES)
def test_plain_lstm_is_one_node(name):
    assert len(graph_of(name)[2].nodes_of("Lstm")) == NODES[name]


def test_batch_first_lstm_transposes_nothing():
    assert not graph_of("lstm, batch first, outputs only")[2].nodes_of("Transpose")


@pytest.mark.parametrize(
    "name", ["lstm, batch first, outputs only", "lstm, projected", "gru", "rnn, state"]
)
def test_every_run_of_the_tflite_model_agrees_with_torch(name):
    model, inputs, graph = graph_of(name)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about speed
        expected = model(*inputs)
    optimize(graph)
    legalize_tflite(graph)
    runtime = LiteRTRuntime(write_tflite(graph))
    for _ in range(2):
        results = runtime.run([x.numpy() for x in inputs])
        for ours, theirs in zip(results, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)
