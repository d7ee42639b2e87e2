"""Mixed precision, `--layer` and `inspect --sensitivity` on a small net, from options to files."""

import json

import numpy as np
import pytest

import edgepack
from edgepack.api.options import ExportOptions, parse_bytes
from edgepack.errors import BadInput
from edgepack.ir.text import parse
from edgepack.writers.tflite import write_tflite

MICRO = "nucleo-l4r5zi"
NET = """
    x: float32[1, 8, 8, 8] = input()
    w1 = random(32, 3, 3, 8)
    b1 = random(32)
    first = Conv2d(x, w1, b1, pad=((1, 1), (1, 1)), activation="relu")
    w2 = random(32, 3, 3, 32)
    b2 = random(32)
    second = Conv2d(first, w2, b2, stride=(2, 2), pad=((0, 1), (0, 1)), activation="relu")
    w3 = random(16, 1, 1, 32)
    third = Conv2d(second, w3, activation="relu6")
    m = ReduceMean(third, axes=(1, 2))
    w4 = random(10, 16)
    logits = FullyConnected(m, w4)
    y = Softmax(logits)
    output(y)"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "net.tflite").write_bytes(write_tflite(parse(NET)))
    rng = np.random.default_rng(5)
    np.save(folder / "data.npy", rng.normal(size=(24, 8, 8, 8)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def run(files):
    def export(name, **options):
        return edgepack.export(
            files / "net.tflite", MICRO, files / name, calibration=files / "data.npy",
            formats="tflite", **options,
        )  # fmt: skip

    return export


def schemes(report):
    return {layer.node: layer.scheme for layer in report.layers}


def test_without_a_budget_mixed_is_int8(run):
    mixed, plain = run("free", quantize="mixed"), run("int8", quantize="int8")
    assert mixed.files["tflite"].sha256 == plain.files["tflite"].sha256
    assert {layer.reason for layer in mixed.layers if layer.scheme} == {"8 bits are enough"}


def test_a_flash_budget_is_kept_and_used(run):
    most = run("most", quantize="int8").memory["flash_bytes"]
    least = run("least", quantize="w4a8").memory["flash_bytes"]
    budget = (most + least) // 2
    report = run("flash", quantize="mixed", max_flash=budget)
    assert report.ok
    assert report.memory["flash_bytes"] <= budget
    assert {"int8", "w4a8"} <= set(schemes(report).values())


def test_a_flash_budget_that_is_too_small_is_not_met(run):
    report = run("small", quantize="mixed", max_flash="1KB")
    assert not report.ok
    (flash,) = (r for r in report.requirements if r.name == "flash")
    assert "the least that 4-bit weights allow" in flash.found


@pytest.mark.parametrize("wanted", [15.0, 25.0, 40.0])
def test_an_sqnr_is_reached_with_no_more_bytes_than_a_higher_one(run, wanted):
    report = run(f"db{wanted}", quantize="mixed", min_sqnr=wanted)
    (sqnr,) = (r for r in report.requirements if r.name == "output SQNR")
    assert sqnr.met
    assert float(sqnr.found.split()[0]) >= wanted
    higher = run(f"higher{wanted}", quantize="mixed", min_sqnr=wanted + 8)
    assert report.memory["flash_weight_bytes"] <= higher.memory["flash_weight_bytes"]


@pytest.fixture(scope="module")
def labelled(files):
    """Inputs whose classes are what the float net says, but for every tenth."""
    from edgepack.run.litert import LiteRTRuntime

    x = np.random.default_rng(6).normal(size=(200, 8, 8, 8)).astype(np.float32)
    runtime = LiteRTRuntime((files / "net.tflite").read_bytes())
    y = np.array([int(runtime.run([sample[None]])[0].argmax()) for sample in x])
    y[::10] = (y[::10] + 1) % 10
    np.savez(files / "labelled.npz", x=x, y=y)
    return files / "labelled.npz"


@pytest.mark.parametrize("limit", [{"max_drop": 0.15}, {"max_drop": 0.02}, {"min_accuracy": 0.8}])
def test_the_smallest_file_that_is_accurate_enough(run, labelled, limit):
    report = run("accurate", quantize="mixed", eval=labelled, **limit)
    again = run("again", quantize="mixed", eval=labelled, **limit)
    assert report.files["tflite"].sha256 == again.files["tflite"].sha256
    assert [r.met for r in report.requirements if r.name.startswith("accuracy")] == [True]
    narrow = run("narrow", quantize="w4a8", effort=0, eval=labelled, **limit)
    whole = run("whole", quantize="int8", eval=labelled, **limit)
    small, size, large = (r.memory["flash_bytes"] for r in (narrow, report, whole))
    assert small <= size
    assert size <= large or not whole.ok
    assert size == small or not narrow.ok
    reasons = {layer.reason for layer in report.layers if layer.scheme == "w4a8"}
    assert all("accuracy asked for" in reason for reason in reasons)


def test_an_accuracy_out_of_reach_is_not_met(run, labelled):
    report = run("beyond", quantize="mixed", eval=labelled, min_accuracy=0.99)
    assert not report.ok


def test_a_layer_is_what_the_user_asks_for(run):
    report = run("named", quantize="int8", layer=["second=w4a8", "logits=float"])
    found = schemes(report)
    assert found["second"] == "w4a8"
    assert found["logits"] == "float"
    assert found["first"] == "int8"
    reasons = {layer.node: layer.reason for layer in report.layers}
    assert reasons["second"] == reasons["logits"] == "asked for with --layer"


def test_a_layer_with_a_giant_channel_is_the_worst_and_stays_float(files):
    graph = parse(NET)
    node = next(n for n in graph.nodes if n.name == "third")
    weights = node.input(1).const.copy()
    weights[0] *= 60
    node.set_input(1, graph.constant(weights))
    (files / "outlier.tflite").write_bytes(write_tflite(graph))
    found = edgepack.inspect(
        files / "outlier.tflite", sensitivity=True, target=MICRO, per_tensor=True,
        calibration=files / "data.npy",
    )  # fmt: skip
    worst = found.sensitivity[0]
    assert worst.node == "third"
    assert worst.scheme == "float"
    assert "int8 weights alone leave" in worst.reason
    per_channel = edgepack.inspect(
        files / "outlier.tflite", sensitivity=True, target=MICRO, calibration=files / "data.npy"
    )
    assert "float" not in {layer.scheme for layer in per_channel.sensitivity}


def test_sensitivity_has_the_worst_first_and_remedies_for_three(files):
    found = edgepack.inspect(files / "net.tflite", sensitivity=True, calibration=files / "data.npy")
    alone = [layer.alone_db["int8"] for layer in found.sensitivity]
    assert alone == sorted(alone)
    assert [layer.remedy is not None for layer in found.sensitivity] == [
        True, True, True, *[False] * (len(alone) - 3),
    ]  # fmt: skip
    assert json.loads(json.dumps(found.to_dict()))["sensitivity"][0]["alone_db"]["int8"] == alone[0]


def test_the_overlay_names_tensors_of_the_file(run, files):
    from ai_edge_litert.interpreter import Interpreter

    run("overlay", quantize="w4a8")
    interpreter = Interpreter(str(files / "overlay" / "model.tflite"))
    tensors = {detail["name"] for detail in interpreter.get_tensor_details()}
    for name in ("model_explorer.json", "model_explorer_bits.json"):
        results = json.loads((files / "overlay" / name).read_text())["main"]["results"]
        assert {"first", "second", "third"} <= set(results) <= tensors


REFUSED = {
    "no such layer": ({"quantize": "int8", "layer": ["secnod=int8"]}, "second"),
    "no such kernel": ({"quantize": "int8", "layer": ["m=w4a8"]}, "no such kernel"),
    "not a precision": ({"quantize": "int8", "layer": ["second=int3"]}, "w4a8"),
    "no name": ({"quantize": "int8", "layer": ["=int8"]}, "NAME=PRECISION"),
    "a scheme without layers": ({"quantize": "dynamic", "layer": ["second=int8"]}, "contradicts"),
    "flash without mixed": ({"quantize": "int8", "max_flash": 9}, "--quantize mixed"),
    "sqnr without mixed": ({"quantize": "w4a8", "min_sqnr": 9.0}, "--quantize mixed"),
    "no size": ({"quantize": "mixed", "max_flash": "lots"}, "256KB"),
    "negative size": ({"quantize": "mixed", "max_flash": -3}, "256KB"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_names_the_remedy(run, options, words):
    with pytest.raises(BadInput, match=words):
        run("refused", **options)


@pytest.mark.parametrize(
    ("text", "size"),
    [("300000", 300_000), ("256KB", 262_144), ("1.5mb", 1_572_864), ("2 KiB", 2048), (77, 77)],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


def test_layers_may_be_a_mapping():
    assert ExportOptions(layer={"a=b": "int8"}).layers() == {"a=b": "int8"}
    assert ExportOptions(layer=["a=b=int8"]).layers() == {"a=b": "int8"}
