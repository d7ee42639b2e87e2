"""Pruning from the options to the report and the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pruning_nets import COUPLED
from typer.testing import CliRunner

import edgepack
from edgepack.api.compress import steps_of
from edgepack.api.options import ExportOptions
from edgepack.calibrate.pruning_criteria import CRITERIA
from edgepack.cli import app
from edgepack.errors import BadInput
from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.report import Report
from tests.small_models import save_tflite

X = np.random.default_rng(0).random((12, 8, 8, 3), np.float32)
NET = COUPLED["a residual addition"]


def prune(out: Path, text: str = NET, target: str = "raspberry-pi-4", **options: Any) -> Report:
    options = {"calibration": X, "quantize": "none", **options}
    return edgepack.export(parse(text), target, out, **options)


def layers(graph: Graph) -> dict[str, int]:
    return {n.name: n.output.shape[-1] for n in graph.nodes_of("Conv2d", "FullyConnected")}


def test_a_third_of_the_work_goes(tmp_path: Path) -> None:
    report = prune(tmp_path, prune=0.3)
    (stage,) = report.compression
    assert stage.technique == "prune"
    assert stage.after.macs <= 0.7 * stage.before.macs
    assert stage.after.macs == report.compute.macs
    assert stage.after.params < stage.before.params
    assert stage.after.file_bytes < stage.before.file_bytes
    assert stage.after.arena_bytes < stage.before.arena_bytes
    assert stage.before.sqnr_db is None
    assert stage.after.sqnr_db is not None
    assert stage.changed == ("a: 8 to 6 channels (with 1 other layers)",)
    assert stage.refused == ("y: y is an output of the model",)
    assert Report.from_dict(json.loads(report.to_json())).to_json() == report.to_json()


def test_a_ratio_of_zero_changes_nothing(tmp_path: Path) -> None:
    prune(tmp_path / "plain")
    report = prune(tmp_path / "pruned", prune=0.0)
    plain, pruned = (
        (tmp_path / name / "model.tflite").read_bytes() for name in ("plain", "pruned")
    )
    assert plain == pruned
    assert report.compression[0].notes == ("nothing was to be removed",)


@pytest.mark.parametrize("quantize", ["int8", "fp16", "dynamic"])
def test_with_quantization(quantize: str, tmp_path: Path) -> None:
    report = prune(tmp_path, prune=0.3, quantize=quantize, formats="tflite,onnx")
    assert report.quantization.scheme == quantize
    assert report.compute.macs == report.compression[0].after.macs


def test_without_data(tmp_path: Path) -> None:
    report = prune(tmp_path, prune=0.3, calibration=None)
    assert "synthetic inputs" in report.compression[0].notes[0]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("allocation", ["sensitivity", "loss", "uniform"])
def test_every_criterion(criterion: str, allocation: str, tmp_path: Path) -> None:
    step = f"prune,ratio=0.3,criterion={criterion},allocation={allocation}"
    (stage,) = prune(tmp_path, compress=[step]).compression
    assert 0.1 * stage.before.macs < stage.after.macs <= 0.7 * stage.before.macs
    assert criterion in stage.notes[0]


@pytest.mark.parametrize("cost", ["energy", "bytes"])
def test_other_costs(cost: str, tmp_path: Path) -> None:
    (stage,) = prune(tmp_path, compress=[f"prune,ratio=0.3,cost={cost}"]).compression
    assert stage.after.params < stage.before.params


def test_channels_by_layer_and_the_multiple(tmp_path: Path) -> None:
    step = {"technique": "prune", "layers": {"a": 0.5}, "multiple": 1, "reconstruct": False}
    (stage,) = prune(tmp_path, compress=[step]).compression
    assert stage.changed == ("a: 8 to 4 channels (with 1 other layers)",)


def test_a_layer_with_a_share_of_its_own_and_the_rest_of_the_budget(tmp_path: Path) -> None:
    step = {"technique": "prune", "ratio": 0.5, "layers": {"a": 0.25}, "multiple": 1}
    (stage,) = prune(tmp_path, COUPLED["a chain"], compress=[step]).compression
    assert stage.changed[0] == "a: 8 to 6 channels"
    assert 0.4 * stage.before.macs < stage.after.macs <= 0.5 * stage.before.macs


def test_a_layer_that_is_to_be_left_alone(tmp_path: Path) -> None:
    step = {"technique": "prune", "ratio": 0.2, "layers": {"a": 0}}
    (stage,) = prune(tmp_path, COUPLED["a chain"], compress=[step]).compression
    assert [line.split(":")[0] for line in stage.changed] == ["z"]


def test_least_squares_gain_on_what_is_only_cut(tmp_path: Path) -> None:
    text = COUPLED["a concatenation"]
    found = [
        prune(tmp_path, text, compress=[f"prune,ratio=0.4,reconstruct={flag}"]).compression[0]
        for flag in ("true", "false")
    ]
    assert found[0].after.macs == pytest.approx(found[1].after.macs, rel=0.2)
    assert found[0].after.sqnr_db > found[1].after.sqnr_db


BAD = {
    "more than there is": ({"prune": 0.99}, "cannot be removed: a, the narrowest"),
    "a share of all": ({"prune": 1.0}, "0 to 1"),
    "a layer without channels": (
        {"compress": [{"technique": "prune", "layers": {"a": 0.97}}]}, "leave a none of its 8"
    ),
    "a share of a layer of 1": (
        {"compress": [{"technique": "prune", "layers": {"a": 1.0}}]}, "prune.layers.a"
    ),
    "an unknown layer": (
        {"compress": [{"technique": "prune", "layers": {"q": 0.5}}]}, "no layer q"
    ),
    "a layer that must stay": (
        {"compress": [{"technique": "prune", "layers": {"y": 0.5}}]}, "y is an output"
    ),
    "an unknown technique": ({"compress": ["shrink"]}, "no compression technique 'shrink'"),
    "an unknown setting": ({"compress": ["prune,ratio=0.1,speed=1"]}, "prune.speed: no such"),
    "an unknown criterion": ({"compress": ["prune,ratio=0.1,criterion=l7"]}, "one of"),
    "no ratio": ({"compress": ["prune"]}, "prune.ratio"),
    "not a pair": ({"compress": ["prune,0.1"]}, "TECHNIQUE,KEY=VALUE"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD.keys())
def test_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        prune(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    prune(tmp_path / "int8", quantize="int8")
    with pytest.raises(BadInput, match="prune works on real weights"):
        edgepack.export(
            tmp_path / "int8" / "model.tflite", "raspberry-pi-4", tmp_path / "out", prune=0.3
        )


RECIPE = """
quantize = "int8"
samples = 5
[layer]
a = "float"
[[compress]]
technique = "prune"
ratio = 0.2
[compress.layers]
z = 0
"""


def test_a_recipe_and_what_is_said_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    options = ExportOptions.of("export", {"recipe": path, "samples": 7})
    assert (options.quantize, options.samples, options.layers()) == ("int8", 7, {"a": "float"})
    (step,) = steps_of(options)
    assert (step.technique.name, step.settings.ratio) == ("prune", 0.2)
    assert step.settings.layers == {"z": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [("speed = 1", "speed: no such option"), ("quantize = ", "not valid TOML")],
)
def test_recipes_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        ExportOptions.of("export", {"recipe": path})
    with pytest.raises(BadInput, match="cannot read the recipe"):
        ExportOptions.of("export", {"recipe": tmp_path / "none.toml"})


def test_the_command_line(tmp_path: Path) -> None:
    model, data = save_tflite(tmp_path), tmp_path / "x.npy"
    np.save(data, X)
    arguments = [
        "export", str(model), "--target", "raspberry-pi-4", "--out", str(tmp_path / "out"),
        "--calibration", str(data), "--prune", "0.2", "--json", "--quantize", "none",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert report["compression"][0]["after"]["macs"] == report["compute"]["macs"]
