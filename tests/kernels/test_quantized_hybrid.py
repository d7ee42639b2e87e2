"""Hybrid kernels: real activations, 8- or 4-bit weights, as LiteRT's reference kernels compute."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.ir.text import parse
from edgepack.kernels.quantized_hybrid import asymmetric, symmetric
from edgepack.readers.tflite import read_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite
from tests.op_cases import HYBRID_CASES
from tests.shared import shared

MORE = {
    "conv2d/same_relu_bias": (
        "x: float32[2, 6, 6, 3] = input()\nw: int8[4, 3, 3, 3] @ q(0.01, 0) = random()\n"
        'b = random(4)\ny = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation="relu")\noutput(y)'
    ),
    "depthwiseconv2d/same_bias": (
        "x: float32[2, 6, 6, 2] = input()\n"
        "w: int8[1, 3, 3, 4] @ q([0.01, 0.02, 0.005, 0.01], axis=3) = random()\nb = random(4)\n"
        "y = DepthwiseConv2d(x, w, b, pad=((1, 1), (1, 1)))\noutput(y)"
    ),
    "fullyconnected/rank_3_bias": (
        "x: float32[2, 3, 16] = input()\nw: int8[4, 16] @ q(0.01, 0) = random()\nb = random(4)\n"
        "y = FullyConnected(x, w, b)\noutput(y)"
    ),
    "conv2d/int4_per_tensor": (
        "x: float32[2, 6, 6, 3] = input()\nw: int4[4, 3, 3, 3] @ q(0.05, 0) = random()\n"
        "b = random(4)\ny = Conv2d(x, w, b, pad=((1, 1), (1, 1)))\noutput(y)"
    ),
    "conv2d/int4_per_channel": (
        "x: float32[2, 6, 6, 3] = input()\n"
        "w: int4[4, 3, 3, 3] @ q([0.05, 0.1, 0.03, 0.05], axis=0) = random()\n"
        "y = Conv2d(x, w)\noutput(y)"
    ),
    "fullyconnected/int4_per_channel": (
        "x: float32[3, 17] = input()\n"
        "w: int4[4, 17] @ q([0.05, 0.1, 0.03, 0.05], axis=0) = random()\nb = random(4)\n"
        "y = FullyConnected(x, w, b)\noutput(y)"
    ),
    "fullyconnected/int4_per_tensor": (
        "x: float32[3, 17] = input()\nw: int4[4, 17] @ q(0.05, 0) = random()\n"
        "y = FullyConnected(x, w)\noutput(y)"
    ),
}
TEXTS = {**{name: case.text for name, case in HYBRID_CASES.items()}, **MORE}


@pytest.mark.parametrize("name", TEXTS)
def test_litert_agrees(name: str) -> None:
    graph = parse(TEXTS[name])
    model = write_tflite(graph)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = [rng.standard_normal(graph.inputs[0].shape).astype(np.float32)]
        (want,) = LiteRTRuntime(model, reference_kernels=True).run(x)
        (got,) = ReferenceRuntime(graph, hybrid=True).run(x)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("quantize", [symmetric, asymmetric])
def test_rows_come_back_within_half_a_step(quantize: object) -> None:
    rows = np.random.default_rng(1).standard_normal((5, 40)).astype(np.float32)
    q, scale, zero = quantize(rows)  # type: ignore[operator]
    back = (q - zero[:, None]) * scale[:, None]
    # with a zero point, one end of the range may be cut by half a step more
    assert (np.abs(back - rows) <= scale[:, None] * 1.001).all()


@pytest.mark.parametrize("quantize", [symmetric, asymmetric])
def test_rows_of_zeros_stay_zero(quantize: object) -> None:
    q, scale, zero = quantize(np.zeros((2, 3), np.float32))  # type: ignore[operator]
    assert not (q - zero[:, None]).any()
    assert np.isfinite(scale).all()


def test_a_published_hybrid_model() -> None:
    model, data = shared("models/kws_dscnn_float.tflite"), shared("data/kws/test.npz")
    graph = read_tflite(model)
    ours = ReferenceRuntime(graph, hybrid=True)
    litert = LiteRTRuntime(model.read_bytes(), reference_kernels=True)
    for sample in np.load(data)["x"][:20]:
        x = [sample.reshape(graph.inputs[0].shape).astype(np.float32)]
        np.testing.assert_allclose(ours.run(x)[0], litert.run(x)[0], atol=1e-6)
