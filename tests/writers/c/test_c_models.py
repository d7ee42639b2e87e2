"""Published int8 models compiled: the bytes of the reference and of TensorFlow Lite Micro."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgepack.plan.c_plan import plan_c
from edgepack.readers.tflite import read_tflite
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.writers.c import write_c
from tests.writers.c.compiled import Library

SHARED = Path(os.environ.get("EDGEPACK_SHARED", Path(__file__).parents[4] / "shared"))
MODELS = (
    "ad_autoencoder_int8", "dtln_noise_suppression", "ic_resnet8_int8", "kws_dscnn_int8",
    "micro_speech_int8", "mnist_lstm_int8", "person_detect_int8", "vww_mobilenet_int8",
)  # fmt: skip


@pytest.mark.parametrize("optimize", ["speed", "ram"])
@pytest.mark.parametrize("name", MODELS)
def test_the_bytes_of_other_runtimes(name: str, optimize: str, tmp_path: Path) -> None:
    path = SHARED / f"models/{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there (set EDGEPACK_SHARED)")
    pytest.importorskip("tflite_micro")
    model = path.read_bytes()
    graph = read_tflite(model)
    library = Library(tmp_path, {"model": write_c(graph, plan_c(graph, optimize))})
    reference = ReferenceRuntime(graph)
    micro = TflmRuntime(model, reference.inputs, reference.outputs)
    rng = np.random.default_rng(0)
    for _ in range(2):
        inputs = [
            rng.integers(*v.dtype.limits, v.shape, v.dtype.numpy, endpoint=True)
            for v in graph.inputs
        ]
        got = library.run("model", graph, inputs)
        for g, r, m in zip(got, reference.run(inputs), micro.run(inputs), strict=True):
            np.testing.assert_array_equal(g, r)
            np.testing.assert_array_equal(g, m)
