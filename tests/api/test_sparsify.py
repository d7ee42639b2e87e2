"""Zeros among weights: stored in less by TensorFlow Lite Micro, refused elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.errors import BadInput
from edgepack.ir.text import parse
from edgepack.report import Report

X = np.random.default_rng(0).random((12, 8, 8, 4), np.float32)
NET = """
    x: float32[1, 8, 8, 4] = input()
    w = random(32, 3, 3, 4)
    a = Conv2d(x, w, pad=((1, 1), (1, 1)), activation="relu")
    v = random(16, 3, 3, 32)
    b = Conv2d(a, v, pad=((1, 1), (1, 1)), activation="relu")
    m = ReduceMean(b, axes=(1, 2), keepdims=False)
    u = random(5, 16)
    y = FullyConnected(m, u)
    output(y)
"""


def export(out: Path, *steps: Any, target: str = "nucleo-l4r5zi") -> Report:
    return edgepack.export(parse(NET), target, out, calibration=X, compress=steps)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        ("sparsify,ratio=0.6", 0.6),
        ("sparsify,ratio=0.6,criterion=magnitude", 0.6),
        ("sparsify,pattern=2:4", 0.5),
        ("sparsify,ratio=0.5,pattern=block4", 0.5),
    ],
)
def test_zeros_are_there_and_take_less(step: str, share: float, tmp_path: Path) -> None:
    plain, report = export(tmp_path / "plain"), export(tmp_path / "sparse", step)
    before, after = plain.files["tflite"], report.files["tflite"]
    assert before is not None
    assert after is not None
    assert after.bytes < 0.9 * before.bytes
    graph = edgepack.load(tmp_path / "sparse" / "model.tflite")
    weights = next(n for n in graph.nodes_of("Conv2d") if n.output.shape[-1] == 16).input(1)
    assert np.mean(weights.const == 0) == pytest.approx(share, abs=0.05)
    assert [stage.technique for stage in report.compression] == ["sparsify", "code"]


def test_refused_where_zeros_are_stored_like_all_else(tmp_path: Path) -> None:
    plain = export(tmp_path / "plain", target="raspberry-pi-4")
    report = export(tmp_path / "sparse", "sparsify,ratio=0.6", target="raspberry-pi-4")
    assert all("dense ones take the same bytes" in s.refused[0] for s in report.compression)
    assert plain.files == report.files


def test_nothing_is_nothing(tmp_path: Path) -> None:
    plain = export(tmp_path / "plain", "code")
    report = export(tmp_path / "sparse", "sparsify,ratio=0")
    assert plain.files == report.files


BAD = {
    "a pattern that does not divide": ("sparsify,pattern=2:6", "a reads 4 channels.* into 6"),
    "no pattern": ("sparsify,pattern=4:2", "sparsify.pattern"),
    "all of them": ("sparsify,ratio=1.0", "keeps some of its weights"),
    "no ratio": ("sparsify", "sparsify.ratio"),
    "an unknown layer": (
        {"technique": "sparsify", "ratio": 0.5, "layers": {"q": 0.1}}, "no layer q"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("step", "message"), BAD.values(), ids=BAD.keys())
def test_refused(step: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        export(tmp_path / "out", step)
