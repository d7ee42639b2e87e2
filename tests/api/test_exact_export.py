"""`--onnx-exact`: the exported ONNX file gives TensorFlow Lite Micro's bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import edgepack
from edgepack.errors import BadInput
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.tflm import TflmRuntime
from tests.small_models import TARGET, save_onnx

X = np.random.default_rng(0).random((6, 3, 8, 8), np.float32)
BOTH = "tflite,onnx"


def test_the_exported_files_agree_to_the_bit(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    report = edgepack.export(
        save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=X, formats=BOTH,
        onnx_exact=True,
    )  # fmt: skip
    assert any("model.onnx is the exact one" in note for note in report.notes)
    tflite, exact = (
        (tmp_path / "out" / f"model.{kind}").read_bytes() for kind in ("tflite", "onnx")
    )
    assert "ConvInteger" in {n.op_type for n in onnx.load_from_string(exact).graph.node}
    described = LiteRTRuntime(tflite)
    micro, portable = TflmRuntime(tflite, described.inputs, described.outputs), OrtRuntime(exact)
    rng = np.random.default_rng(1)
    for _ in range(8):  # the ONNX file keeps the source's NCHW
        x = rng.integers(-128, 128, portable.inputs[0].shape, np.int8)
        (want,), (got,) = micro.run([np.moveaxis(x, 1, -1)]), portable.run([x])
        np.testing.assert_array_equal(got, want)


def test_without_onnx_among_the_formats_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="formats are tflite"):
        edgepack.export(
            save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=X, formats="tflite",
            onnx_exact=True,
        )  # fmt: skip


def test_float_models_have_nothing_to_spell_out(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="real numbers"):
        edgepack.export(
            save_onnx(tmp_path), TARGET, tmp_path / "out", quantize="none", formats=BOTH,
            onnx_exact=True,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()
