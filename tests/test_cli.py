"""The contract of the command line: JSON, exit codes, quietness, start-up."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgepack
from edgepack.help_page import GROUPS
from tests.command_line import assert_refused, call, spawn
from tests.small_models import TARGET, save_onnx, save_tflite

Capture = pytest.CaptureFixture[str]
COMMANDS = ("targets", "inspect", "check", "export", "validate", "report", "compare")

# report.json, as scripts outside the project read it
KEYS = {
    "edgepack": None,
    "target": None,
    "fits": None,
    "source": {"path", "format", "sha256"},
    "quantization": {"scheme", "data", "calibration_samples", "per_channel"},
    "memory": {
        "arena_bytes",
        "flash_bytes",
        "sram_budget_bytes",
        "flash_budget_bytes",
        "peak_node",
        "timeline",
        "banks",
    },
    "files": {"tflite", "onnx", "c"},
    "compute": {"macs", "params"},
    "unsupported": None,
    "accuracy": {"float", "exported", "metric", "samples"},
    "agreement": None,
    "layers": None,
    "latency": None,
}


def assert_report(report: dict[str, object]) -> None:
    for key, inner in KEYS.items():
        assert key in report
        if inner is not None:
            found = report[key]
            assert isinstance(found, dict)
            assert inner <= found.keys(), key


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the small model, and the object its command printed."""
    folder = tmp_path_factory.mktemp("cli")
    model, out = save_onnx(folder), folder / "out"
    done = spawn(
        "export", model, "--target", TARGET, "--out", out, "--formats", "tflite,onnx", "--json"
    )
    assert done.code == 0, done.err
    (folder / "printed.json").write_text(done.out)
    assert done.err == ""
    return out


def test_export_prints_the_report_it_writes(exported: Path) -> None:
    printed = json.loads((exported.parent / "printed.json").read_text())
    written = json.loads((exported / "report.json").read_text())
    assert printed == written
    assert_report(written)
    assert written["fits"] is True
    assert written["memory"]["timeline"][0].keys() == {"node", "op", "live_bytes"}
    assert written["layers"][0].keys() >= {"node", "op", "macs", "weight_bytes", "sqnr_db"}
    assert written["latency"].keys() >= {"where", "kind", "value", "unit"}
    assert written["files"]["c"] is None
    assert written["accuracy"]["exported"].keys() >= {"tflite", "onnx"}
    for name in ("tflite", "onnx"):
        entry = written["files"][name]
        assert (exported / entry["path"]).stat().st_size == entry["bytes"]


def test_the_folder_has_all_its_files(exported: Path) -> None:
    names = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert names == {
        "model.tflite",
        "model.onnx",
        "report.json",
        "report.html",
        "device/validate.py",
        "device/manifest.json",
        "device/samples.npz",
        "device/model.tflite",
        "device/model.onnx",
        "model_explorer.json",
        "model_explorer_bits.json",
    }
    assert [p.name for p in exported.parent.iterdir() if "partial" in p.name] == []


def test_check_prints_the_report_without_the_exports_parts(tmp_path: Path, capfd: Capture) -> None:
    done = call(capfd, "check", save_onnx(tmp_path), "--target", TARGET, "--json")
    assert done.code == 0
    assert done.err == ""
    assert_report(done.json)
    assert done.json["files"] == {"tflite": None, "onnx": None, "c": None}
    assert done.json["latency"] is None
    assert done.json["accuracy"]["float"] is None
    assert done.json["memory"]["arena_bytes"] > 0


def test_validate_prints_the_report(exported: Path, capfd: Capture) -> None:
    done = call(capfd, "validate", exported, "--json")
    assert (done.code, done.err) == (0, "")
    assert_report(done.json)
    assert done.json == json.loads((exported / "report.json").read_text())


def test_report_writes_the_page_anew(exported: Path, capfd: Capture) -> None:
    page = exported / "report.html"
    before = page.read_text()
    page.unlink()
    done = call(capfd, "report", exported, "--json")
    assert (done.code, done.err) == (0, "")
    assert page.read_text() == before
    assert_report(done.json)


@pytest.mark.parametrize("args", [["targets"], ["targets", "esp32-s3"]], ids=str)
def test_targets_prints_an_object(args: list[str], capfd: Capture) -> None:
    done = call(capfd, *args, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "edgepack", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"edgepack {edgepack.__version__}\n")


def test_targets_prints_a_profile_to_copy(tmp_path: Path, capfd: Capture) -> None:
    done = call(capfd, "targets", "esp32-s3", "--toml")
    assert (done.code, done.err) == (0, "")
    copy = tmp_path / "copy.toml"
    copy.write_text(done.out)
    assert call(capfd, "targets", copy, "--json").json["id"] == "esp32-s3"
    assert_refused(call(capfd, "targets", "--toml"), "id")


def test_a_target_is_shown_in_words(capfd: Capture) -> None:
    out = call(capfd, "targets", "nucleo-l4r5zi").out
    assert "120 MHz, " in out
    assert "[" not in out.partition("runtime")[0]


