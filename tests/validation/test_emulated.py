"""validate --on emulator, on exports of a small classifier."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from run.emulator.emulated import a_compiler, require
from small_models import TARGET, save_onnx

import edgepack
from edgepack.errors import BadInput, BadTarget, MissingDependency
from edgepack.ir.text import parse
from edgepack.profiles import target_path
from edgepack.report import Report
from edgepack.run.emulator import EmulationFault

ON = "emulator"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 export with TFLite and C."""
    require("unicorn")
    a_compiler()
    folder = tmp_path_factory.mktemp("emulated")
    out = folder / "build"
    edgepack.export(save_onnx(folder), TARGET, out, formats="tflite,c", calibration=_data())
    return out


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    """The export, to be changed."""
    return Path(shutil.copytree(export, tmp_path / "build"))


def _data() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)


def test_every_output_is_that_of_tensorflow_lite_micro(export: Path) -> None:
    pytest.importorskip("tflite_micro")
    report = edgepack.validate(export, on=ON)
    assert report.ok
    found = report.emulator
    assert found is not None
    assert (found["core"], found["emulator"]) == ("Cortex-M4", "unicorn")
    assert (found["compared_with"], found["different_samples"]) == ("TFLite Micro", 0)
    assert report.agreement["c_vs_tflm_equal"] == 1.0
    assert sum(n["instructions"] for n in found["nodes"]) == pytest.approx(
        found["instructions"], abs=50
    )
    assert found["instructions_least"] <= found["instructions"] <= found["instructions_most"]
    assert found["arena_used_bytes"] <= found["arena_bytes"] <= found["static_ram_bytes"]
    assert found["flash_bytes"] > found["weight_bytes"] > 0
    by_compiler = report.memory["flash_by_compiler"]
    assert found["flash_predicted_bytes"] == by_compiler.get(found["toolchain"])
    stored = json.loads((export / "report.json").read_text())
    assert stored["emulator"] == found


def test_c_alone_is_compared_with_the_file_in_device(copy: Path) -> None:
    (copy / "model.tflite").unlink()
    stored = json.loads((copy / "report.json").read_text())
    stored["files"]["tflite"] = None
    (copy / "report.json").write_text(json.dumps(stored))
    on_host = edgepack.validate(copy)
    assert any("model_c" in note and "--on emulator" in note for note in on_host.notes)
    report = edgepack.validate(copy, on=ON)
    assert report.ok
    assert report.emulator is not None
    assert report.emulator["different_samples"] == 0
    assert not any("model_c" in note for note in report.notes)


ODD = """
    x: float32[1, 8, 8, 9] = input()
    v = random(1, 3, 3, 9)
    a = DepthwiseConv2d(x, v)
    m = ReduceMean(a, axes=(1, 2), keepdims=False)
    w = random(16, 9)
    y = FullyConnected(m, w)
    output(y)
"""


@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_words_of_weights_after_a_table_of_odd_size(kind: str, tmp_path: Path) -> None:
    """81 bytes of a filter, then weights that a kernel loads four words at a time."""
    require("unicorn", kind)
    data = np.random.default_rng(0).normal(size=(4, 8, 8, 9)).astype(np.float32)
    edgepack.export(parse(ODD), TARGET, tmp_path / "out", formats="tflite,c", calibration=data)
    report = edgepack.validate(tmp_path / "out", on=f"{ON}:{kind}+unicorn")
    assert report.ok
    assert report.emulator is not None
    assert report.emulator["unaligned_accesses"] == 0


def test_latency_is_an_estimate_with_its_basis(export: Path) -> None:
    report = edgepack.validate(export, on=ON)
    estimate, counted = report.latencies
    assert report.latency == estimate
    assert (estimate.kind, estimate.unit, counted.kind) == ("estimated", "ms", "instructions")
    assert counted.value is not None
    assert estimate.value == pytest.approx(counted.value * 1.55 / 120e6 * 1e3, abs=1e-3)
    assert "1.55 cycles" in (estimate.basis or "")
    assert any("is an estimate" in note for note in report.notes)


