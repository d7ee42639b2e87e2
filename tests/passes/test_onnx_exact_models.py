"""Published int8 models: the exact ONNX file gives TensorFlow Lite Micro's very bytes."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.ir import Array, Graph
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.onnx_exact import spell_exactly
from edgepack.readers.tflite import read_tflite
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.writers.onnx import write_onnx
from tests.shared import shared

MODELS = (
    "ad_autoencoder_int8", "dtln_noise_suppression", "ic_resnet8_int8", "kws_dscnn_int8",
    "micro_speech_int8", "mnist_lstm_int8", "person_detect_int8", "vww_mobilenet_int8",
)  # fmt: skip
SAMPLES = {"kws_dscnn_int8": "kws", "ic_resnet8_int8": "cifar10"}


def exact_runtime(graph: Graph) -> OrtRuntime:
    exact = graph.copy()
    spell_exactly(exact)
    legalize_onnx(exact, spelled=True)
    return OrtRuntime(write_onnx(exact))


def inputs_of(graph: Graph, name: str) -> list[list[Array]]:
    """Random integers, and real samples where there are some."""
    rng = np.random.default_rng(0)
    fed = [
        [rng.integers(*v.dtype.limits, v.shape, v.dtype.numpy, endpoint=True) for v in graph.inputs]
        for _ in range(4)
    ]
    if name in SAMPLES:
        (x,) = graph.inputs
        assert x.quant is not None
        samples = np.load(shared(f"data/{SAMPLES[name]}/test.npz"))["x"][:20]
        real = (s.reshape(x.shape).astype(np.float32) for s in samples)
        fed += [[x.quant.quantize(s, x.dtype)] for s in real]
    return fed


@pytest.mark.parametrize("name", MODELS)
def test_the_bytes_of_tflite_micro(name: str) -> None:
    pytest.importorskip("tflite_micro")
    model = shared(f"models/{name}.tflite").read_bytes()
    graph = read_tflite(model)
    reference = ReferenceRuntime(graph)
    micro = TflmRuntime(model, reference.inputs, reference.outputs)
    exact = exact_runtime(graph)
    for arrays in inputs_of(graph, name):
        for got, want in zip(exact.run(arrays), micro.run(arrays), strict=True):
            np.testing.assert_array_equal(got, want)
