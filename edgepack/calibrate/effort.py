"""How much is done to find the integers: `--effort`.

0: closed form, ranges and bias correction from statistics; 1: layer after layer, rounding for the
inputs it meets (`sequential`), numpy only; 2: AdaRound; 3: block reconstruction with learned ranges
(`reconstruct`), both with torch. The results depend on the seed, not on how fast the machine is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from edgepack.calibrate.reconstruct import reconstruct
from edgepack.calibrate.sequential import refine
from edgepack.calibrate.stepper import affordable
from edgepack.errors import BadData
from edgepack.ir import Array, Graph
from edgepack.quantize.integer import quantize_integer
from edgepack.quantize.layers import WeightTable, nearest_weights
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.plan import HasKernel, QuantPlan, plan_quantization
from edgepack.quantize.statistics import StatisticsTable

EFFORTS: Final = (0, 1, 2, 3)
MOST_SAMPLES: Final = {0: 0, 1: 32, 2: 64, 3: 64}


def quantize_with_effort(
    graph: Graph,
    seen: StatisticsTable,
    options: QuantizeOptions,
    has_kernel: HasKernel,
    samples: Iterable[Sequence[Array]],
    *,
    effort: int,
    seed: int = 0,
    threads: int = 2,
) -> QuantPlan:
    """Quantize `graph` (float, legalized) in place and return the plan.

    `seen` has the statistics of its values; of `samples`, its inputs, only as many are read as the
    effort uses, and none for effort 0. Raises MissingDependency for efforts 2 and 3 without torch,
    BadData when there are no samples.
    """
    plan = plan_quantization(graph, seen, options, has_kernel)
    table: WeightTable = nearest_weights(graph, plan, seen, options)
    if effort == 0:
        quantize_integer(graph, plan, table, options)
        return plan
    few = affordable(graph, samples, MOST_SAMPLES[effort])
    if not few:
        raise BadData("there is nothing to learn from", hint="give calibration samples")
    real = graph.copy()
    if effort >= 2:
        found = reconstruct(graph, plan, table, few, effort=effort, seed=seed, threads=threads)
        plan, table = found.plan, found.weights
    quantize_integer(graph, plan, table, options)
    refine(graph, real, few, rounding=effort == 1, seed=seed, threads=threads)
    return plan
