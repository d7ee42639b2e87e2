"""What reports say beside their figures: notes on nodes, data and runs, and warnings."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import edgepack
from tests.small_models import NET, TARGET, save_onnx

FLOAT_TAIL = dedent(NET).replace(
    "output(y)", "e = Exp(y)\ng = Exp(e)\ns = Sin(g)\nh = Sin(s)\nj = Sin(h)\noutput(j)"
)
FLOAT_NOTES = {
    "e and g stay float32: no int8 kernel for EXP in TensorFlow Lite Micro",
    "s, h and j stay float32: no int8 kernel for SIN in TensorFlow Lite Micro",
}


def test_notes_name_the_nodes_that_stay_float(tmp_path: Path) -> None:
    model = save_onnx(tmp_path, FLOAT_TAIL)
    assert set(edgepack.check(model, TARGET).notes) >= FLOAT_NOTES
    out = tmp_path / "out"
    assert set(edgepack.export(model, TARGET, out).notes) >= FLOAT_NOTES
    assert set(edgepack.validate(out).notes) >= FLOAT_NOTES


def test_float_models_have_no_such_notes(tmp_path: Path) -> None:
    assert not edgepack.check(save_onnx(tmp_path), TARGET).notes
    assert not edgepack.check(save_onnx(tmp_path, FLOAT_TAIL), TARGET, quantize="none").notes
