"""What a report says of compression, on the page and on the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pruning_nets import COUPLED

import edgepack
from edgepack.ir.text import parse
from edgepack.report.page import render_page
from edgepack.terminal import report_table


def test_steps_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).random((8, 8, 8, 3), np.float32)
    graph = parse(COUPLED["a residual addition"])
    step = "prune,ratio=0.3,allocation=uniform"
    report = edgepack.export(
        graph, "raspberry-pi-4", tmp_path, calibration=x, quantize="none", compress=[step]
    )
    page = render_page(report)
    assert "Compression, step by step" in page
    assert "prune: a: 8 to 6 channels" in page
    report_table(report, None)
    shown = capsys.readouterr().out
    assert "before (float32)" in shown
    assert "prune: left alone: y: y is an output of the model" in shown
