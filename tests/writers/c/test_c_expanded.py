"""Weights of few values: codes in flash, expanded before the layer; the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.ir import DType, Graph
from edgepack.plan.c_plan import plan_c
from edgepack.plan.c_verify import verify_plan
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from edgepack.writers.c.contents import contents
from tests.writers.c.compiled import Library
from tests.writers.test_tflite_decode import int8_net


def few(levels: int, seed: int = 0) -> Graph:
    """A net whose weights have so many values; of 16 in four bits, they are int4."""
    return int8_net(levels, seed)


def as_int4(graph: Graph) -> Graph:
    """The same with 4-bit weights."""
    for value in graph.constants():
        if value.name.endswith("_w"):
            value.data = (value.const.astype(np.int64) * 7 // 128).astype(np.int8)
            value.dtype = DType.INT4
    return graph


NETS = {
    "16 values": lambda: few(16),
    "4 values": lambda: few(4),
    "2 values": lambda: few(2),
    "int4": lambda: as_int4(few(200)),
}


@pytest.mark.parametrize("variant", ["portable", "dsp", "mve"])
@pytest.mark.parametrize("name", NETS)
def test_bits_and_bytes(name: str, variant: str, tmp_path: Path) -> None:
    graph = NETS[name]()
    plan, plain = plan_c(graph, "flash"), plan_c(graph, "speed")
    assert len(plan.expanded) == 3
    assert not plain.expanded
    verify_plan(graph, plan, "flash")
    library = Library(tmp_path, {"net": write_c(graph, plan, "net", variant)})
    for seed in range(3):
        x = np.random.default_rng(seed).integers(-128, 128, (1, 8, 8, 4), np.int8)
        (wanted,) = ReferenceRuntime(graph).run([x])
        (found,) = library.run("net", graph, [x])
        assert len(np.unique(wanted)) > 3
        np.testing.assert_array_equal(found, wanted)
    sizes = [sum(size for size, _ in contents(graph, p, variant).tables) for p in (plan, plain)]
    weights = sum(v.size for v in graph.constants() if v.name.endswith("_w"))
    assert sizes[1] - sizes[0] > 0.4 * weights


def test_many_values_stay() -> None:
    assert not plan_c(few(200), "flash").expanded
