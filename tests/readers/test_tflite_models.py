"""Published TFLite models: they read, and what is written again gives the source's own outputs."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.errors import BadModel
from edgepack.ir import Array, Graph
from edgepack.readers.tflite import read_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite
from tests.shared import shared

# name: nodes, and whether LiteRT loads it
MODELS = {
    "ad_autoencoder_int8": (10, True),
    "dtln_noise_suppression": (4, True),
    "ic_resnet8_int8": (16, True),
    "kws_dscnn_float": (13, True),
    "kws_dscnn_int8": (13, True),
    "micro_speech_int8": (5, True),
    "mnist_lstm_int8": (4, True),
    "person_detect_int8": (31, False),  # its biases name a dimension they do not have
    "vww_mobilenet_int8": (31, True),
}


def load(name: str) -> bytes:
    return shared(f"models/{name}.tflite").read_bytes()


def random_inputs(graph: Graph) -> list[Array]:
    rng = np.random.default_rng(1)
    return [
        rng.standard_normal(v.shape).astype(np.float32)
        if v.dtype.is_float
        else rng.integers(*v.dtype.limits, v.shape, v.dtype.numpy, endpoint=True)
        for v in graph.inputs
    ]


@pytest.mark.parametrize("name", MODELS)
def test_it_reads(name: str) -> None:
    graph = read_tflite(load(name))
    assert len(graph) == MODELS[name][0]
    assert len(graph.source.sha256) == 64


@pytest.mark.parametrize("reference_kernels", [True, False], ids=["reference", "optimized"])
@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name][1]])
def test_written_again_it_is_the_same_model(name: str, reference_kernels: bool) -> None:
    data = load(name)
    graph = read_tflite(data)
    again = write_tflite(graph)
    inputs = random_inputs(graph)
    want = LiteRTRuntime(data, reference_kernels=reference_kernels).run(inputs)
    got = LiteRTRuntime(again, reference_kernels=reference_kernels).run(inputs)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


def test_what_litert_refuses_can_be_mended() -> None:
    data = load("person_detect_int8")
    with pytest.raises(BadModel):
        LiteRTRuntime(data)
    graph = read_tflite(data)
    (y,) = LiteRTRuntime(write_tflite(graph)).run(random_inputs(graph))
    assert y.shape == (1, 2)
