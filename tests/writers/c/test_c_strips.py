"""Models whose first layers run in strips, compiled: the same bytes, in a smaller arena."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgepack.plan.c_memory import prepare_c
from edgepack.plan.c_verify import verify_plan
from edgepack.readers.tflite import read_tflite
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from tests.writers.c.compiled import Library

SHARED = Path(os.environ.get("EDGEPACK_SHARED", Path(__file__).parents[4] / "shared"))
ARENAS = {"ic_resnet8_int8": 21_376, "vww_mobilenet_int8": 30_060, "person_detect_int8": 19_692}


@pytest.mark.parametrize("name", ARENAS)
def test_strips_of_real_models(name: str, tmp_path: Path) -> None:
    path = SHARED / f"models/{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there (set EDGEPACK_SHARED)")
    graph = read_tflite(path.read_bytes())
    prepared = prepare_c(graph, "ram")
    assert prepared.note is not None
    verify_plan(prepared.graph, prepared.plan, "ram")
    assert prepared.plan.arena_bytes <= ARENAS[name]
    library = Library(tmp_path, {"model": write_c(prepared.graph, prepared.plan)})
    rng = np.random.default_rng(0)
    (x,) = graph.inputs
    for _ in range(2):
        sample = rng.integers(*x.dtype.limits, x.shape, x.dtype.numpy, endpoint=True)
        (got,) = library.run("model", prepared.graph, [sample])
        np.testing.assert_array_equal(got, ReferenceRuntime(graph).run([sample])[0])