def test_accuracy_on_labelled_data(export: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.npz"
    np.savez(path, x=_data(), y=np.arange(8) % 4)
    host = edgepack.validate(export, path)
    report = edgepack.validate(export, path, on=ON)
    assert set(report.accuracy.exported) >= {"c", "tflite"}
    assert report.accuracy.exported["c"] == host.accuracy.exported.get("tflm")
    assert report.accuracy.samples == 8


def test_without_tflite_micro_the_reference_kernels_judge(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise MissingDependency("tflite-micro", "mcu", "this")

    monkeypatch.setattr("edgepack.validation.emulated.TflmRuntime", missing)
    report = edgepack.validate(export, on=ON)
    assert report.ok
    assert report.emulator is not None
    assert report.emulator["compared_with"] == "the reference kernels"


def test_the_command_prints_the_figures(export: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = call(capfd, "validate", export, "--on", ON)
    assert result.code == 0
    assert "instructions" in result.out
    assert "stack" in result.out


# -- requirements that are not met: exit code 1 ----------------------------------------------------


def _change(folder: Path, change: Callable[[str], str], file: str = "model.c") -> None:
    path = folder / "model_c" / file
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def test_other_bits_are_not_met(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _change(
        copy,
        lambda text: text.replace(
            "return MODEL_OK;\n}",
            "*(char *)model_output(0) ^= 1;\n    return MODEL_OK;\n}",
        ),
    )
    result = call(capfd, "validate", copy, "--on", ON, "--json")
    assert result.code == 1
    unmet = [r for r in result.json["requirements"] if not r["met"]]
    assert [r["name"] for r in unmet] == ["emulator outputs"]
    assert "different on 8 of 8 samples, at most by 1" in unmet[0]["found"]
    assert edgepack.validate(copy).emulator is not None  # a run on this machine keeps the record


def _own_profile(folder: Path, change: Callable[[str], str]) -> None:
    """A profile of the user's own in `folder`, with less than the device has."""
    text = target_path(TARGET).read_text()
    assert change(text) != text
    (folder / f"{TARGET}.toml").write_text(change(text))


SMALL = {
    "flash": (("bytes = 2_097_152", "bytes = 17_000"), "of flash"),
    "sram": (("bytes = 196_608", "bytes = 4_100"), "static RAM"),
}


@pytest.mark.parametrize(("change", "said"), SMALL.values(), ids=SMALL)
def test_more_than_the_profiles_memory_is_refused(
    copy: Path, change: tuple[str, str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def smaller(text: str) -> str:
        alone = text.replace('contiguous_with = "sram1"', "arena = false")
        return alone.replace('contiguous_with = "sram2"', "arena = false").replace(*change)

    _own_profile(copy, smaller)
    result = call(capfd, "validate", copy, "--on", ON, "--json")
    assert result.code == 1
    (unmet,) = [r for r in result.json["requirements"] if not r["met"]]
    assert unmet["name"] == "emulator memory"
    assert said in unmet["found"]
    assert result.json["emulator"] is None


def test_a_stack_for_which_no_memory_is_left(copy: Path) -> None:
    found = edgepack.validate(copy, on=ON).emulator
    assert found is not None
    alone = f"bytes = {found['static_ram_bytes'] + 8}"

    def tight(text: str) -> str:
        text = text.replace('contiguous_with = "sram1"', "arena = false")
        text = text.replace('contiguous_with = "sram2"', "arena = false")
        text = text.replace("reserved_bytes = 4_096", "reserved_bytes = 0")
        return text.replace("bytes = 196_608", alone)

    _own_profile(copy, tight)
    (unmet,) = [r for r in edgepack.validate(copy, on=ON).requirements if not r.met]
    assert unmet.name == "emulator memory"
    assert "static RAM and stack" in unmet.found


def test_code_that_reads_what_it_never_wrote(copy: Path) -> None:
    _change(
        copy,
        lambda text: text.replace(
            "return MODEL_OK;\n}",
            "*(char *)model_output(0) ^= model_arena[MODEL_ARENA_BYTES - 1U];\n"
            "    return MODEL_OK;\n}",
        ),
    )
    _change(copy, lambda text: re.sub(r"(ARENA_BYTES) (\d+)U", _more, text), "model.h")
    report = edgepack.validate(copy, on=ON)
    (unmet,) = [r for r in report.requirements if not r.met]
    assert (unmet.name, unmet.wanted) == ("emulator memory", "nothing is read before it is written")


def _more(found: re.Match[str]) -> str:
    return f"{found[1]} {int(found[2]) + 16}U"


# -- what cannot be used: exit code 2 --------------------------------------------------------------


def test_an_endless_loop_names_its_node(copy: Path) -> None:
    _change(copy, lambda text: text.replace("MODEL_NODE(1U);", "MODEL_NODE(1U); for (;;) { }"))
    with pytest.raises(EmulationFault, match="does not come to an end") as caught:
        edgepack.validate(copy, on=ON)
    assert caught.value.node is not None


PLACES = {
    "an unknown tool": ("emulator:clang", "'clang' is not a compiler or emulator"),
    "two compilers": ("emulator:gcc+zig", "two of one kind"),
    "an unknown place": ("moon", "not available"),
}


@pytest.mark.parametrize(("on", "said"), PLACES.values(), ids=PLACES)
def test_places_that_are_not_there(export: Path, on: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        edgepack.validate(export, on=on)


def test_a_core_that_is_not_emulated(copy: Path) -> None:
    _own_profile(copy, lambda text: text.replace("Cortex-M4F", "Xtensa LX6"))
    with pytest.raises(BadTarget, match="its core is Xtensa LX6"):
        edgepack.validate(copy, on=ON)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from edgepack.run.emulator import toolchain

    monkeypatch.setattr("shutil.which", lambda *_: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    for find in (toolchain._gcc, toolchain._zig):
        find.cache_clear()
    yield
    for find in (toolchain._gcc, toolchain._zig):
        find.cache_clear()


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_compiler_names_the_line_for_pip(export: Path) -> None:
    with pytest.raises(MissingDependency, match=r"(?s)ziglang.*pip install 'edgepack\[mcu\]'"):
        edgepack.validate(export, on=ON)


def test_a_missing_emulator_names_the_line_for_pip(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingDependency("unicorn", "mcu", "emulating a microcontroller")

    monkeypatch.setattr("edgepack.run.emulator.unicorn_machine._unicorn", missing)
    monkeypatch.setattr("edgepack.run.emulator.choice.find_qemu", lambda: None)
    with pytest.raises(MissingDependency, match=r"(?s)unicorn.*pip install 'edgepack\[mcu\]'"):
        edgepack.validate(export, on=ON)


# -- no C ------------------------------------------------------------------------------------------


def _without_c(folder: Path) -> None:
    shutil.rmtree(folder / "model_c")
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(
        json.dumps({**report, "files": {**report["files"], "c": None}})
    )


def test_tflite_alone_runs_in_tensorflow_lite_micro_here(copy: Path) -> None:
    pytest.importorskip("tflite_micro")
    _without_c(copy)
    report = edgepack.validate(copy, on=ON)
    assert report.ok
    assert report.emulator is None
    assert report.latency is None
    assert report.agreement["tflm_vs_reference_equal"] == 1.0
    assert any("TensorFlow Lite Micro ran on this machine" in note for note in report.notes)


def test_tflite_alone_for_an_npu_is_refused(copy: Path) -> None:
    _without_c(copy)
    own = target_path("alif-ensemble-e7").read_text().replace("alif-ensemble-e7", TARGET)
    (copy / f"{TARGET}.toml").write_text(own)
    with pytest.raises(BadInput, match=r"(?s)Ethos-U55 is not emulated.*--formats c"):
        edgepack.validate(copy, on=ON)


def test_reports_without_an_emulator_are_still_read(export: Path) -> None:
    report = edgepack.validate(export)
    data = report.to_dict()
    del data["emulator"]
    assert Report.from_dict(data) == dataclasses.replace(
        Report.from_dict(report.to_dict()), emulator=None
    )
