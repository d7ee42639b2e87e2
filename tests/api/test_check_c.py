"""check of a C project says what the project declares."""

import re
from pathlib import Path

import numpy as np
import pytest

import edgepack
from edgepack.ir import Graph

TARGET = "nucleo-l4r5zi"


def wide_then_small() -> Graph:
    """A first value much larger than what comes before and after it."""
    graph = Graph()
    rng = np.random.default_rng(0)
    x = graph.add_input("x", (1, 24, 24, 1))

    def weights(*shape: int):
        return graph.constant(rng.normal(size=shape).astype(np.float32), "w")

    pad = ((1, 1), (1, 1))
    x = graph.add("Conv2d", [x, weights(16, 3, 3, 1)], {"pad": pad, "activation": "relu"})
    x = graph.add("DepthwiseConv2d", [x, weights(1, 3, 3, 16)], {"pad": pad, "stride": (2, 2)})
    x = graph.add("AveragePool2d", [x], {"kernel": (12, 12)})
    x = graph.add("Reshape", [x], {"shape": (1, 16)})
    graph.outputs = [graph.add("FullyConnected", [x, weights(4, 16)])]
    return graph


@pytest.fixture(scope="module")
def calibration():
    return np.random.default_rng(1).normal(size=(8, 24, 24, 1)).astype(np.float32)


@pytest.mark.parametrize("optimize", ["speed", "ram", "flash"])
def test_the_arena_is_the_one_that_the_header_declares(optimize, tmp_path: Path, calibration):
    options = {"formats": "c", "optimize": optimize}
    exported = edgepack.export(
        wide_then_small(), TARGET, tmp_path / "out", calibration=calibration, **options
    )
    header = (tmp_path / "out" / "model_c" / "model.h").read_text()
    declared = int(re.search(r"MODEL_ARENA_BYTES (\d+)U", header).group(1))
    checked = edgepack.check(wide_then_small(), TARGET, **options)
    assert declared == checked.memory["arena_bytes"] == exported.memory["arena_bytes"]
    assert checked.memory["runtime"] == exported.memory["runtime"] == "c"
    assert checked.fits
    told = [note for note in checked.notes if "strips" in note]
    assert bool(told) == (optimize == "ram")


def test_less_for_ram_than_for_speed_and_than_in_tflite_micro():
    arena = {
        key: edgepack.check(wide_then_small(), TARGET, **options).memory["arena_bytes"]
        for key, options in {
            "tflite": {},
            "speed": {"formats": "c"},
            "ram": {"formats": "c", "optimize": "ram"},
        }.items()
    }
    assert arena["ram"] < arena["speed"] < arena["tflite"]


def test_operators_without_a_kernel_are_listed():
    graph = Graph()
    x = graph.add_input("x", (1, 4, 4, 2))
    graph.outputs = [graph.add("Sin", [graph.add("Cos", [x])])]
    report = edgepack.check(graph, TARGET, formats="c", quantize="none")
    assert [finding.op for finding in report.unsupported] == ["Cos", "Sin"]
    assert not report.fits
