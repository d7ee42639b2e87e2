"""--cluster, --factorize and the steps code and ternarize, from options to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.errors import BadInput
from edgepack.ir.text import parse
from edgepack.run.base import TensorInfo
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.schema import decode
from edgepack.writers.tflite import write_tflite
from tests.small_models import TARGET

NET = """
    x: float32[1, 8, 8, 8] = input()
    w = random(24, 3, 3, 8)
    b = random(24)
    a = Conv2d(x, w, b, stride=(2, 2), pad=((0, 1), (0, 1)), activation="relu")
    m = ReduceMean(a, axes=(1, 2), keepdims=False)
    v = random(40, 24)
    d = FullyConnected(m, v)
    output(d)
"""
X = np.random.default_rng(0).random((16, 8, 8, 8), np.float32)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(parse(NET)))
    return str(path)


def exported(model: str, tmp_path: Path, target: str = TARGET, **options: Any) -> Any:
    return edgepack.export(model, target, tmp_path / "out", calibration=X, io="int8", **options)


def test_cluster_stores_indices_that_micro_unpacks(model: str, tmp_path: Path) -> None:
    report = exported(model, tmp_path, cluster=4)
    (step,) = report.compression
    assert step.technique == "cluster"
    assert step.after.file_bytes < step.before.file_bytes
    assert len(step.changed) == 2
    data = (tmp_path / "out" / "model.tflite").read_bytes()
    assert decode.OPERATOR.encode() in data
    assert list(report.accuracy.output_sqnr_db) == ["tflm"]
    assert any("LiteRT" in note for note in report.notes)
    again = edgepack.validate(tmp_path / "out")
    assert any("LiteRT" in note for note in again.notes)


def test_packed_models_are_unpacked_for_other_targets(model: str, tmp_path: Path) -> None:
    exported(model, tmp_path, cluster=4)
    packed = tmp_path / "out" / "model.tflite"
    again = edgepack.export(str(packed), "raspberry-pi-4", tmp_path / "again", calibration=X)
    data = (tmp_path / "again" / "model.tflite").read_bytes()
    assert decode.OPERATOR.encode() not in data
    assert len(data) > packed.stat().st_size
    assert "tflite" in again.accuracy.exported
    kept = edgepack.export(str(packed), TARGET, tmp_path / "kept", calibration=X)
    assert kept.files["tflite"].bytes == packed.stat().st_size


RECIPE = ("sparsify,ratio=0.5", "cluster,bits=4", "code")


def test_steps_add_up_and_the_outputs_are_those_of_the_plain_file(
    model: str, tmp_path: Path
) -> None:
    report = exported(model, tmp_path, compress=RECIPE)
    sizes = [step.after.file_bytes for step in report.compression]
    assert [step.technique for step in report.compression] == ["sparsify", "cluster", "code"]
    assert sizes[2] < sizes[1] < report.compression[1].before.file_bytes
    packed = (tmp_path / "out" / "model.tflite").read_bytes()
    graph = edgepack.load(tmp_path / "out" / "model.tflite")
    assert sum(v.packed is not None for v in graph.constants()) == 2
    plain = LiteRTRuntime(write_tflite(graph), reference_kernels=True)
    micro, whole = (TflmRuntime(d, *ports_of(plain)) for d in (packed, write_tflite(graph)))
    for seed in range(5):
        x = np.random.default_rng(seed).integers(-128, 128, (1, 8, 8, 8), np.int8)
        found, wanted = micro.run([x])[0], whole.run([x])[0]
        assert len(np.unique(wanted)) > 5
        np.testing.assert_array_equal(found, wanted)


def ports_of(runtime: LiteRTRuntime) -> list[list[TensorInfo]]:
    return [list(runtime.inputs), list(runtime.outputs)]


def test_ternary_layers_have_three_values(model: str, tmp_path: Path) -> None:
    name = next(n.name for n in edgepack.load(model).nodes if n.op == "Conv2d")
    exported(model, tmp_path, compress=[{"technique": "ternarize", "layers": [name]}])
    graph = edgepack.load(tmp_path / "out" / "model.tflite")
    values = {n.op: len(np.unique(n.input(1).const)) for n in graph.nodes if len(n.inputs) == 3}
    assert values["Conv2d"] == 3
    assert values.get("FullyConnected", 99) > 3


def test_refused_where_nothing_unpacks(model: str, tmp_path: Path) -> None:
    report = exported(model, tmp_path, target="raspberry-pi-4", cluster=4)
    (step,) = report.compression
    assert step.changed == ()
    assert "does not unpack weights" in step.refused[0]
    assert decode.OPERATOR.encode() not in (tmp_path / "out" / "model.tflite").read_bytes()


def test_factorized_layers_are_fewer_weights(model: str, tmp_path: Path) -> None:
    report = exported(model, tmp_path, factorize=0.3)
    (step,) = report.compression
    assert step.after.params < 0.72 * step.before.params
    assert step.after.sqnr_db is not None
    assert step.after.sqnr_db > 5


BAD = {
    "no such bits": ({"cluster": 8}, "1 to 7 bits"),
    "bits of a layer": (
        {"compress": [{"technique": "cluster", "bits": 4, "layers": {"conv": 9}}]}, "layers.conv",
    ),
    "no such layer": (
        {"compress": [{"technique": "cluster", "bits": 4, "layers": {"nothing": 2}}]},
        "no layer nothing",
    ),
    "no such layer to split": (
        {"compress": [{"technique": "factorize", "layers": {"nothing": 2}}]}, "no layer nothing",
    ),
    "all weights": ({"factorize": 1.0}, "share of weights"),
    "nothing asked": ({"compress": ["factorize"]}, "one of ratio"),
    "two ways": ({"compress": ["factorize,ratio=0.3,energy=0.9"]}, "one of ratio"),
    "no such coding": ({"compress": ["code,coding=zip"]}, "coding"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_settings_name_the_field(case: str, model: str, tmp_path: Path) -> None:
    options, words = BAD[case]
    with pytest.raises(BadInput, match=words):
        exported(model, tmp_path, **options)


def test_a_rank_above_the_full_one_names_the_layer(model: str, tmp_path: Path) -> None:
    name = next(n.name for n in edgepack.load(model).nodes if n.op == "Conv2d")
    steps = [{"technique": "factorize", "layers": {name: 25}}]
    with pytest.raises(BadInput, match=f"full rank of {name}, which is 24"):
        exported(model, tmp_path, compress=steps)


def test_full_rank_leaves_the_model_as_it_is(model: str, tmp_path: Path) -> None:
    name = next(n.name for n in edgepack.load(model).nodes if n.op == "Conv2d")
    report = exported(model, tmp_path, compress=[{"technique": "factorize", "layers": {name: 24}}])
    (step,) = report.compression
    assert step.changed == ()
    assert step.after.params == step.before.params
    assert "would not take fewer bytes" in step.refused[0]
