"""What is written and said does not depend on the order of sets, which Python shuffles per run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack.ir.text import parse
from edgepack.writers.tflite import write_tflite
from tests import small_models
from tests.command_line import Result, spawn

SEEDS = ("1", "2")


def spawned(patch: pytest.MonkeyPatch, seed: str, *args: object) -> Result:
    patch.setenv("PYTHONHASHSEED", seed)
    return spawn(*args)


def everything(folder: Path) -> dict[str, bytes]:
    """Every file but report.html, which is made of report.json; there, without the stop-watch."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "report.html"
    }
    record = json.loads(files["report.json"])
    assert record["layers"]
    for measured in ("latency", "latencies"):
        record.pop(measured)
    return files | {"report.json": json.dumps(record).encode()}


def test_exports_and_their_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, found = small_models.save_onnx(tmp_path), []
    out = tmp_path / "out"
    options = ("--target", small_models.TARGET, "--formats", "tflite,onnx", "--json")
    for seed in SEEDS:
        result = spawned(monkeypatch, seed, "export", model, "--out", out, *options)
        assert result.code == 0, result.err
        found.append(everything(out))
        out.rename(tmp_path / seed)
    assert found[0].keys() == found[1].keys()
    assert [path for path in found[0] if found[0][path] != found[1][path]] == []


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"input_{letter}" for letter in "fdbeca"]
    lines = [f"{name}: float32[2] = input()" for name in names]
    graph = parse("\n".join([*lines, f"y = Concat({', '.join(names)}, axis=0)", "output(y)"]))
    (tmp_path / "net.tflite").write_bytes(write_tflite(graph))
    wrong = ("inspect", tmp_path / "net.tflite", "--input-shape", "none:2")
    for seed in SEEDS:
        assert f"the model has {', '.join(names)}" in spawned(monkeypatch, seed, *wrong).err
