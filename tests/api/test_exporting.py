"""What an export does no more often than needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.api import exporting
from edgepack.ir import Array
from edgepack.validation.files import OpenFile
from tests.small_models import NET, TARGET, save_onnx

LOGITS = NET.replace("y = Softmax(d)\n    output(y)", "output(d)")
X = np.random.default_rng(0).random((30, 3, 8, 8), np.float32)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, bytes]]:
    """How often each file was run on each sample."""
    counted: Counter[tuple[int, bytes]] = Counter()
    real = OpenFile.run

    def run(self: OpenFile, sample: Mapping[str, Array]) -> Any:
        counted[id(self.runtime), sample["x"].tobytes()] += 1
        return real(self, sample)

    monkeypatch.setattr(OpenFile, "run", run)
    return counted


CASES: dict[str, tuple[dict[str, Any], int]] = {
    "with a float model beside it": ({"calibration": X}, 16),
    "alone": ({"quantize": "none"}, 8),
    "on evaluation data": ({"calibration": X, "eval": "eval.npz"}, 30),
}


@pytest.mark.parametrize("name", CASES)
def test_each_sample_runs_once(
    name: str, runs: Counter[tuple[int, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("eval.npz", x=X, y=np.arange(30) % 4)
    options, samples = CASES[name]
    edgepack.export(save_onnx(tmp_path, LOGITS), "raspberry-pi-4", "out", **options)
    assert set(runs.values()) == {1}
    files = {file for file, _ in runs}
    assert [sum(file == each for file, _ in runs) for each in files] == [samples] * len(files)
    with np.load("out/device/samples.npz") as stored:
        assert {array.shape[0] for array in stored.values()} == {8}
        fed = stored["tflite_in_0"][:, 0].transpose(0, 3, 1, 2)
    if "eval" in options:  # spread over the data, which may be sorted by class
        np.testing.assert_array_equal(fed, X[[0, 3, 7, 11, 15, 18, 22, 26]])


def test_operators_are_looked_up_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[object] = []
    real = exporting.unsupported_on
    monkeypatch.setattr(exporting, "unsupported_on", lambda *a: (calls.append(a), real(*a))[1])
    edgepack.export(save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=X)
    assert len(calls) == 1


MICRO = {TARGET: True, "corstone-300": True, "raspberry-pi-4": False}


@pytest.mark.parametrize("target", MICRO)
def test_validation_runs_what_the_export_ran(target: str, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    report = edgepack.export(
        save_onnx(tmp_path), target, tmp_path / "out", calibration=X, io="int8"
    )
    assert ("tflm" in report.accuracy.exported) is MICRO[target]
    assert edgepack.validate(tmp_path / "out").agreement.keys() == report.agreement.keys()
    np.savez(tmp_path / "eval.npz", x=X, y=np.arange(30) % 4)
    measured = edgepack.validate(tmp_path / "out", tmp_path / "eval.npz")
    assert measured.accuracy.exported.keys() == report.accuracy.exported.keys()
