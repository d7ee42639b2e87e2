"""GELU for runtimes without an integer kernel of it."""

import numpy as np
import pytest

from edgepack.ir.text import parse
from edgepack.passes.tflite.integer_forms import spell_gelu_in_integers
from edgepack.run.reference import ReferenceRuntime

GELU = """
    x: float32[1, 201] = input()
    y = Gelu(x, approximate={approximate})
    output(y)"""


@pytest.mark.parametrize(("approximate", "apart"), [(False, 2e-3), (True, 2e-3)])
def test_spelled_gelu_is_gelu(approximate, apart):
    graph = parse(GELU.format(approximate=approximate))
    x = np.linspace(-10, 10, 201, dtype=np.float32)[None]
    expected = ReferenceRuntime(graph).run([x])[0]
    assert spell_gelu_in_integers(graph, lambda builtin: False) == 1
    assert not graph.nodes_of("Gelu")
    assert np.abs(ReferenceRuntime(graph).run([x])[0] - expected).max() < apart


def test_within_reach_it_is_the_tanh_form():
    graph = parse(GELU.format(approximate=True))
    x = np.linspace(-4, 4, 201, dtype=np.float32)[None]
    expected = ReferenceRuntime(graph).run([x])[0]
    spell_gelu_in_integers(graph, lambda builtin: False)
    np.testing.assert_allclose(ReferenceRuntime(graph).run([x])[0], expected, atol=1e-6)


def test_a_kernel_is_left_alone():
    graph = parse(GELU.format(approximate=False))
    assert spell_gelu_in_integers(graph, lambda builtin: builtin == "GELU") == 0
