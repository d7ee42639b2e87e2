"""Random operators compiled: the bytes of the reference kernels, with plans for speed and RAM.

On this machine in each variant of the kernels, their instructions spelled out in C; and on emulated
cores with the instructions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.ir.text import parse
from edgepack.plan.c_plan import plan_c
from edgepack.profiles import load_target
from edgepack.run.base import TensorInfo
from edgepack.run.emulator import EmulatedModel
from edgepack.run.emulator.qemu_machine import find_qemu
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from edgepack.writers.c.variants import VARIANTS
from tests.writers.c.compiled import Library
from tests.writers.c.random_ops import Draw

PLANS = ("speed", "ram")
CORES = {"dsp": "nucleo-l4r5zi", "mve": "stm32n657"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 540), marks=pytest.mark.slow)])
def test_random_operators(seeds: range, variant: str, tmp_path: Path) -> None:
    graphs = {f"r{seed}": Draw(seed).graph() for seed in seeds}
    projects = {
        name: write_c(g, plan_c(g, PLANS[seed % 2]), prefix=name, variant=variant)
        for seed, (name, g) in enumerate(graphs.items())
    }
    library = Library(tmp_path, projects)
    for seed, (name, graph) in zip(seeds, graphs.items(), strict=True):
        rng = np.random.default_rng(seed)
        inputs = [rng.integers(-128, 128, v.shape, np.int8) for v in graph.inputs]
        got = library.run(name, graph, inputs)
        for g, w in zip(got, ReferenceRuntime(graph).run(inputs), strict=True):
            np.testing.assert_array_equal(g, w, err_msg=f"{name}: {graph.nodes[0]}")


@pytest.mark.parametrize("variant", CORES)
@pytest.mark.parametrize(
    "seed", [*range(10), *(pytest.param(s, marks=pytest.mark.slow) for s in range(10, 100))]
)
def test_kernels_with_instructions_on_the_core(seed: int, variant: str, tmp_path: Path) -> None:
    if variant == "mve":
        needs_qemu()
    draw = Draw(seed)
    kinds = (draw.convolution, draw.depthwise, draw.dense, draw.pool, draw.binary)
    graph = parse(kinds[seed % 5]())
    for name, text in write_c(graph, plan_c(graph, PLANS[seed % 2]), variant=variant).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    ports = [
        [TensorInfo(v.name, v.shape, v.dtype) for v in e] for e in (graph.inputs, graph.outputs)
    ]
    model = EmulatedModel.open(tmp_path, load_target(CORES[variant]), *ports)
    rng = np.random.default_rng(seed)
    inputs = [rng.integers(-128, 128, v.shape, np.int8) for v in graph.inputs]
    np.testing.assert_array_equal(model.run(inputs)[0], ReferenceRuntime(graph).run(inputs)[0])
    if variant != "mve":
        model.measure(inputs)  # with every access watched


def needs_qemu() -> None:
    """Skip the test where nothing runs MVE instructions: PyPI's unicorn does not."""
    if find_qemu() is None:
        pytest.skip("there is no qemu-system-arm for a Cortex-M55")