def test_inspect_prints_an_object(tmp_path: Path, capfd: Capture) -> None:
    done = call(capfd, "inspect", save_tflite(tmp_path), "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["ops"] == {"Conv2d": 1, "ReduceMean": 1, "FullyConnected": 1, "Softmax": 1}


def test_a_failure_is_an_object_too(tmp_path: Path, capfd: Capture) -> None:
    done = call(capfd, "check", tmp_path / "none.onnx", "--target", TARGET, "--json")
    assert_refused(done, "none.onnx")
    assert "there is no file" in done.json["error"]


@pytest.mark.parametrize(
    "args",
    [
        ["targets"],
        ["inspect", "MODEL"],
        ["check", "MODEL", "--target", TARGET],
        ["export", "MODEL", "--target", TARGET, "--out", "OUT"],
    ],
    ids=lambda args: args[0],
)
def test_quiet_prints_nothing(args: list[str], tmp_path: Path, capfd: Capture) -> None:
    places = {"MODEL": str(save_onnx(tmp_path)), "OUT": str(tmp_path / "out")}
    done = call(capfd, *[places.get(a, a) for a in args], "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_quiet_validate_and_report(exported: Path, capfd: Capture) -> None:
    for command in ("validate", "report"):
        done = call(capfd, command, exported, "--quiet")
        assert (done.code, done.out, done.err) == (0, "", "")


def test_tables_for_people(exported: Path, capfd: Capture) -> None:
    done = call(capfd, "validate", exported)
    assert done.code == 0
    assert re.search(r"model.tflite\s+LiteRT\s+[\d,]+", done.out)
    assert re.search(r"fits\s+yes", done.out)


BIG = """
    x: float32[1, 512, 512, 8] = input()
    w = random(64, 1, 1, 8)
    y = Conv2d(x, w)
    output(y)
"""


def test_what_does_not_fit_exits_with_1(tmp_path: Path, capfd: Capture) -> None:
    model = save_onnx(tmp_path, BIG)
    done = call(capfd, "check", model, "--target", TARGET, "--json")
    assert done.code == 1
    assert done.json["fits"] is False
    assert done.json["memory"]["arena_bytes"] > done.json["memory"]["sram_budget_bytes"]


UNKNOWN_THERE = """
    x: float32[1, 8] = input()
    v, i = TopK(x, k=2)
    output(v)
"""


def test_operators_without_a_kernel(tmp_path: Path, capfd: Capture) -> None:
    model = save_onnx(tmp_path, UNKNOWN_THERE, nchw=False)
    checked = call(capfd, "check", model, "--target", TARGET, "--json")
    assert checked.code == 1
    assert [f["op"] for f in checked.json["unsupported"]] == ["TOPK_V2"]
    args = ["export", model, "--target", TARGET, "--out", tmp_path / "out", "--json"]
    refused = call(capfd, *args)
    assert_refused(refused, "TOPK_V2", "--allow-misfit")
    assert refused.json["unsupported"][0]["node"]
    assert not (tmp_path / "out").exists()
    assert call(capfd, *args, "--allow-misfit", "--quantize", "none").code == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["fits"] is False


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "labelled.npz"
    np.savez(path, x=rng.random((12, 8, 8, 3), np.float32), y=rng.integers(0, 4, 12))
    return path


def test_a_floor_that_is_not_met_exits_with_1(
    tmp_path: Path, labelled: Path, capfd: Capture
) -> None:
    args = ["export", save_onnx(tmp_path), "--target", TARGET, "--out", tmp_path / "out"]
    args += ["--eval", labelled, "--formats", "tflite,onnx", "--json"]
    missed = call(capfd, *args, "--min-accuracy", 1.0)
    assert missed.code == 1
    assert (tmp_path / "out" / "model.tflite").exists()
    accuracy = missed.json["accuracy"]
    assert accuracy["samples"] == 12
    assert 0 <= accuracy["float"] < 1
    met = call(capfd, *args, "--min-accuracy", 0, "--max-drop", 1)
    assert met.code == 0
    again = call(capfd, "validate", tmp_path / "out", "--data", labelled, "--json")
    assert again.code == 0
    assert again.json["accuracy"]["exported"] == met.json["accuracy"]["exported"]
    low = call(capfd, "validate", tmp_path / "out", "--data", labelled, "--min-accuracy", 1)
    assert low.code == 1


def _without_latency(report: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in report.items() if k not in ("latency", "latencies", "command")}


def test_exports_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    model, reports = save_onnx(tmp_path), []
    for name in ("one", "two"):
        out = tmp_path / name
        formats = ("--formats", "tflite,onnx")
        assert spawn("export", model, "--target", TARGET, "--out", out, *formats).code == 0
        reports.append(json.loads((out / "report.json").read_text()))
    assert _without_latency(reports[0]) == _without_latency(reports[1])
    for path in sorted((tmp_path / "one").rglob("*")):
        if path.is_file() and path.parent.name != "one":
            twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
            assert path.read_bytes() == twin.read_bytes(), path.name
    for name in ("model.tflite", "model.onnx"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_every_option(command: str, capfd: Capture) -> None:
    done = call(capfd, *([command] if command else []), "--help")
    assert done.code == 0
    wanted = COMMANDS if not command else ("--json", "--quiet")
    for word in wanted:
        assert word in done.out


HEAVY = (
    "numpy", "onnx", "onnxruntime", "torch", "tensorflow", "ai_edge_litert", "rich.table",
    "jinja2", "tflite_micro", "edgepack.api", "edgepack.ir",
)  # fmt: skip


def test_groups_of_the_help_page_hold_the_options_that_there_are(capfd: Capture) -> None:
    page = call(capfd, "export", "--help").out
    for name, options in GROUPS.items():
        section = re.split(r"\n\n", page.partition(f"\n{name}:\n")[2])[0]
        shown = re.findall(r"^  (?:-\w, )?(--[\w-]+)", section, re.MULTILINE)
        assert sorted(shown) == sorted(options), name


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom edgepack import cli\nsys.argv = ['edgepack', 'export', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        f"print('found:', [m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("found: []\n"), done


def test_version(capfd: Capture) -> None:
    done = call(capfd, "--version")
    assert (done.code, done.out) == (0, "edgepack 0.1.0\n")
