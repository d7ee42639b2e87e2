"""The command in the report gives the same export again."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

import edgepack
from edgepack.api.command import command_line
from edgepack.profiles import load_target
from tests.command_line import call
from tests.small_models import TARGET, save_onnx

CASES = {
    "defaults are left out": ({"seed": 0, "threads": 2, "layer": [], "eval": None}, ""),
    "a flag": ({"per_tensor": True}, "--per-tensor"),
    "a value that looks like an option": ({"input_range": (-1, 1)}, "--input-range=-1,1"),
    "a repeated option": ({"layer": ["a=float", "b c=w4a8"]}, "--layer a=float --layer 'b c=w4a8'"),
    "layers as a mapping": ({"layer": {"a": "int16x8"}}, "--layer a=int16x8"),
    "a shape": ({"input_shape": (1, 3, 8, 8)}, "--input-shape 1,3,8,8"),
    "shapes by name": ({"input_shape": {"a": (1, 2), "b": (3,)}}, "--input-shape 'a:1,2;b:3'"),
    "formats": ({"formats": ["tflite", "onnx"]}, "--formats tflite,onnx"),
    "arrays": ({"calibration": np.zeros((2, 3))}, "--calibration '<ndarray>'"),
    "a step": ({"compress": {"technique": "prune", "ratio": 0.3}}, "--compress prune,ratio=0.3"),
    "a step by layer": (
        {"compress": [{"technique": "prune", "layers": {"a": 1}}]}, "--compress '<table>'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_options_in_words(case):
    options, words = CASES[case]
    line = command_line("export", "a model.onnx", load_target(TARGET), options, "out")
    start = f"edgepack export 'a model.onnx' --target {TARGET} --out out"
    assert line == f"{start} {words}".strip()


def test_the_command_gives_the_same_files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((6, 3, 8, 8), np.float32))
    report = edgepack.export(
        save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=tmp_path / "x.npz",
        formats=("tflite", "onnx"), per_tensor=True, samples=5,
    )  # fmt: skip
    first = (tmp_path / "out" / "model.tflite").read_bytes()
    (tmp_path / "out" / "model.tflite").unlink()
    assert report.command is not None
    again = call(capfd, *shlex.split(report.command)[1:], "--json").json
    assert (tmp_path / "out" / "model.tflite").read_bytes() == first
    assert again["command"] == report.command
