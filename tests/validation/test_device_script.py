"""DIR/device/validate.py: self-contained, for old Pythons and runtimes, honest about damage."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.validation.bundle import SCRIPT
from tests.small_models import NET, save_onnx

OLD_RUNTIME = ("tflite-runtime==2.14.0", "numpy<2")
X = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
EXPORTS: dict[str, dict[str, Any]] = {
    "int8": {"target": "nucleo-l4r5zi", "calibration": X},
    "int8 with float io": {"target": "raspberry-pi-4", "quantize": "int8", "io": "float"},
    "float": {"target": "raspberry-pi-4", "quantize": "none"},
    "fp16": {"target": "raspberry-pi-4", "quantize": "fp16"},
    "bf16": {"target": "raspberry-pi-4", "quantize": "bf16"},
    "dynamic": {"target": "raspberry-pi-4", "quantize": "dynamic"},
    "int8 NCHW": {"target": "nucleo-l4r5zi", "input_layout": "nchw"},
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The `device` folder of each export."""
    folder = tmp_path_factory.mktemp("exports")
    model = save_onnx(folder, NET)
    found = {}
    for name, options in EXPORTS.items():
        out = folder / name.replace(" ", "_")
        edgepack.export(model, out=out, formats="tflite,onnx", **options)
        found[name] = out / "device"
    return found


def run_script(python: str | Path, device: Path, *args: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the one object on stdout; runs where no edgepack can be imported."""
    command = [str(python), "-I", str(device / "validate.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=device, timeout=120)
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return done.returncode, found


@pytest.mark.parametrize("form", ["tflite", "onnx"])
@pytest.mark.parametrize("name", EXPORTS)
def test_runs_here(name: str, form: str, exports: dict[str, Path]) -> None:
    code, found = run_script(sys.executable, exports[name], "--format", form, "--repeat", "3")
    assert (code, found["ok"]) == (0, True), found
    assert found["runtime"] == {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}[form]
    assert found["samples"] >= 8
    assert found["latency"]["runs"] == 3


def test_the_script_parses_as_python_3_7() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    imported = {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)}
    imported |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    runtimes = {"tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite"}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime", *runtimes}


@pytest.fixture
def device(exports: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    shutil.copytree(exports["int8"], tmp_path / "device")
    return tmp_path / "device"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Any] = {
    "a flipped bit": (lambda d: _flip(d / "model.tflite"), "sha256"),
    "no model": (lambda d: (d / "model.tflite").unlink(), "model.tflite"),
    "no samples": (lambda d: (d / "samples.npz").unlink(), "samples.npz"),
    "damaged samples": (lambda d: (d / "samples.npz").write_bytes(b"PK"), ""),
    "no manifest": (lambda d: (d / "manifest.json").unlink(), "manifest.json"),
    "half a manifest": (lambda d: (d / "manifest.json").write_text('{"files": '), ""),
    "an empty manifest": (lambda d: (d / "manifest.json").write_text("{}"), "files"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(name: str, device: Path) -> None:
    change, words = DAMAGE[name]
    change(device)
    code, found = run_script(sys.executable, device)
    assert code == 2
    assert found["ok"] is False
    assert words in found["error"]


def test_other_outputs_are_told(device: Path) -> None:
    with np.load(device / "samples.npz") as stored:
        arrays = dict(stored)
    arrays["tflite_out_0"] = arrays["tflite_out_0"] ^ np.int8(0x55)
    np.savez(device / "samples.npz", **arrays)
    code, found = run_script(sys.executable, device, "--format", "tflite")
    assert (code, found["ok"]) == (1, False)
    assert found["outputs"][0]["max_apart"] > 1


def test_a_format_that_is_not_there(device: Path) -> None:
    manifest = json.loads((device / "manifest.json").read_text())
    del manifest["files"]["onnx"]
    (device / "manifest.json").write_text(json.dumps(manifest))
    code, found = run_script(sys.executable, device, "--format", "onnx")
    assert (code, found["error"]) == (2, "RuntimeError: there is no onnx file")


def _cache() -> Path:
    return Path(os.environ.get("EDGEPACK_CACHE", "~/.cache/edgepack")).expanduser()


@pytest.fixture(scope="module")
def old_python() -> Path:
    """A Python with tflite-runtime 2.14 and numpy 1, made once and kept in the cache."""
    maker = shutil.which("python3.11")
    if maker is None:
        pytest.skip("tflite-runtime 2.14.0 has wheels up to Python 3.11, which is not here")
    home = _cache() / "tflite-runtime-2.14.0"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([maker, "-m", "venv", home], check=True, timeout=120)
        install = [python, "-m", "pip", "install", "--quiet", *OLD_RUNTIME]
        done = subprocess.run(install, capture_output=True, text=True, timeout=600)
        if done.returncode:
            shutil.rmtree(home, ignore_errors=True)
            pytest.skip(f"pip cannot fetch tflite-runtime: {done.stderr.strip()[-200:]}")
        (home / "ready").touch()
    return python


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPORTS if name != "bf16"])  # a newer type
def test_runs_with_tflite_runtime_2_14(
    name: str, exports: dict[str, Path], old_python: Path
) -> None:
    code, found = run_script(old_python, exports[name], "--repeat", "3")
    assert (code, found["ok"], found["runtime"]) == (0, True, "tflite-runtime"), found


@pytest.mark.slow
def test_names_what_to_install(exports: dict[str, Path], old_python: Path) -> None:
    code, found = run_script(old_python, exports["int8"], "--format", "onnx")
    assert code == 2
    assert "install onnxruntime" in found["error"]
