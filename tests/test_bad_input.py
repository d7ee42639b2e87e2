"""Bad input: one clear message, exit code 2, no traceback, nothing half-written, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepack.writers.tflite import write_tflite
from tests.command_line import RUN, Result, assert_refused, call, placed, spawn
from tests.quantized_op_cases import QUANTIZED_CASES
from tests.small_models import TARGET, onnx_bytes, save_onnx, tflite_bytes

Capture = pytest.CaptureFixture[str]
Make = Callable[[Path], list[object]]
KEPT = b'{"edgepack": "an earlier export"}'


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An earlier export, in a folder of its own."""
    folder = tmp_path / "results" / "out"
    folder.mkdir(parents=True)
    (folder / "report.json").write_bytes(KEPT)
    return folder


def assert_untouched(out: Path) -> None:
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert [p.name for p in out.iterdir()] == ["report.json"]
    assert (out / "report.json").read_bytes() == KEPT


def export(capfd: Capture, out: Path, *args: object) -> Result:
    return call(capfd, "export", *args, "--target", TARGET, "--out", out)


def changed(folder: Path, change: Callable[[Any], None]) -> Path:
    model = onnx.load_from_string(onnx_bytes())
    change(model)
    return placed(folder, "net.onnx", model.SerializeToString())


def with_weight(folder: Path, value: float) -> Path:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        weights = numpy_helper.to_array(tensor).copy()
        weights.flat[0] = value
        tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))

    return changed(folder, change)


def one_node(folder: Path, shape: list[int | str], dtype: int = TensorProto.FLOAT) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"], name="copy")], "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return placed(folder, "one.onnx", model.SerializeToString())


def with_custom_operators(folder: Path) -> Path:
    def change(model: Any) -> None:
        model.opset_import.append(helper.make_opsetid("my", 1))
        for node, op, name in ((0, "Foo", "the_first"), (-1, "Bar", "the_last")):
            model.graph.node[node].op_type = op
            model.graph.node[node].domain = "my"
            model.graph.node[node].name = name

    return changed(folder, change)


def with_external_data(folder: Path, location: str) -> Path:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)

    return changed(folder, change)


def tflite_with_nan(folder: Path) -> Path:
    data = tflite_bytes()
    weight = np.float32(net_weight()).tobytes()
    assert data.count(weight) == 1
    return placed(folder, "nan.tflite", data.replace(weight, np.float32(np.nan).tobytes()))


def net_weight() -> float:
    model = onnx.load_from_string(onnx_bytes())
    arrays = [numpy_helper.to_array(t) for t in model.graph.initializer]
    return float(next(a for a in arrays if a.shape == (8, 3, 3, 3)).flat[0])


# -- models ----------------------------------------------------------------------------------------

