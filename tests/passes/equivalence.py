"""Running a graph before and after a pass and comparing what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepack.ir import Array, Graph
from edgepack.ir.check import check
from edgepack.ir.text import parse
from edgepack.passes.manager import run_pass
from edgepack.run.reference import ReferenceRuntime


def inputs_for(graph: Graph, seed: int = 0) -> list[Array]:
    """Seeded inputs of every sign; integers over their whole range (small ones where wide)."""
    rng = np.random.default_rng(seed)
    arrays = []
    for value in graph.inputs:
        if value.dtype.is_float:
            data = rng.standard_normal(value.shape) * 3
        elif value.dtype.bits == 8:
            low, high = value.dtype.limits if value.dtype.is_integer else (0, 1)
            data = rng.integers(low, high + 1, value.shape)
        else:
            data = rng.integers(0, 100, value.shape)
        arrays.append(np.asarray(data).astype(value.dtype.numpy))
    return arrays


def ops(graph: Graph) -> list[str]:
    """The operators in order."""
    return [node.op for node in graph.nodes]


def assert_equal_outputs(expected: Sequence[Array], got: Sequence[Array]) -> None:
    """Equal integers, and real numbers equal to 1e-5 relative (one float32 rounding per term)."""
    assert len(expected) == len(got)
    for want, have in zip(expected, got, strict=True):
        assert want.shape == have.shape
        assert want.dtype == have.dtype
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(have, want)
        else:
            largest = np.abs(want[np.isfinite(want)]).max(initial=0)
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5 * (1 + largest))


def rewritten(text: str, step: Callable[[Graph], int], count: int | None) -> Graph:
    """Run `step` on the graph of `text`: it must report `count` (None: any) and keep the numbers.

    Names of inputs and outputs must stay, and a declining pass must leave the operators alone.
    """
    graph = parse(text)
    before = ReferenceRuntime(graph.copy())
    names = [v.name for v in graph.outputs]
    operators = ops(graph)
    done = run_pass(graph, step)
    assert count in (None, done)
    check(graph)
    if not done:
        assert ops(graph) == operators
    assert [v.name for v in graph.outputs] == names
    arrays = inputs_for(graph)
    assert_equal_outputs(before.run(arrays), ReferenceRuntime(graph).run(arrays))
    return graph
