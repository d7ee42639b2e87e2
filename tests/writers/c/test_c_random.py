"""Random operators compiled: the bytes of the reference kernels, with plans for speed and RAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.plan.c_plan import plan_c
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from tests.writers.c.compiled import Library
from tests.writers.c.random_ops import Draw


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 540), marks=pytest.mark.slow)])
def test_random_operators(seeds: range, tmp_path: Path) -> None:
    graphs = {f"r{seed}": Draw(seed).graph() for seed in seeds}
    projects = {
        name: write_c(g, plan_c(g, ("speed", "ram")[seed % 2]), prefix=name)
        for seed, (name, g) in enumerate(graphs.items())
    }
    library = Library(tmp_path, projects)
    for seed, (name, graph) in zip(seeds, graphs.items(), strict=True):
        rng = np.random.default_rng(seed)
        inputs = [rng.integers(-128, 128, v.shape, np.int8) for v in graph.inputs]
        got = library.run(name, graph, inputs)
        for g, w in zip(got, ReferenceRuntime(graph).run(inputs), strict=True):
            np.testing.assert_array_equal(g, w, err_msg=f"{name}: {graph.nodes[0]}")