# the arguments before --target, and words of the message
MODELS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "no such file": (lambda f: [f / "none.onnx"], ("none.onnx", "there is no file")),
    "an empty file": (lambda f: [placed(f, "e.onnx", b"")], ("e.onnx", "no ONNX graph")),
    "an empty TFLite file": (lambda f: [placed(f, "e.tflite", b"")], ("e.tflite", "TFL3")),
    "truncated ONNX": (
        lambda f: [placed(f, "t.onnx", onnx_bytes()[:700])], ("t.onnx", "damaged", "truncated"),
    ),
    "truncated TFLite": (
        lambda f: [placed(f, "t.tflite", tflite_bytes()[:700])], ("t.tflite", "damaged"),
    ),
    "TFLite called ONNX": (lambda f: [placed(f, "w.onnx", tflite_bytes())], ("not an ONNX model",)),
    "ONNX called TFLite": (lambda f: [placed(f, "w.tflite", onnx_bytes())], ("not a TFLite file",)),
    "a picture": (
        lambda f: [placed(f, "p.onnx", b"\x89PNG\r\n\x1a\n" + bytes(64))], ("p.onnx", "ONNX"),
    ),
    "an unknown format": (lambda f: [placed(f, "m.bin", b"x")], ("unknown format", ".tflite")),
    "Python without a function": (
        lambda f: [placed(f, "net.py", b"")], ("name the function", "net.py:make"),
    ),
    "a device": (lambda f: ["/dev/null"], ("/dev/null", "no regular file")),
    "a checkpoint": (lambda f: [placed(f, "w.pth", b"x")], ("checkpoint", "--weights")),
    "a folder without a SavedModel": (lambda f: [f], ("saved_model.pb",)),
    "NaN weights": (lambda f: [with_weight(f, np.nan)], ("NaN", "w_1")),
    "infinite weights": (lambda f: [with_weight(f, np.inf)], ("infinite", "w_1")),
    "weights that overflow": (lambda f: [with_weight(f, 3e38)], ("NaN, infinite or beyond",)),
    "NaN in TFLite": (lambda f: [tflite_with_nan(f)], ("NaN", "constant")),
    "no elements": (lambda f: [one_node(f, [1, 0, 3])], ("x is [1, 0, 3]", "no elements")),
    "no dimensions": (lambda f: [one_node(f, [])], ("input 'x'", "without dimensions")),
    "an unknown size": (lambda f: [one_node(f, [1, "n"])], ("unknown dimensions: n", "--input-sh")),
    "a text model": (lambda f: [one_node(f, [1], TensorProto.STRING)], ("at x", "string")),
    "unknown operators": (
        lambda f: [with_custom_operators(f)], ("Foo", "the_first", "Bar", "the_last"),
    ),
    "data outside of the folder": (
        lambda f: [with_external_data(f, "../secret.bin")], ("../secret.bin", "--trust"),
    ),
    "absolute data": (lambda f: [with_external_data(f, "/etc/passwd")], ("/etc/passwd", "--trust")),
    "data that is not there": (lambda f: [with_external_data(f, "w.bin")], ("w.bin", "beside")),
    "a factory's file that is not there": (lambda f: [f"{f}/nets.py:make"], ("nets.py",)),
    "a factory that is not there": (
        lambda f: [f"{placed(f, 'nets.py', b'def other(): pass')}:make"], ("make", "other"),
    ),
    "a factory that fails": (
        lambda f: [f"{placed(f, 'nets.py', b'def make(): raise OSError(7)')}:make"],
        ("OSError: 7",),
    ),
    "a factory that exits": (
        lambda f: [f"{placed(f, 'nets.py', b'def make(): raise SystemExit(0)')}:make"], ("make()",),
    ),
    "a factory of something else": (
        lambda f: [f"{placed(f, 'nets.py', b'def make(): return 3')}:make"], ("builtins.int",),
    ),
    "a factory with a slip": (
        lambda f: [f"{placed(f, 'nets.py', b'def make(:')}:make"], ("SyntaxError",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, tmp_path: Path, out: Path, capfd: Capture) -> None:
    make, words = MODELS[name]
    (tmp_path / "models").mkdir()
    assert_refused(export(capfd, out, *make(tmp_path / "models")), *words)
    assert_untouched(out)


def test_external_data_with_trust(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.zeros((8, 3, 3, 3), np.float32).tobytes())
    model = with_external_data(tmp_path / "models", "../secret.bin")
    assert_refused(call(capfd, "inspect", model), "outside of the model's folder")
    assert call(capfd, "inspect", model, "--trust").code == 0


# -- data ------------------------------------------------------------------------------------------

X = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def with_nan() -> np.ndarray[Any, Any]:
    broken = X.copy()
    broken[2, 0, 0, 0] = np.nan
    return broken


DATA: dict[str, tuple[Make, tuple[str, ...]]] = {
    "not there": (lambda f: ["--calibration", f / "none.npz"], ("none.npz", "does not exist")),
    "of another kind": (lambda f: ["--calibration", placed(f, "a.csv", b"1,2")], ("a.csv", ".npz")),
    "an empty npz": (lambda f: ["--calibration", placed(f, "z.npz", b"")], ("z.npz", "savez")),
    "an empty npy": (lambda f: ["--calibration", placed(f, "z.npy", b"")], ("z.npy",)),
    "a truncated npz": (
        lambda f: ["--calibration", placed(f, "t.npz", npz(f, x=X).read_bytes()[:900])], ("t.npz",),
    ),
    "no samples": (lambda f: ["--calibration", npz(f, x=X[:0])], ("no samples",)),
    "an empty folder": (
        lambda f: ["--calibration", placed(f, "images/.hidden", b"").parent], ("no images",),
    ),
    "constant": (lambda f: ["--calibration", npz(f, x=X * 0 + 7)], ("constant", "7")),
    "far out of range": (
        lambda f: ["--calibration", npz(f, x=X * 255), "--input-range", "0,1"],
        ("far outside the declared 0..1", "--preprocess"),
    ),
    "not numbers": (lambda f: ["--calibration", npz(f, x=with_nan())], ("sample 2", "NaN")),
    "of another shape": (
        lambda f: ["--calibration", npz(f, x=X[:, :5])], ("[5, 8, 3]", "[3, 8, 8]", "input 'x'"),
    ),
    "pickled": (
        lambda f: ["--calibration", npz(f, x=np.array([{}], object))], ("pickled", "never loaded"),
    ),
    "text": (lambda f: ["--calibration", npz(f, x=np.array(["a", "b"]))], ("not numbers",)),
    "fewer labels": (
        lambda f: ["--eval", npz(f, x=X, y=np.arange(3))], ("differ in length", "x 4", "y 3"),
    ),
    "labels that are no classes": (
        lambda f: ["--eval", npz(f, x=X, y=np.full(4, 0.5))], ("no class index",),
    ),
    "more classes than the model": (
        lambda f: ["--eval", npz(f, x=X, y=np.array([0, 1, 2, 9]))], ("class index 9", "4"),
    ),
    "a damaged image": (
        lambda f: ["--calibration", placed(f, "images/0_a.png", b"x").parent], ("0_a.png",),
    ),
    "no such module": (lambda f: ["--calibration", "no_such_module:samples"], ("no_such_module",)),
    "a generator that fails": (
        lambda f: [
            "--calibration", f"{placed(f, 'g.py', b'def g(): raise KeyError(5)')}:g",
        ],
        ("KeyError: 5",),
    ),
    "a generator with a slip": (
        lambda f: ["--calibration", f"{placed(f, 'g.py', b'def g(:')}:g"], ("SyntaxError",),
    ),
    "means for other channels": (
        lambda f: ["--calibration", npz(f, x=X), "--preprocess", "mean=1/2"], ("2 values", "3 ch"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_data(name: str, tmp_path: Path, out: Path, capfd: Capture) -> None:
    if "image" in name:
        pytest.importorskip("PIL.Image")
    make, words = DATA[name]
    assert_refused(export(capfd, out, save_onnx(tmp_path), *make(tmp_path)), *words)
    assert_untouched(out)


# -- options ---------------------------------------------------------------------------------------

OPTIONS: dict[str, tuple[list[object], tuple[str, ...]]] = {
    "quantize": (["--quantize", "int7"], ("--quantize", "none, int8", "int7")),
    "formats": (["--formats", "tflite,coreml"], ("--formats", "tflite, onnx", "coreml")),
    "no formats": (["--formats", ""], ("--formats", "tflite, onnx")),
    "io": (["--io", "uint4"], ("--io", "int8, float")),
    "layout": (["--input-layout", "chwn"], ("--input-layout", "nhwc, nchw, keep")),
    "range method": (["--range-method", "guess"], ("--range-method", "min-max")),
    "backward range": (["--input-range", "3,1"], ("LO < HI",)),
    "a range of one": (["--input-range", "3"], ("LO,HI",)),
    "an endless range": (["--input-range", "0,inf"], ("LO < HI",)),
    "no samples": (["--samples", "0"], ("--samples", "at least 1")),
    "no threads": (["--threads", "0"], ("--threads", "at least 1")),
    "preprocess": (["--preprocess", "mean=big"], ("mean", "big")),
    "preprocess spec": (["--preprocess", "imagenett"], ("imagenett", "imagenet-torch")),
    "a share in percent": (["--min-accuracy", "90"], ("--min-accuracy", "0 to 1")),
    "a limit without data": (["--min-accuracy", "0.9"], ("--min-accuracy", "--eval")),
    "a drop without data": (["--max-drop", "0.1"], ("--max-drop", "--eval")),
    "data-free with data": (["--data-free", "--calibration", "x.npz"], ("--data-free",)),
    "integers for a float model": (["--io", "int8", "--quantize", "fp16"], ("--io int8", "fp16")),
    "weights for a whole model": (["--weights", "w.pth"], ("--weights", "factory")),
    "shape syntax": (["--input-shape", "1,a"], ("--input-shape", "1,3,224,224")),
    "an input that is not there": (["--input-shape", "z:1,3,8,8"], ("'z'", "x")),
    "a shape of another rank": (["--input-shape", "1,3,8"], ("[1, 3, 8]", "x")),
    "a shape of nothing": (["--input-shape", "1,3,0,8"], ("at least 1",)),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, tmp_path: Path, out: Path, capfd: Capture) -> None:
    args, words = OPTIONS[name]
    assert_refused(export(capfd, out, save_onnx(tmp_path), *args), *words)
    assert_untouched(out)


@pytest.mark.parametrize(
    "args",
    [["--no-such-option"], ["--samples", "many"], ["--min-accuracy", "high"], ["more"]],
    ids=str,
)
def test_usage(args: list[str], tmp_path: Path, out: Path, capfd: Capture) -> None:
    done = export(capfd, out, save_onnx(tmp_path), *args)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert args[0] in done.err
    assert_untouched(out)


def test_quantized_models_are_not_quantized_again(
    tmp_path: Path, out: Path, capfd: Capture
) -> None:
    data = write_tflite(QUANTIZED_CASES["conv2d/same_relu6"].graph())
    model = placed(tmp_path, "q.tflite", data)
    assert_refused(export(capfd, out, model, "--quantize", "int8"), "quantized already")
    assert_untouched(out)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nucleo-l4r5z", ("nucleo-l4r5zi",)),
        ("raspberry-pi", ("raspberry-pi-pico", "raspberry-pi-4")),
        ("no-such-board", ("no-such-board", "edgepack targets")),
        ("PROFILE", ("kind", "board.toml")),
        ("MISSING.toml", ("MISSING.toml",)),
    ],
)
def test_targets(target: str, words: tuple[str, ...], tmp_path: Path, capfd: Capture) -> None:
    profile = placed(tmp_path, "board.toml", b'id = "board"\nname = "Board"\ncores = 3\n')
    name = str(profile) if target == "PROFILE" else target
    assert_refused(call(capfd, "check", save_onnx(tmp_path), "--target", name), *words)


# -- where it is written ---------------------------------------------------------------------------


def test_out_is_a_file(tmp_path: Path, capfd: Capture) -> None:
    place = placed(tmp_path, "taken", b"mine")
    assert_refused(export(capfd, place, save_onnx(tmp_path)), "is a file", "--out")
    assert place.read_bytes() == b"mine"


def test_out_is_below_a_file(tmp_path: Path, capfd: Capture) -> None:
    place = placed(tmp_path, "taken", b"mine")
    assert_refused(export(capfd, place / "out", save_onnx(tmp_path)), "cannot write")


@pytest.mark.parametrize("name", ["thesis.tex", "report.json"])
def test_out_is_another_folder(name: str, tmp_path: Path, capfd: Capture) -> None:
    mine = placed(tmp_path, f"papers/{name}", b"years of work")
    done = export(capfd, mine.parent, save_onnx(tmp_path))
    assert_refused(done, "holds other files", "--out")
    assert [p.name for p in mine.parent.iterdir()] == [name]
    assert mine.read_bytes() == b"years of work"


def test_what_the_user_put_into_an_export_stays(tmp_path: Path, capfd: Capture) -> None:
    model, place = save_onnx(tmp_path), tmp_path / "out"
    assert export(capfd, place, model, "--formats", "tflite,onnx").code == 0
    (place / "notes.txt").write_text("flashed on Monday")
    assert export(capfd, place, model, "--formats", "tflite").code == 0
    assert (place / "notes.txt").read_text() == "flashed on Monday"
    assert not (place / "model.onnx").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path, capfd: Capture) -> None:
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    assert_refused(export(capfd, place / "out", save_onnx(tmp_path)), "Permission denied")


FULL_DISK = """
import errno, pathlib
def write_bytes(self, data, real=pathlib.Path.write_bytes):
    if self.name == "model.onnx":
        raise OSError(errno.ENOSPC, "No space left on device", str(self))
    return real(self, data)
pathlib.Path.write_bytes = write_bytes
"""


def test_a_full_disk(tmp_path: Path, out: Path) -> None:
    args = ("export", save_onnx(tmp_path), "--target", TARGET, "--out", out)
    done = spawn(*args, "--formats", "tflite,onnx", prelude=FULL_DISK)
    assert_refused(done, "No space left on device", str(out))
    assert_untouched(out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout() -> None:
    command = [sys.executable, "-c", RUN, "targets", "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


SLOW = """
import time
def samples():
    print("started", flush=True)
    time.sleep(60)
    yield None
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number: signal.Signals, tmp_path: Path, out: Path) -> None:
    data = placed(tmp_path, "slow.py", SLOW.encode())
    command = [sys.executable, "-c", RUN, "export", save_onnx(tmp_path), "--target", TARGET]
    command += ["--out", out, "--calibration", f"{data}:samples"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        rest, err = process.communicate(timeout=30)
    assert (process.returncode, rest) == (2, "")
    assert err == "edgepack: interrupted; nothing was written\n"
    assert_untouched(out)


INTERRUPTED_WHILE_WRITING = """
import os, pathlib, signal
def write_bytes(self, data, real=pathlib.Path.write_bytes):
    real(self, data)
    if self.parent.suffix == ".partial":
        os.kill(os.getpid(), signal.SIGINT)
pathlib.Path.write_bytes = write_bytes
"""


def test_interrupted_while_writing(tmp_path: Path, out: Path) -> None:
    args = ("export", save_onnx(tmp_path), "--target", TARGET, "--out", out)
    done = spawn(*args, prelude=INTERRUPTED_WHILE_WRITING)
    assert_refused(done, "interrupted")
    assert_untouched(out)


# -- exported folders ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported")
    model = save_onnx(place)
    formats = ("--formats", "tflite,onnx")
    done = spawn("export", model, "--target", TARGET, "--out", place / "out", *formats)
    assert done.code == 0, done.err
    return place / "out"


def damage_file(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data)

    return change


FOLDERS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "no report": (lambda f: (f / "report.json").unlink(), ("report.json", "edgepack export")),
    "another report": (lambda f: (f / "report.json").write_text("[1]"), ("damaged", "again")),
    "half a report": (
        lambda f: (f / "report.json").write_text('{"edgepack": "0.1.0"}'), ("damaged", "again"),
    ),
    "no model": (lambda f: (f / "model.tflite").unlink(), ("model.tflite", "again")),
    "a damaged model": (damage_file("model.tflite"), ("model.tflite", "sha256", "again")),
    "a damaged ONNX model": (damage_file("model.onnx"), ("model.onnx", "sha256", "again")),
    "no manifest": (lambda f: (f / "device/manifest.json").unlink(), ("manifest.json", "again")),
    "no samples": (lambda f: (f / "device/samples.npz").unlink(), ("samples.npz", "again")),
    "damaged samples": (
        lambda f: (f / "device/samples.npz").write_bytes(b"PK"), ("again",),
    ),
    "an empty manifest": (
        lambda f: (f / "device/manifest.json").write_text("{}"), ("again",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name: str, folder: Path, tmp_path: Path, capfd: Capture) -> None:
    change, words = FOLDERS[name]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    assert_refused(call(capfd, "validate", copy), *words)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_validate_somewhere_unknown(folder: Path, capfd: Capture) -> None:
    assert_refused(call(capfd, "validate", folder, "--on", "moon"), "moon", "host")


@pytest.mark.parametrize("option", ["--preprocess=scale=1/255", "--input-range=0,1", "--samples=3"])
def test_validate_options_on_data_need_data(option: str, folder: Path, capfd: Capture) -> None:
    name = option.partition("=")[0]
    assert_refused(call(capfd, "validate", folder, option), name, "give --data too")


def test_data_without_labels(folder: Path, tmp_path: Path, capfd: Capture) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    done = call(capfd, "validate", copy, "--data", npz(tmp_path, x=X), "--min-accuracy", 0.5)
    assert done.code == 1
    assert "not met: accuracy: not measured: the data of --data has no labels" in done.out


def test_a_file_of_the_folder_is_not_the_folder(folder: Path, capfd: Capture) -> None:
    for name in ("model.tflite", "device"):
        assert_refused(call(capfd, "validate", folder / name), name, f"did you mean {folder}?")


def test_an_export_is_not_a_model(folder: Path, capfd: Capture) -> None:
    done = call(capfd, "check", folder, "--target", TARGET)
    assert_refused(done, "edgepack export", "model.tflite")


@pytest.mark.parametrize("option", ["--io=float", "--per-tensor", "--input-layout=nchw"])
def test_a_quantized_model_is_checked_as_it_is(option: str, folder: Path, capfd: Capture) -> None:
    done = call(capfd, "check", folder / "model.tflite", "--target", TARGET, option)
    assert_refused(done, "quantized already", option.partition("=")[0])


@pytest.mark.parametrize(("model", "word"), [("", "empty"), ("https://a.b/c.onnx", "download")])
def test_names_that_are_no_files(model: str, word: str, capfd: Capture) -> None:
    assert_refused(call(capfd, "check", model, "--target", TARGET), word)


def test_validate_limits_need_data(folder: Path, capfd: Capture) -> None:
    done = call(capfd, "validate", folder, "--min-accuracy", "0.5")
    assert_refused(done, "--min-accuracy", "--data")


@pytest.mark.parametrize("command", ["validate", "report"])
def test_a_folder_that_no_export_wrote(command: str, tmp_path: Path, capfd: Capture) -> None:
    assert_refused(call(capfd, command, tmp_path), "report.json", "edgepack export")
    assert_refused(call(capfd, command, tmp_path / "nowhere"), "nowhere does not exist")
    assert_refused(call(capfd, command, placed(tmp_path, "notes", b"x")), "notes is a file")


# -- packages that are not installed ---------------------------------------------------------------

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""
HEAVY = ("torch", "tensorflow", "keras", "tf_keras", "tflite_micro", "h5py", "torchvision")


def test_the_core_works_alone(tmp_path: Path) -> None:
    prelude = BLOCKED.replace("{names}", repr(HEAVY))
    model, out = save_onnx(tmp_path), tmp_path / "out"
    checked = spawn("check", model, "--target", TARGET, "--quiet", prelude=prelude)
    assert (checked.code, checked.err) == (0, "")
    args = ("export", model, "--target", TARGET, "--out", out, "--formats", "tflite,onnx")
    exported = spawn(*args, "--json", prelude=prelude)
    assert (exported.code, exported.err) == (0, "")
    assert exported.json["accuracy"]["exported"].keys() == {"tflite", "onnx"}
    assert any("edgepack[mcu]" in note for note in exported.json["notes"])


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("net.pt2", "torch"),
        ("net.h5", "tensorflow"),
        ("net.keras", "tensorflow"),
        ("saved/saved_model.pb", "tensorflow"),
    ],
)
def test_missing_extras(name: str, extra: str, tmp_path: Path) -> None:
    path = placed(tmp_path, name, b"x" * 100)
    prelude = BLOCKED.replace("{names}", repr(HEAVY))
    model = path.parent if name.endswith(".pb") else path
    done = spawn("inspect", model, prelude=prelude)
    assert_refused(done, "not installed", f"pip install 'edgepack[{extra}]'")


def test_images_without_pillow(tmp_path: Path) -> None:
    images = placed(tmp_path, "images/0_a.png", b"x").parent
    args = ("export", save_onnx(tmp_path), "--target", TARGET, "--out", tmp_path / "out")
    prelude = BLOCKED.replace("{names}", "('PIL',)")
    done = spawn(*args, "--calibration", images, prelude=prelude)
    assert_refused(done, "pip install 'edgepack[images]'")
