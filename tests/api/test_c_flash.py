"""The flash that check predicts for a C project is that of the linked program."""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest

import edgepack
from benchmarks.kernel_sizes import TABLE, stale
from edgepack.errors import EdgepackError
from edgepack.ir.text import parse
from edgepack.profiles import load_target
from edgepack.run.emulator.cores import processor_of
from edgepack.run.emulator.firmware import build
from edgepack.run.emulator.toolchain import find_toolchain

SHARED = Path(os.environ.get("EDGEPACK_SHARED", Path(__file__).parents[3] / "shared"))
TABLES = json.loads(TABLE.read_text(encoding="utf-8"))
CORES = {
    "M0+": "raspberry-pi-pico",
    "M4": "nucleo-l4r5zi",
    "M7": "stm32h743",
    "M33": "stm32u575",
    "M55": "stm32n657",
}
PUBLISHED = ("kws_dscnn_int8", "ic_resnet8_int8", "vww_mobilenet_int8", "ad_autoencoder_int8")
SMALL = {
    "convolutions": """
        x: float32[1, 16, 16, 3] = input()
        w = random(12, 3, 3, 3)
        a = Conv2d(x, w, pad=((1, 1), (1, 1)), activation="relu")
        v = random(1, 3, 3, 12)
        b = DepthwiseConv2d(a, v, pad=((1, 1), (1, 1)), stride=(2, 2))
        u = random(12, 1, 1, 12)
        c = Conv2d(b, u)
        d = Add(b, c)
        m = ReduceMean(d, axes=(1, 2), keepdims=False)
        t = random(10, 12)
        e = FullyConnected(m, t)
        y = Softmax(e)
        output(y)
    """,
    "a gate": """
        x: float32[1, 9, 7, 8] = input()
        m = ReduceMean(x, axes=(1, 2), keepdims=True)
        w = random(8, 1, 1, 8)
        g = Conv2d(m, w)
        h = Sigmoid(g)
        z = Mul(x, h)
        p = MaxPool2d(z, kernel=(2, 2), stride=(2, 2))
        y = Transpose(p, perm=(0, 3, 1, 2))
        output(y)
    """,
    "dense layers": """
        x: float32[1, 40] = input()
        a = random(64, 40)
        b = FullyConnected(x, a, activation="relu")
        c = random(32, 64)
        d = FullyConnected(b, c, activation="relu")
        e = random(5, 32)
        y = FullyConnected(d, e)
        output(y)
    """,
}


def compiler(kind: str, target: str):
    """The compiler, if it is the one that sizes were measured with."""
    try:
        found = find_toolchain(kind)
    except EdgepackError as problem:
        pytest.skip(str(problem))
    measured = {entry["version"] for entry in TABLES[kind].values()}
    if found.version not in measured:
        pytest.skip(f"{target}: sizes were measured with {kind} {measured}, this is {found.name}")
    return found


@functools.cache
def exported(name: str, optimize: str, target: str, folder: Path):
    """(report, C project) of a small or a published model."""
    out = folder / f"{name}-{optimize}-{target}"
    options = {"formats": "c", "optimize": optimize}
    if name in SMALL:
        graph = parse(SMALL[name])
        shape = graph.inputs[0].shape[1:]
        data = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
        return edgepack.export(graph, target, out, calibration=data, **options), out / "model_c"
    path = SHARED / f"models/{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there (set EDGEPACK_SHARED)")
    return edgepack.export(path, target, out, **options), out / "model_c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("projects")


def assert_predicted(name: str, optimize: str, target: str, kind: str, folder: Path) -> None:
    toolchain = compiler(kind, target)
    report, project = exported(name, optimize, target, folder)
    profile = load_target(target)
    sizes = build(project, profile, processor_of(profile), toolchain).sizes
    assert report.memory["flash_weight_bytes"] == sizes.weight_bytes
    predicted = report.memory["flash_by_compiler"][toolchain.name]
    assert predicted == pytest.approx(sizes.flash_bytes, rel=0.01)


@pytest.mark.parametrize("kind", ["gcc", "zig"])
@pytest.mark.parametrize("optimize", ["speed", "ram"])
@pytest.mark.parametrize("name", SMALL)
def test_small_models_on_cortex_m4(name, optimize, kind, folder):
    assert_predicted(name, optimize, CORES["M4"], kind, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gcc", "zig"])
@pytest.mark.parametrize("core", [core for core in CORES if core != "M4"])
@pytest.mark.parametrize("name", SMALL)
def test_small_models_on_other_cores(name, core, kind, folder):
    assert_predicted(name, "speed", CORES[core], kind, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gcc", "zig"])
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models(name, core, kind, folder):
    assert_predicted(name, "speed", CORES[core], kind, folder)


def test_the_sizes_are_of_these_kernels():
    assert not stale(TABLES), "kernels changed: run `python -m benchmarks.kernel_sizes`"


def test_what_the_report_says():
    report = edgepack.check(parse(SMALL["dense layers"]), CORES["M4"], formats="c")
    memory = report.memory
    first, *others = memory["flash_by_compiler"].items()
    assert first == (memory["flash_compiler"], memory["flash_bytes"])
    assert memory["flash_compiler"].startswith("gcc ")
    assert [name.split()[0] for name, _ in others] == ["zig"]
    parts = ("flash_weight_bytes", "flash_graph_bytes", "flash_code_bytes")
    assert memory["flash_bytes"] == sum(memory[part] for part in parts)
    assert any(f"{memory['flash_bytes']:,} B with gcc" in note for note in report.notes)


def test_cores_that_nothing_was_measured_for():
    report = edgepack.check(parse(SMALL["dense layers"]), "esp32-s3", formats="c")
    assert report.memory["flash_code_bytes"] is None
    assert any("its code, whose size on Xtensa LX7 is not known" in n for n in report.notes)
