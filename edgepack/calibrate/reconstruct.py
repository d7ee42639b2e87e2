"""Rounding and scales by gradients, for which torch is needed (`search` decides what is kept)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from edgepack.calibrate.adaround import Schedule, round_layers
from edgepack.calibrate.end_to_end import TuneSchedule, before_ends, can_tune, tune
from edgepack.calibrate.simulate import Env, Simulation
from edgepack.calibrate.stepper import affordable
from edgepack.calibrate.torch_graph import require_torch, tensor
from edgepack.calibrate.torch_kernels import Torch
from edgepack.errors import BadData
from edgepack.ir import Array, Graph
from edgepack.quantize.layers import WeightTable
from edgepack.quantize.plan import QuantPlan

MOST_SAMPLES: Final = 96


Method = Literal["layers", "tune"]


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
    method: Method = "layers",
    fixed: Collection[str] = (),
    seed: int = 0,
    threads: int = 2,
    layers: Schedule | None = None,
    tuning: TuneSchedule | None = None,
) -> Reconstruction:
    """Begin at the weights in `start` and search better ones by one method.

    "layers" searches how weights of 4 bits are rounded, layer by layer and with the scales of
    `start`; "tune" the scales (not those of weights named in `fixed`) and biases, with the integers
    of `start`.
    `graph` is the legalized float graph that `plan` was made for; neither they nor `start` are
    changed. Of the samples (one array per input) as many are taken as MOST_SAMPLES and the memory
    for their values allow. The work does not depend on how fast the machine is: the same seed and
    threads give the same numbers. Raises MissingDependency without torch, BadData without samples.
    """
    torch = require_torch("--effort 2 or 3")
    inputs = _stacked(torch, graph, samples)
    own = QuantPlan(
        plan.precision, dict(plan.own), dict(plan.shared), dict(plan.methods), plan.cells
    )
    simulation = Simulation(torch, graph, own, start)
    with _threads(torch, threads):
        if method == "layers":
            round_layers(simulation, graph, inputs, layers or Schedule(), seed=seed)
        elif can_tune(graph, outputs := before_ends(graph)):
            schedule = tuning or TuneSchedule()
            tune(simulation, graph, inputs, outputs, schedule, fixed=fixed, seed=seed)
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
    taken = affordable(graph, samples, MOST_SAMPLES)
    if not taken:
        raise BadData("there is nothing to reconstruct from", hint="give calibration samples")
    return {
        value: tensor(torch, np.stack(arrays))
        for value, arrays in zip(graph.inputs, zip(*taken, strict=True), strict=True)
    }
