"""Operators in a file are put in the order that takes the smaller arena."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.api.lower import canonical, lower
from edgepack.api.lowered import tflite_file
from edgepack.api.options import ExportOptions
from edgepack.api.ordering import frugally_ordered
from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.profiles import load_target
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.tflm import TflmRuntime
from tests.small_models import TARGET, net, save_onnx

# All wide branches are made first; each can be reduced before the next is made.
BRANCHES = """
    x: float32[1, 16, 16, 4] = input()
    w1 = random(32, 1, 1, 4)
    w2 = random(32, 3, 3, 4)
    w3 = random(32, 5, 5, 4)
    a = Conv2d(x, w1, activation="relu")
    b = Conv2d(x, w2, pad=((1, 1), (1, 1)), activation="relu")
    c = Conv2d(x, w3, pad=((2, 2), (2, 2)), activation="relu")
    d = ReduceMean(a, axes=(1, 2), keepdims=False)
    e = ReduceMean(b, axes=(1, 2), keepdims=False)
    f = ReduceMean(c, axes=(1, 2), keepdims=False)
    g = Add(d, e)
    y = Add(g, f)
    output(y)
"""
X = np.random.default_rng(0).random((6, 16, 16, 4), np.float32)


def lowered(graph: Graph, target: str = TARGET) -> tuple[Any, Any]:
    """As lowered, and that in the order for the target."""
    profile = load_target(target)
    found = lower(canonical(graph), profile, ExportOptions(calibration=X))
    return found, frugally_ordered(found, profile)


def host_arena(data: bytes, capfd: pytest.CaptureFixture[str]) -> int:
    """`arena_used_bytes` of TensorFlow Lite Micro's host interpreter."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    capfd.readouterr()
    runtime.Interpreter.from_bytes(data, arena_size=1 << 20).print_allocations()
    found = re.search(r"allocation total (\d+)", capfd.readouterr().err)
    assert found
    return int(found[1])


def outputs(data: bytes) -> list[Any]:
    pytest.importorskip("tflite_micro")
    litert = LiteRTRuntime(data)
    micro = TflmRuntime(data, litert.inputs, litert.outputs)
    rng = np.random.default_rng(1)
    inputs = rng.integers(-128, 128, (4, *litert.inputs[0].shape), np.int8)
    return [micro.run([array])[0] for array in inputs]


def test_the_arena_falls_and_the_outputs_stay(capfd: pytest.CaptureFixture[str]) -> None:
    before, after = (tflite_file(each.graph) for each in lowered(parse(BRANCHES)))
    assert host_arena(after, capfd) < 0.6 * host_arena(before, capfd)
    np.testing.assert_array_equal(outputs(after), outputs(before))


@pytest.mark.parametrize(
    ("text", "target"), [(None, TARGET), (BRANCHES, "raspberry-pi-4")], ids=["chain", "LiteRT"]
)
def test_the_order_stays_where_another_gains_nothing(text: str | None, target: str) -> None:
    graph = net() if text is None else parse(text)
    samples = np.random.default_rng(0).random((2, *graph.inputs[0].shape[1:]), np.float32)
    found = lower(canonical(graph), load_target(target), ExportOptions(calibration=samples))
    assert frugally_ordered(found, load_target(target)) is found


def test_the_report_tells(tmp_path: Path) -> None:
    model = save_onnx(tmp_path, BRANCHES)
    report = edgepack.export(model, TARGET, tmp_path / "out", formats="tflite,onnx", calibration=X)
    (note,) = (note for note in report.notes if "order" in note)
    assert f"to {report.memory['arena_bytes']:,} bytes" in note
    assert report.agreement["tflite_vs_onnx_max_lsb"] <= 1
    checked = edgepack.check(model, TARGET)
    assert checked.memory["arena_bytes"] == report.memory["arena_bytes"]
    assert [point["node"] for point in checked.memory["timeline"]] == [
        point["node"] for point in report.memory["timeline"]
    ]
    assert note in edgepack.validate(tmp_path / "out").notes


GATHERED = """i = const([0, 3, 5])
    z = Gather(y, i, axis=1)
    output(z)"""


def test_what_runs_on_the_accelerator(tmp_path: Path) -> None:
    text = BRANCHES.replace("output(y)", GATHERED)
    for target, beside in (("coral-edgetpu", "GATHER"), ("corstone-300", "GATHER")):
        report = edgepack.check(parse(text), target)
        (note,) = (note for note in report.notes if "MACs can run on" in note)
        macs = f"{report.compute.macs:,}"
        assert note.startswith(f"{macs} of {macs} MACs can run on ")
        assert beside in note.partition("on the processor: ")[2]
    assert not [n for n in edgepack.check(parse(text), TARGET).notes if "MACs can" in n]
