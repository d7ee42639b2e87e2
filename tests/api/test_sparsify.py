"""Zeros among weights: stored in less where the runtime fills them up, refused elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.errors import BadInput
from edgepack.ir import Value
from edgepack.ir.text import parse
from edgepack.report import Report
from edgepack.run.litert import LiteRTRuntime

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


def export(out: Path, *steps: Any, target: str = "nucleo-l4r5zi", **options: Any) -> Report:
    return edgepack.export(parse(NET), target, out, calibration=X, compress=steps, **options)


def weights_of(out: Path) -> Value:
    graph = edgepack.load(out / "model.tflite")
    return next(n for n in graph.nodes_of("Conv2d") if n.output.shape[-1] == 16).input(1)


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
    weights = weights_of(tmp_path / "sparse")
    assert np.mean(weights.const == 0) == pytest.approx(share, abs=0.05)
    assert [stage.technique for stage in report.compression] == ["sparsify", "code"]


@pytest.mark.parametrize("scheme", ["none", "fp16", "int8"])
def test_litert_takes_them_in_less(scheme: str, tmp_path: Path) -> None:
    pi: dict[str, Any] = {"target": "raspberry-pi-4", "quantize": scheme}
    plain = export(tmp_path / "plain", **pi)
    report = export(tmp_path / "sparse", "sparsify,ratio=0.8", **pi)
    before, after = plain.files["tflite"], report.files["tflite"]
    assert before is not None
    assert after is not None
    assert after.bytes < (0.75 if scheme == "int8" else 0.5) * before.bytes
    weights = weights_of(tmp_path / "sparse")
    assert np.mean(weights.real == 0) == pytest.approx(0.8, abs=0.05)
    assert "bytes of RAM" in report.compression[-1].notes[0]
    assert edgepack.validate(tmp_path / "sparse").ok
    if scheme == "int8":
        assert "fully connected" in report.compression[-1].refused[0]


@pytest.mark.parametrize("effort", [0, 1])
@pytest.mark.parametrize("scheme", ["int8", "w4a8"])
def test_zeros_stay_zero_whatever_the_effort(scheme: str, effort: int, tmp_path: Path) -> None:
    export(tmp_path, "sparsify,ratio=0.6", target="raspberry-pi-4", quantize=scheme, effort=effort)
    graph = edgepack.load(tmp_path / "model.tflite")
    for node in graph.nodes_of("Conv2d", "FullyConnected"):
        assert np.mean(node.input(1).const == 0) >= 0.59, node.name


def test_other_bytes_and_the_same_numbers(tmp_path: Path) -> None:
    """The step `code` alone: the ONNX file is what it was, and TFLite gives the same outputs."""
    zeros = parse(NET)
    for value in zeros.constants():
        value.data = np.where(np.random.default_rng(1).random(value.shape) < 0.7, 0, value.const)
    for name, steps in {"plain": (), "sparse": ("code",)}.items():
        edgepack.export(zeros, "raspberry-pi-4", tmp_path / name, formats="tflite,onnx",
                        quantize="none", compress=steps)  # fmt: skip
    plain, sparse = ((tmp_path / name / "model.onnx").read_bytes() for name in ("plain", "sparse"))
    assert plain == sparse
    plain, sparse = ((tmp_path / n / "model.tflite").read_bytes() for n in ("plain", "sparse"))
    assert len(sparse) < 0.5 * len(plain)
    for sample in X:
        wanted, found = (LiteRTRuntime(f).run([sample[None]])[0] for f in (plain, sparse))
        np.testing.assert_array_equal(found, wanted)


def test_refused_where_zeros_are_stored_like_all_else(tmp_path: Path) -> None:
    plain = export(tmp_path / "plain", target="coral-edgetpu")
    report = export(tmp_path / "sparse", "sparsify,ratio=0.6", target="coral-edgetpu")
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
