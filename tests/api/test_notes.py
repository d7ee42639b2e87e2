"""What reports say beside their figures: notes on nodes, data and runs, and warnings."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import edgepack
from edgepack.ir import Array
from edgepack.report import Accuracy, Report
from edgepack.validation.watch import drop_warnings
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


IMAGES = np.random.default_rng(0).random((12, 3, 8, 8), np.float32)
LABELS = np.arange(12) % 4


def labelled(folder: Path, name: str, images: Array) -> Path:
    path = folder / f"{name}.npz"
    np.savez(path, x=images, y=LABELS)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """An int8 export that was measured on IMAGES."""
    folder = tmp_path_factory.mktemp("exported")
    data = labelled(folder, "measured", IMAGES)
    report = edgepack.export(
        save_onnx(folder), TARGET, folder / "out", calibration=IMAGES, eval=data, formats="tflite"
    )
    return folder, report


def copy_of(exported: tuple[Path, Report], folder: Path) -> Path:
    return Path(shutil.copytree(exported[0] / "out", folder / "out"))


def test_float_accuracy_is_kept_for_the_same_data_only(
    exported: tuple[Path, Report], tmp_path: Path
) -> None:
    real = exported[1].accuracy.float_
    assert real is not None
    out = copy_of(exported, tmp_path)
    other = labelled(tmp_path, "other", IMAGES[::-1])
    again = edgepack.validate(out, other, max_drop=1.0)
    assert again.accuracy.float_ is None
    assert again.accuracy.exported["tflite"] is not None
    missed = again.requirements[-1]
    assert not missed.met
    assert "not measured: export with --eval and these data" in missed.found
    out = copy_of(exported, tmp_path / "second")
    same = labelled(tmp_path, "same", IMAGES)
    kept = edgepack.validate(out, same, max_drop=1.0)
    assert kept.accuracy.float_ == real
    assert kept.accuracy.exported == exported[1].accuracy.exported
    assert kept.requirements[-1].met


def test_notes_say_which_samples_were_used(exported: tuple[Path, Report], tmp_path: Path) -> None:
    out = copy_of(exported, tmp_path)
    data = labelled(tmp_path, "other", IMAGES)
    assert f"measured on {data}: 12 samples" in edgepack.validate(out, data).notes
    later = edgepack.validate(out).notes
    assert [note for note in later if note.startswith("measured on")] == [
        "measured on the 8 samples in device/"
    ]


def test_data_that_nobody_preprocessed(exported: tuple[Path, Report], tmp_path: Path) -> None:
    out = copy_of(exported, tmp_path)
    bytes_ = labelled(tmp_path, "bytes", IMAGES * 255)
    warning = "values of 'x' lie outside what that input was calibrated for"
    found = edgepack.validate(out, bytes_).warnings
    assert [w for w in found if warning in w and "is --preprocess missing?" in w]
    mended = edgepack.validate(out, bytes_, preprocess="scale=1/255").warnings
    assert not [w for w in mended if warning in w]


def test_float_inputs_are_watched_too(tmp_path: Path) -> None:
    data = labelled(tmp_path, "bytes", IMAGES * 255)
    report = edgepack.export(
        save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=IMAGES, eval=data, io="float"
    )
    assert [w for w in report.warnings if "% of the values of 'x' lie outside" in w]


ODD = IMAGES.copy()
ODD[3] = 0.5


@pytest.mark.parametrize("quantize", ["int8", "none", "fp16", "dynamic", "source"])
def test_odd_data_is_told_whatever_the_scheme(quantize: str, tmp_path: Path) -> None:
    model, out, scheme = save_onnx(tmp_path), tmp_path / "out", quantize
    if quantize == "source":
        edgepack.export(model, TARGET, tmp_path / "first", calibration=IMAGES)
        model, scheme = tmp_path / "first" / "model.tflite", "auto"
    odd = labelled(tmp_path, "odd", ODD)
    calibrated = edgepack.export(
        model, "raspberry-pi-4", out, quantize=scheme, calibration=ODD
    ).warnings
    assert [w for w in calibrated if w.startswith("input 'x': sample 3 ")]
    measured = edgepack.export(
        model, "raspberry-pi-4", out, quantize=scheme, calibration=IMAGES, eval=odd,
        input_range=(0.1, 0.9),
    ).warnings  # fmt: skip
    for start in ("on these data, input 'x': sample 3 ", "on these data, input 'x' spans "):
        assert [w for w in measured if w.startswith(start)]
    assert [w for w in measured if w.startswith("input 'x' spans ")]
    again = edgepack.validate(out, odd).warnings
    assert [w for w in again if w.startswith("on these data, input 'x': sample 3 ")]
    better = edgepack.validate(out, labelled(tmp_path, "good", IMAGES)).warnings
    assert not [w for w in better if "sample 3" in w]


def test_ties_are_told(tmp_path: Path) -> None:
    flat = dedent(NET).replace("v = random(4, 8)", "v = full(1e-3, 4, 8)")
    data = labelled(tmp_path, "measured", IMAGES)
    report = edgepack.export(
        save_onnx(tmp_path, flat), TARGET, tmp_path / "out", calibration=IMAGES, eval=data
    )
    assert [w for w in report.warnings if "equal integers for 100% of the samples" in w]


DROPS = {"far below": (0.9, 0.85, ["5.0 points below float"]), "near": (0.9, 0.89, [])}


@pytest.mark.parametrize("case", DROPS)
def test_large_drops_are_told(case: str) -> None:
    real, found, words = DROPS[case]
    warnings = drop_warnings(Accuracy(real, {"tflite": found, "onnx": None}))
    assert [w.rpartition(" is ")[2] for w in warnings] == words
