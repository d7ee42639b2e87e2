"""The step in front of a sequence that empties the states which TFLite's LSTM keeps."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.ir import Graph
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite.write import write_tflite

TIME, BATCH, SIZE, UNITS = 4, 2, 3, 5


def lstm(*, time_major=True, peepholes=False, coupled=False, source="onnx"):
    rng = np.random.default_rng(3)

    def const(*shape):
        return graph.constant(rng.normal(size=shape).astype(np.float32))

    graph = Graph()
    graph.source.format = source
    x = graph.add_input("x", (TIME, BATCH, SIZE) if time_major else (BATCH, TIME, SIZE))
    inputs = [x, *(const(UNITS, SIZE) for _ in range(4)), *(const(UNITS, UNITS) for _ in range(4))]
    inputs += [const(UNITS) if peepholes else None for _ in range(3)]
    inputs += [const(UNITS) for _ in range(4)] + [None, None]
    inputs += [graph.constant(np.zeros((BATCH, UNITS), np.float32)) for _ in range(2)]
    if coupled:
        for gone in (1, 5, 12):
            inputs[gone] = None
    graph.outputs.append(graph.add("Lstm", inputs, {"time_major": time_major}, name="y"))
    return graph


FIRES = {
    "time first": {},
    "batch first": {"time_major": False},
    "peepholes": {"peepholes": True},
}


@pytest.mark.parametrize("name", FIRES)
def test_every_run_starts_from_zero(name):
    graph = lstm(**FIRES[name])
    x = np.random.default_rng(1).normal(size=graph.inputs[0].shape).astype(np.float32)
    expected = ReferenceRuntime(graph).run([x])
    assert legalize_tflite(graph) == 1
    assert [v.name for v in graph.outputs] == ["y"]
    runtime = LiteRTRuntime(write_tflite(graph))
    for _ in range(2):
        np.testing.assert_allclose(runtime.run([x])[0], expected[0], rtol=1e-5, atol=1e-6)
    assert legalize_tflite(graph) == 0


DECLINES = {
    "the source is TFLite, whose states are meant": {"source": "tflite"},
    "no input gate of its own to close": {"coupled": True},
}


@pytest.mark.parametrize("name", DECLINES)
def test_declines(name):
    graph = lstm(**DECLINES[name])
    assert legalize_tflite(graph) == 0
    assert len(graph) == 1
