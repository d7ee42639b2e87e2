"""--input-layout: which layout each file takes, and that all of them still agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgepack
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from tests.small_models import save_onnx, save_tflite

NHWC, NCHW = (1, 8, 8, 3), (1, 3, 8, 8)

# (source, --input-layout): input of model.tflite, of model.onnx, transposes in each
CASES: dict[tuple[str, str | None], tuple[Any, Any, int, int]] = {
    ("onnx", None): (NHWC, NCHW, 0, 0),
    ("onnx", "keep"): (NCHW, NCHW, 1, 0),
    ("onnx", "nhwc"): (NHWC, NHWC, 0, 1),
    ("onnx", "nchw"): (NCHW, NCHW, 1, 0),
    ("tflite", None): (NHWC, NHWC, 0, 1),
    ("tflite", "keep"): (NHWC, NHWC, 0, 1),
    ("tflite", "nhwc"): (NHWC, NHWC, 0, 1),
    ("tflite", "nchw"): (NCHW, NCHW, 1, 0),
}
IMAGES = np.random.default_rng(0).random((4, *NHWC[1:]), np.float32)


def _count_transposes(folder: Path) -> tuple[int, int]:
    lite = edgepack.load(folder / "model.tflite").nodes_of("Transpose")
    portable = [n for n in onnx.load(folder / "model.onnx").graph.node if n.op_type == "Transpose"]
    return len(lite), len(portable)


@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_layouts(case: tuple[str, str | None], quantize: str, tmp_path: Path) -> None:
    source, layout = case
    model = save_onnx(tmp_path) if source == "onnx" else save_tflite(tmp_path)
    out = tmp_path / "out"
    report = edgepack.export(
        model, "raspberry-pi-4", out, formats="tflite,onnx", quantize=quantize,
        input_layout=layout, io="float", calibration=IMAGES,
    )  # fmt: skip
    lite = LiteRTRuntime((out / "model.tflite").read_bytes())
    portable = OrtRuntime((out / "model.onnx").read_bytes())
    wanted_lite, wanted_onnx, *transposes = CASES[case]
    assert (lite.inputs[0].shape, portable.inputs[0].shape) == (wanted_lite, wanted_onnx)
    assert _count_transposes(out) == tuple(transposes)
    results = [_run(lite), _run(portable)]
    atol = 1e-5 if quantize == "none" else 1 / 256  # of int8: one step of the softmax
    np.testing.assert_allclose(*results, rtol=0, atol=atol * 1.001)
    names = {NHWC: "NHWC [1, 8, 8, 3]", NCHW: "NCHW [1, 3, 8, 8]"}
    note = f"{names[wanted_lite]} in model.tflite, {names[wanted_onnx]} in model.onnx"
    assert f"input x is {note}" in report.notes
    again = edgepack.validate(out)
    assert f"input x is {note}" in again.notes
    assert again.agreement == report.agreement


def _run(runtime: Any) -> Any:
    shape = runtime.inputs[0].shape
    turned = IMAGES if shape == NHWC else IMAGES.transpose(0, 3, 1, 2)
    return np.concatenate([runtime.run([np.ascontiguousarray(x[None])])[0] for x in turned])


TWO_USES = """
    x: float32[1, 8, 8, 3] = input()
    w = random(4, 1, 1, 3)
    a = Conv2d(x, w)
    m = ReduceMean(a, axes=(1, 2), keepdims=False)
    f = Reshape(x, shape=(1, 192))
    v = random(4, 192)
    d = FullyConnected(f, v)
    y = Add(m, d)
    output(y)
"""


@pytest.mark.parametrize(("layout", "shape"), [("nhwc", NHWC), ("nchw", NCHW), ("keep", NHWC)])
def test_a_layout_that_costs_a_transpose(layout: str, shape: Any, tmp_path: Path) -> None:
    """The input feeds a flattening too, which wants it as it was."""
    model = save_onnx(tmp_path, TWO_USES, nchw=False)
    report = edgepack.export(
        model, "raspberry-pi-4", tmp_path / "out", formats="tflite,onnx", quantize="none",
        input_layout=layout,
    )  # fmt: skip
    for runtime in (
        LiteRTRuntime((tmp_path / "out" / "model.tflite").read_bytes()),
        OrtRuntime((tmp_path / "out" / "model.onnx").read_bytes()),
    ):
        assert runtime.inputs[0].shape == shape
    assert report.agreement["tflite_vs_onnx_max_abs"] is not None
    assert report.agreement["tflite_vs_onnx_max_abs"] < 1e-4
