"""The Python API: the command line's names as calls."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgepack
import edgepack.api
from edgepack import cli
from edgepack.api import ExportOptions
from edgepack.api.options import TAKEN
from edgepack.errors import BadInput, BadModel
from edgepack.profiles import load_target
from edgepack.report import Report
from tests.small_models import TARGET, net, onnx_bytes, save_onnx, save_tflite

X = np.random.default_rng(0).random((6, 3, 8, 8), np.float32)


def test_names_are_calls_whatever_was_imported_before() -> None:
    for name in set(edgepack.__all__) - {"__version__"}:
        assert callable(getattr(edgepack, name)), name
    assert set(dir(edgepack)) >= set(edgepack.__all__)


def test_signatures() -> None:
    """What programs outside rely on; a change here is a change for them."""
    assert [f.name for f in dataclasses.fields(ExportOptions)] == [
        "formats", "quantize", "calibration", "data_free", "input_range", "samples", "per_tensor",
        "range_method", "effort", "layer", "max_flash", "min_sqnr", "io", "input_layout",
        "input_shape", "preprocess", "eval", "min_accuracy", "max_drop", "allow_misfit",
        "onnx_exact", "optimize", "prefix", "prune", "factorize", "cluster", "compress", "recipe",
        "weights", "trust", "seed", "threads",
    ]  # fmt: skip


def test_the_report_is_frozen_and_round_trips(tmp_path: Path) -> None:
    report = edgepack.export(save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=X)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.fits = False  # type: ignore[misc]
    assert report.ok
    assert Report.from_dict(json.loads(report.to_json())).to_json() == report.to_json()
    assert (tmp_path / "out" / "report.json").read_text() == report.to_json()


def _generator() -> Iterator[Any]:
    yield from X


CALIBRATIONS = {
    "an array": X,
    "an array of NHWC images": X.transpose(0, 2, 3, 1),
    "a mapping": {"x": X},
    "a list": list(X),
    "a generator": _generator,
    "an iterator": iter(list(X)),
    "pairs with labels": [(x, 1) for x in X],
}


def test_every_kind_of_calibration_gives_the_same_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X)
    np.save(tmp_path / "x.npy", X)
    files = {"an .npz": tmp_path / "x.npz", "a path as text": str(tmp_path / "x.npy")}
    model, found = save_onnx(tmp_path), {}
    for name, calibration in {**CALIBRATIONS, **files}.items():
        report = edgepack.export(model, TARGET, tmp_path / "out", calibration=calibration)
        assert report.quantization.data == "calibration"
        assert report.quantization.calibration_samples == len(X)
        found[name] = (tmp_path / "out" / "model.tflite").read_bytes()
    assert len(set(found.values())) == 1, {k: hash(v) for k, v in found.items()}


@pytest.mark.parametrize("formats", ["tflite,onnx", ("onnx", "tflite"), ["TFLite", "onnx"]])
def test_formats_as_text_or_sequence(formats: Any, tmp_path: Path) -> None:
    report = edgepack.export(save_onnx(tmp_path), TARGET, tmp_path / "out", formats=formats)
    assert [name for name, info in report.files.items() if info] == ["tflite", "onnx"]


def test_models_of_every_kind(tmp_path: Path) -> None:
    models = [
        save_onnx(tmp_path),
        str(save_tflite(tmp_path)),
        net(),
        onnx.load(save_onnx(tmp_path)),
    ]
    macs = {edgepack.inspect(model).compute.macs for model in models}
    assert macs == {edgepack.check(net(), TARGET).compute.macs}
    with pytest.raises(BadInput, match="cannot read a model"):
        edgepack.load(3)


def test_a_graph_that_is_given_is_left_alone() -> None:
    graph = net()
    before = [node.op for node in graph.nodes]
    edgepack.check(graph, TARGET)
    assert [node.op for node in graph.nodes] == before


def test_targets_by_name_or_as_objects() -> None:
    profile = load_target(TARGET)
    assert TARGET in [target.id for target in edgepack.targets()]
    assert edgepack.check(net(), profile).to_dict() == edgepack.check(net(), TARGET).to_dict()


@pytest.mark.parametrize("command", ["load", "inspect", "check", "export", "validate"])
def test_options_that_do_nothing_are_refused(command: str, tmp_path: Path) -> None:
    others = {"load": "input_layout", "inspect": "io", "check": "samples", "validate": "quantize"}
    arguments: dict[str, tuple[Any, ...]] = {
        "check": (net(), TARGET), "export": (net(), TARGET, tmp_path), "validate": (tmp_path,),
    }  # fmt: skip
    for name in ("no_such_option", others.get(command, "on")):
        with pytest.raises(TypeError, match=f"{command}\\(\\) takes no option {name}"):
            getattr(edgepack, command)(*arguments.get(command, (net(),)), **{name: None})


def test_the_command_line_takes_what_the_calls_take() -> None:
    arguments = {"model", "target", "out", "folder", "data", "on", "as_json", "quiet"}
    arguments.add("sensitivity")  # what inspect does, not how
    for command in ("inspect", "check", "export", "validate"):
        options = inspect.signature(getattr(cli, command)).parameters.keys() - arguments
        everything = tuple(f.name for f in dataclasses.fields(ExportOptions))
        names = {"eval" if name == "eval_data" else name for name in options}
        assert names == set(TAKEN.get(command, everything)), command


def test_a_check_of_what_is_quantized_takes_no_scheme(tmp_path: Path) -> None:
    edgepack.export(save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=X)
    with pytest.raises(BadInput, match="quantized already"):
        edgepack.check(tmp_path / "out" / "model.tflite", TARGET, quantize="fp16")


def test_check_of_a_quantized_file_judges_it_as_it_is(tmp_path: Path) -> None:
    exported = edgepack.export(save_onnx(tmp_path), TARGET, tmp_path / "out", calibration=X)
    checked = edgepack.check(tmp_path / "out" / "model.tflite", TARGET)
    assert checked.quantization.scheme == "source"
    assert checked.memory["arena_bytes"] == exported.memory["arena_bytes"]


def test_io_float(tmp_path: Path) -> None:
    report = edgepack.export(net(), TARGET, tmp_path / "out", io="float", calibration=X)
    assert report.quantization.io == "float"
    assert report.quantization.scheme == "int8"


@pytest.mark.parametrize("quantize", ["none", "fp16", "dynamic"])
def test_other_schemes(quantize: str, tmp_path: Path) -> None:
    report = edgepack.export(net(), "raspberry-pi-4", tmp_path / "out", quantize=quantize)
    assert report.quantization.scheme == quantize
    assert report.ok
    sqnr = report.accuracy.output_sqnr_db["tflite"]
    assert sqnr is None or sqnr > 30


def test_values_that_overflow_name_the_tensor(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="value a becomes"):
        edgepack.export(
            onnx.load_from_string(onnx_bytes()), TARGET, tmp_path, calibration=X * np.float32(1e30)
        )
