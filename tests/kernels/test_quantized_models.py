"""Published int8 models: the reference executor gives TensorFlow Lite Micro's very bytes."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.ir import Array, Graph
from edgepack.readers.tflite import read_tflite
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.writers.tflite import write_tflite
from tests.shared import shared

MODELS = (
    "ad_autoencoder_int8", "dtln_noise_suppression", "ic_resnet8_int8", "kws_dscnn_int8",
    "micro_speech_int8", "mnist_lstm_int8", "person_detect_int8", "vww_mobilenet_int8",
)  # fmt: skip


def random_inputs(graph: Graph, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(*v.dtype.limits, v.shape, v.dtype.numpy, endpoint=True) for v in graph.inputs
    ]


def assert_equal_bytes(model: bytes, graph: Graph, inputs: list[Array]) -> None:
    reference = ReferenceRuntime(graph)
    got = TflmRuntime(model, reference.inputs, reference.outputs).run(inputs)
    for g, w in zip(got, reference.run(inputs), strict=True):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("name", MODELS)
def test_random_inputs(name: str) -> None:
    pytest.importorskip("tflite_micro")
    model = shared(f"models/{name}.tflite").read_bytes()
    graph = read_tflite(model)
    for seed in range(3):
        assert_equal_bytes(model, graph, random_inputs(graph, seed))


@pytest.mark.parametrize("name", MODELS)
def test_written_again(name: str) -> None:
    pytest.importorskip("tflite_micro")
    graph = read_tflite(shared(f"models/{name}.tflite"))
    assert_equal_bytes(write_tflite(graph), graph, random_inputs(graph, 7))


REAL = {"kws_dscnn_int8": "data/kws/test.npz", "ic_resnet8_int8": "data/cifar10/test.npz"}


@pytest.mark.parametrize("name", REAL)
def test_real_inputs(name: str) -> None:
    pytest.importorskip("tflite_micro")
    model = shared(f"models/{name}.tflite").read_bytes()
    graph = read_tflite(model)
    (x,) = graph.inputs
    samples = np.load(shared(REAL[name]))["x"][:20]
    for sample in samples:
        assert x.quant is not None
        whole = x.quant.quantize(sample.reshape(x.shape).astype(np.float32), x.dtype)
        assert_equal_bytes(model, graph, [whole])
