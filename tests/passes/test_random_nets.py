import numpy as np
from equivalence import inputs_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pass_random import RandomNet

from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.pipeline import optimize
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite

CHOICES = st.lists(st.integers(0, 1000), min_size=1, max_size=9)
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def assert_close(want, got):
    for a, b in zip(want, got, strict=True):
        assert a.shape == b.shape
        # up to nine fragments, each of which may add a few float32 roundings of the largest number
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4 * (1 + np.abs(a).max()))


@QUICK
@given(CHOICES)
def test_optimize_keeps_the_numbers(choices):
    graph = RandomNet(choices).graph
    arrays = inputs_for(graph)
    want = ReferenceRuntime(graph.copy()).run(arrays)
    names = [v.name for v in graph.outputs]
    optimize(graph)
    assert [v.name for v in graph.outputs] == names
    assert_close(want, ReferenceRuntime(graph).run(arrays))
    assert optimize(graph) == 0


@QUICK
@given(CHOICES)
def test_litert_agrees_after_legalization(choices):
    graph = RandomNet(choices).graph
    arrays = inputs_for(graph)
    want = ReferenceRuntime(graph.copy()).run(arrays)
    optimize(graph)
    legalize_tflite(graph)
    assert_close(want, LiteRTRuntime(write_tflite(graph)).run(arrays))
