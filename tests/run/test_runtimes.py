"""Every runtime behind the one protocol gives the reference's results, and refuses in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.errors import BadData, BadModel, Unsupported
from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.run.base import Runtime, dtype_named
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.observe import Observer
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite

TEXT = """
    x: float32[2, 3] = input()
    w = random(4, 3)
    d = FullyConnected(x, w)
    y = Softmax(d)
    output(y, d)
"""


def _tflm(graph: Graph) -> Runtime:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    data = write_tflite(graph)
    litert = LiteRTRuntime(data)
    return TflmRuntime(data, litert.inputs, litert.outputs)


RUNTIMES: dict[str, Callable[[Graph], Runtime]] = {
    "LiteRT": lambda graph: LiteRTRuntime(write_tflite(graph)),
    "LiteRT, plain kernels": lambda graph: LiteRTRuntime(
        write_tflite(graph), reference_kernels=True
    ),
    "ONNX Runtime": lambda graph: OrtRuntime(write_onnx(graph)),
    "TFLite Micro": _tflm,
}
X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)


@pytest.mark.parametrize("name", RUNTIMES)
def test_outputs_come_in_order(name: str) -> None:
    graph = parse(TEXT)
    runtime = RUNTIMES[name](graph)
    assert [info.shape for info in runtime.inputs] == [(2, 3)]
    assert [info.shape for info in runtime.outputs] == [(2, 4), (2, 4)]
    wanted = ReferenceRuntime(graph).run([X])
    for _ in range(2):  # a second run is like the first
        for got, want in zip(runtime.run([X]), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["LiteRT", "ONNX Runtime"])
def test_what_is_no_model(name: str) -> None:
    runtime = {"LiteRT": LiteRTRuntime, "ONNX Runtime": OrtRuntime}[name]
    with pytest.raises(BadModel, match=name):
        runtime(b"not a model at all")


def test_types_without_a_name() -> None:
    with pytest.raises(BadModel, match="string"):
        dtype_named("string")


def test_the_reference_checks_its_inputs() -> None:
    runtime = ReferenceRuntime(parse(TEXT))
    with pytest.raises(BadData, match=r"'x' takes float32\[2, 3\], not float32\[3, 2\]"):
        runtime.run([X.T])


def test_the_reference_names_every_node_without_a_kernel() -> None:
    graph = parse(TEXT)
    for node in graph.nodes:
        node.op = f"No{node.op}"
    with pytest.raises(Unsupported, match=r"NoFullyConnected(.|\n)*NoSoftmax"):
        ReferenceRuntime(graph)


def test_an_observer_sees_every_value() -> None:
    graph = parse(TEXT)
    seen, (y, d) = Observer(graph).run([X]), ReferenceRuntime(graph).run([X])
    assert seen.keys() == {"x", "d", "y"}
    for name, array in {"x": X, "d": d, "y": y}.items():
        np.testing.assert_allclose(seen[name], array, rtol=1e-5, atol=1e-6)


def test_calibration_sees_the_extremes() -> None:
    table = collect(parse(TEXT), ([x] for x in (X, X * 3)))
    assert (table["x"].low, table["x"].high) == (X.min() * 3, X.max() * 3)
    assert table["y"].count == 16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e32])
def test_calibration_refuses_what_no_scale_holds(value: float) -> None:
    broken = X.copy()
    broken[0, 0] = value
    with pytest.raises(BadModel, match="value x becomes"):
        collect(parse(TEXT), [[X], [broken]])
