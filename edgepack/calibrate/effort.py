"""How much is done to find the integers: `--effort`.

0: closed form, ranges and bias correction from statistics; 1: layer after layer, rounding for the
inputs it meets (`sequential`), numpy only; 2: AdaRound where weights have 4 bits; 3: scales and
biases learned end to end, both with torch (`search`), the best of all ways being kept. The results
depend on the seed, not on how fast the machine is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from edgepack.calibrate.search import search
from edgepack.calibrate.sequential import refine
from edgepack.calibrate.stand_in import Corrections, put_in, stand_in_weights, take_out
from edgepack.calibrate.stepper import affordable
from edgepack.errors import BadData
from edgepack.ir import Array, Graph
from edgepack.quantize.integer import quantize_integer
from edgepack.quantize.layers import WeightTable, nearest_weights
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.plan import HasKernel, QuantPlan, plan_quantization
from edgepack.quantize.statistics import StatisticsTable

EFFORTS: Final = (0, 1, 2, 3)
MOST_SAMPLES: Final = {0: 0, 1: 32, 2: 96, 3: 96}


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
    corrections: Corrections | None = None,
) -> QuantPlan:
    """Quantize `graph` (float, legalized) in place and return the plan.

    `seen` has the statistics of its values; of `samples`, its inputs, only as many are read as the
    effort uses, and none for effort 0. Where these are synthetic, `corrections` are those of
    `data_free_statistics`: layers are then fitted in the graph that stands in for this one, and
    biases not moved to the means behind activations, which are not those of true inputs (on
    EfficientNet-Lite0 from ONNX that costs 5 dB). Raises MissingDependency for efforts 2 and 3
    without torch, BadData when there are no samples.
    """
    plan = plan_quantization(graph, seen, options, has_kernel)
    table: WeightTable = nearest_weights(graph, plan, seen, options)
    if effort == 0:
        quantize_integer(graph, plan, table, options)
        return plan
    few = affordable(graph, samples, MOST_SAMPLES[effort])
    if not few:
        raise BadData("there is nothing to learn from", hint="give calibration samples")
    true, real, first = graph.copy(), graph.copy(), table
    if corrections:
        put_in(graph, corrections)
        put_in(real, corrections)
        table = stand_in_weights(table, true, corrections)
    means = corrections is None
    fixed = [name for name, layer in first.items() if layer.params.axis is None]
    if effort >= 2:
        found = search(
            graph, plan, table, few, options, effort=effort, means=means, fixed=fixed, seed=seed,
            threads=threads,
        )  # fmt: skip
        plan, table = found.plan, found.weights
        plan.notes.append(found.note)
    quantize_integer(graph, plan, table, options)
    if effort == 1:
        refine(graph, real, few, means=means, fixed=fixed, seed=seed, threads=threads)
    if corrections:
        take_out(graph, true, corrections, first)
    return plan
