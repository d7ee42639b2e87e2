"""Models that ONNX Runtime's quantizer wrote, in both of its formats, against ONNX Runtime."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import model

from edgepack.ir.check import check
from edgepack.readers.onnx import read_onnx
from edgepack.readers.options import ReadOptions
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime

RNG = np.random.default_rng(3)
IMAGES = [RNG.normal(size=(1, 3, 16, 16)).astype(np.float32) for _ in range(16)]


def weights(*shape: int) -> Any:
    return (RNG.normal(size=shape) * 0.3).astype(np.float32)


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with one of everything that the quantizer treats."""
    proto = model(
        "a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w1, b1) b = Relu(a)"
        " c = Conv<group=8, pads=[1,1,1,1]>(b, w2, b2) d = Clip(c, low, high)"
        " e = Conv(d, w3, b3) f = Add(e, a) g = MaxPool<kernel_shape=[2,2], strides=[2,2]>(f)"
        " h = AveragePool<kernel_shape=[2,2], strides=[2,2]>(b) i = Concat<axis=1>(g, h)"
        " j = Sigmoid(i) k = GlobalAveragePool(j) l = Flatten(k)"
        " m = Gemm<transB=1>(l, w4, b4) y = Softmax(m)",
        "float[1,3,16,16] x",
        w1=weights(8, 3, 3, 3), b1=weights(8), w2=weights(8, 1, 3, 3), b2=weights(8),
        w3=weights(8, 8, 1, 1), b3=weights(8), w4=weights(10, 16), b4=weights(10),
        low=np.float32(0), high=np.float32(6),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("quantized") / "float.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(proto), path)
    return path


class Images:
    """What the quantizer calibrates on."""

    def __init__(self) -> None:
        self.feeds = iter([{"x": image} for image in IMAGES])

    def get_next(self) -> Any:
        return next(self.feeds, None)


# Seven bits for weights: with eight, ONNX Runtime lacks kernels or saturates, as the processor is.
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_static_quantization(
    float_model: Path,
    tmp_path: Path,
    form: str,
    per_channel: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from onnxruntime import quantization as q

    caplog.set_level(logging.ERROR)  # it advises to preprocess
    path = tmp_path / "quantized.onnx"
    q.quantize_static(
        float_model, path, Images(), quant_format=q.QuantFormat[form], per_channel=per_channel,
        activation_type=q.QuantType.QInt8, weight_type=q.QuantType.QInt8, reduce_range=True,
    )  # fmt: skip
    graph = read_onnx(path, ReadOptions())
    check(graph)
    ours, theirs = ReferenceRuntime(graph), OrtRuntime(path.read_bytes(), exact=True)
    for image in IMAGES:
        (got,), (want,) = ours.run([image]), theirs.run([image])
        # the probabilities are multiples of about 1 / 256: one step where float rounds differently
        assert np.abs(got - want).max() <= 1 / 255


def test_dynamic_quantization(float_model: Path, tmp_path: Path) -> None:
    from onnxruntime import quantization as q

    path = tmp_path / "dynamic.onnx"
    q.quantize_dynamic(float_model, path, weight_type=q.QuantType.QUInt8)
    graph = read_onnx(path, ReadOptions())
    check(graph)
    ours, theirs = ReferenceRuntime(graph), OrtRuntime(path.read_bytes(), exact=True)
    for image in IMAGES:
        np.testing.assert_allclose(ours.run([image])[0], theirs.run([image])[0], atol=2e-3)
