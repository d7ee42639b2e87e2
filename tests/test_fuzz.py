"""Hundreds of damaged files: each is exported or refused, and none crashes a native runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgepack.writers.tflite import write_tflite
from tests import framework_models
from tests.quantized_op_cases import QUANTIZED_CASES
from tests.small_models import onnx_bytes, tflite_bytes

ROOT = Path(__file__).parent.parent
FILES = {
    "net.onnx": onnx_bytes,
    "net.tflite": tflite_bytes,
    "int8.tflite": lambda: write_tflite(QUANTIZED_CASES["conv2d/same_relu6"].graph()),
}


def assert_survives(tmp_path: Path, file: Path, first: int, count: int) -> None:
    worker = [sys.executable, "-m", "tests.fuzz_worker"]
    done = subprocess.run(
        [*worker, file, str(first), str(count), tmp_path],
        capture_output=True, text=True, cwd=ROOT, timeout=1800,
    )  # fmt: skip
    assert done.stdout.endswith("done\n"), f"{done.stdout[-30:]} ended it: {done.stderr[-2000:]}"
    assert [line for line in done.stdout.splitlines() if line.startswith("defect")] == []
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize("name", FILES)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name]())
    assert_survives(tmp_path, tmp_path / name, 0, 150)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name]())
    assert_survives(tmp_path, tmp_path / name, 1000, 1500)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Keras's, while it saves
@pytest.mark.parametrize("name", ["net.h5", "net.keras", "saved/saved_model.pb"])
def test_damaged_keras_files(name: str, tmp_path: Path) -> None:
    framework_models.save_keras(tmp_path)
    assert_survives(tmp_path, tmp_path / name, 0, 200)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch's, while it saves
def test_damaged_torch_files(tmp_path: Path) -> None:
    framework_models.save_torch(tmp_path)
    assert_survives(tmp_path, tmp_path / "net.pt2", 0, 200)
