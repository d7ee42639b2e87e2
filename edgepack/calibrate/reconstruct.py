"""Rounding by gradients, for which torch is needed: effort 2 by layers, effort 3 also by blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from edgepack.calibrate.adaround import Progress, Schedule, round_layers
from edgepack.calibrate.brecq import BlockSchedule, reconstruct_blocks
from edgepack.calibrate.simulate import Env, Simulation
from edgepack.calibrate.torch_graph import require_torch, tensor
from edgepack.calibrate.torch_kernels import Torch
from edgepack.errors import BadData
from edgepack.ir import Array, Graph
from edgepack.quantize.layers import WeightTable
from edgepack.quantize.plan import QuantPlan

MOST_SAMPLES: Final = 64
_CACHE_BYTES: Final = 1 << 30  # of the values that are alive at one place, float and quantized


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What came out: a weight table, and the plan with the scales that were learned."""

    weights: WeightTable
    plan: QuantPlan


def reconstruct(
    graph: Graph,
    plan: QuantPlan,
    start: WeightTable,
    samples: Iterable[Sequence[Array]],
    *,
    effort: int = 2,
    seed: int = 0,
    threads: int = 2,
    progress: Progress = lambda done, total, what: None,
    layers: Schedule | None = None,
    blocks: BlockSchedule | None = None,
) -> Reconstruction:
    """Search the rounding of the weights in `start`, and from effort 3 on activations' scales too.

    `graph` is the legalized float graph that `plan` was made for; neither they nor `start` are
    changed, and the scales of the weights stay those of `start`. Of the samples (one array per
    input) as many are taken as MOST_SAMPLES and the memory for their values allow. The work does
    not depend on how fast the machine is: the same seed and threads give the same numbers.
    `progress(done, total, what)` is called after each layer or block.
    Raises MissingDependency without torch, BadData without samples.
    """
    torch = require_torch(f"--effort {effort}")
    inputs = _stacked(torch, graph, samples)
    own = QuantPlan(plan.precision, dict(plan.own), dict(plan.shared), dict(plan.methods))
    simulation = Simulation(torch, graph, own, start)
    with _threads(torch, threads):
        round_layers(simulation, graph, inputs, layers or Schedule(), seed=seed, progress=progress)
        if effort >= 3:
            reconstruct_blocks(
                simulation, graph, inputs, blocks or BlockSchedule(), seed=seed, progress=progress
            )
    return Reconstruction(simulation.table, own)


@contextlib.contextmanager
def _threads(torch: Torch, count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stacked(torch: Torch, graph: Graph, samples: Iterable[Sequence[Array]]) -> Env:
    most = max(1, min(MOST_SAMPLES, _CACHE_BYTES // max(2 * _peak_bytes(graph), 1)))
    taken = list(islice(samples, most))
    if not taken:
        raise BadData("there is nothing to reconstruct from", hint="give calibration samples")
    return {
        value: tensor(torch, np.stack(arrays))
        for value, arrays in zip(graph.inputs, zip(*taken, strict=True), strict=True)
    }


def _peak_bytes(graph: Graph) -> int:
    """Bytes of the activations that are alive at once in one sample, at the worst place."""
    nodes = graph.nodes
    last = {v: i for i, n in enumerate(nodes) for v in n.present_inputs if not v.is_const}
    last.update((v, len(nodes)) for v in graph.outputs)
    alive = sum(v.nbytes for v in graph.inputs)
    peak = alive
    for index, node in enumerate(nodes):
        alive += sum(v.nbytes for v in node.outputs)
        peak = max(peak, alive)
        ends = {v for v in (*node.present_inputs, *node.outputs) if last.get(v, -1) <= index}
        alive -= sum(v.nbytes for v in ends if not v.is_const)
    return peak
