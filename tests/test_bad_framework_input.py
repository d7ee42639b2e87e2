"""Bad models of PyTorch, Keras and TensorFlow: one clear message, and no code of theirs runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import framework_models
from tests.command_line import assert_refused, call, placed

Capture = pytest.CaptureFixture[str]
Make = Callable[[Path, Path], list[object]]
pytestmark = pytest.mark.filterwarnings("ignore")  # of the frameworks, about their own internals


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    framework_models.save_keras(folder)
    return folder


@pytest.fixture(scope="module")
def torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    framework_models.save_torch(folder)
    return folder


def half(place: Path, name: str, folder: Path) -> Path:
    data = (place / name).read_bytes()
    return placed(folder, name, data[: len(data) // 2])


def saved(folder: Path, data: bytes) -> Path:
    return placed(folder, "saved/saved_model.pb", data).parent


KERAS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "an empty .h5": (lambda m, f: [placed(f, "e.h5", b"")], ("e.h5", "no readable Keras file")),
    "an empty .keras": (lambda m, f: [placed(f, "e.keras", b"")], ("e.keras", "no readable")),
    "half an .h5": (lambda m, f: [half(m, "net.h5", f)], ("net.h5", "truncated")),
    "half a .keras": (lambda m, f: [half(m, "net.keras", f)], ("net.keras", "no readable")),
    "an empty archive": (
        lambda m, f: [placed(f, "e.keras", b"PK\5\6" + bytes(18))], ("e.keras", "config.json"),
    ),
    "NaN in .h5": (lambda m, f: [m / "nan.h5"], ("NaN", "conv2d")),
    "NaN in .keras": (lambda m, f: [m / "nan.keras"], ("NaN", "conv2d")),
    "NaN in a SavedModel": (lambda m, f: [m / "nan_saved"], ("NaN", "conv2d")),
    "code in .h5": (lambda m, f: [m / "code.h5"], ("Lambda layer", "--trust")),
    "code in .keras": (lambda m, f: [m / "code.keras"], ("Lambda layer", "--trust")),
    "an empty SavedModel": (lambda m, f: [saved(f, b"")], ("saved", "serve")),
    "half a SavedModel": (
        lambda m, f: [half(m, "saved/saved_model.pb", f).parent], ("saved_model.pb", "damaged"),
    ),
    "no SavedModel": (lambda m, f: [saved(f, b"garbage" * 9)], ("saved_model.pb", "damaged")),
    "no variables": (
        lambda m, f: [saved(f, (m / "saved/saved_model.pb").read_bytes())], ("kernel", "bias"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS)
def test_keras(name: str, keras: Path, tmp_path: Path, capfd: Capture) -> None:
    make, words = KERAS[name]
    assert_refused(call(capfd, "inspect", *make(keras, tmp_path)), *words)


def test_code_runs_with_trust(keras: Path, capfd: Capture) -> None:
    assert call(capfd, "inspect", keras / "code.keras", "--trust").code == 0


def made(folder: Path, weights: str, shape: str = "1,3,8,8") -> list[object]:
    return [f"{folder}/net.py:make", "--weights", folder / weights, "--input-shape", shape]


TORCH: dict[str, tuple[Make, tuple[str, ...]]] = {
    "an empty .pt2": (lambda m, f: [placed(f, "e.pt2", b"")], ("e.pt2", "torch.export")),
    "half a .pt2": (lambda m, f: [half(m, "net.pt2", f)], ("net.pt2", "torch.export")),
    "another file": (lambda m, f: [placed(f, "n.pt2", b"garbage" * 9)], ("n.pt2", "torch.export")),
    "NaN in .pt2": (lambda m, f: [m / "nan.pt2"], ("NaN", "0.weight")),
    "NaN in a state dict": (lambda m, f: made(m, "nan.pth"), ("NaN", "0.weight")),
    "a pickled network": (lambda m, f: made(m, "whole.pth"), ("runs code", "--trust")),
    "a pickle that runs code": (lambda m, f: made(m, "bad.pth"), ("runs code", "--trust")),
    "a state dict that lacks a weight": (lambda m, f: made(m, "less.pth"), ("3.bias",)),
    "no state dict": (lambda m, f: made(m, "none.pth"), ("none.pth", "no file")),
    "no shape": (lambda m, f: [f"{m}/net.py:make"], ("shape", "--input-shape")),
    "another shape": (lambda m, f: made(m, "net.pth", "1,4,8,8"), ("3 channels", "input shape")),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch(name: str, torch: Path, tmp_path: Path, capfd: Capture) -> None:
    make, words = TORCH[name]
    assert_refused(call(capfd, "inspect", *make(torch, tmp_path)), *words)
    assert not (torch / "HACKED").exists()
