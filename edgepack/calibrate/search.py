"""Several ways to the integers, of which the best is kept: efforts 2 and 3.

Each way starts from the best one before it, and is judged by what its integers really give at the
model's outputs (before a softmax, which hides most) on samples that none of them has seen. So more
effort is never worse than less but by what those samples do not tell.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.calibrate.end_to_end import before_ends
from edgepack.calibrate.reconstruct import Method, reconstruct
from edgepack.calibrate.sequential import refine
from edgepack.ir import Array, DType, Graph, Value, row
from edgepack.quantize.integer import quantize_integer
from edgepack.quantize.layers import LayerWeights, WeightTable
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.plan import QuantPlan
from edgepack.run.litert import LiteRTRuntime
from edgepack.writers.tflite import write_tflite

SET_ASIDE: Final = 4  # of so many samples one judges
FITTED: Final = 32  # samples that `refine` sees
_CLOSED, _SEQUENTIAL = "closed form", "layer after layer"
_NAMES: Final[dict[Method, str]] = {
    "layers": "AdaRound",
    "tune": "scales and biases learned end to end",
}
_METHODS: Final[dict[int, tuple[Method, ...]]] = {2: ("layers",), 3: ("layers", "tune")}
_FOR_NARROW: Final = ("layers",)  # pay only where weights have 4 bits


@dataclass(frozen=True, slots=True)
class Found:
    """The best plan and weights, by which way they came, and their SQNR on samples set aside."""

    plan: QuantPlan
    weights: WeightTable
    way: str
    sqnr_db: float

    @property
    def note(self) -> str:
        """What the report says."""
        return f"integers by {self.way}, the best on samples set aside ({self.sqnr_db:.1f} dB)"


def search(
    graph: Graph,
    plan: QuantPlan,
    start: WeightTable,
    samples: Sequence[Sequence[Array]],
    options: QuantizeOptions,
    *,
    effort: int,
    means: bool = True,
    fixed: Collection[str] = (),
    seed: int = 0,
    threads: int = 2,
) -> Found:
    """The best weights for `graph`, float and legalized, that this effort (2 or 3) finds.

    Neither `graph` nor `plan` nor `start` is changed. `means` and `fixed` are as in `refine`.
    Raises MissingDependency without torch.
    """
    aside = samples[SET_ASIDE - 1 :: SET_ASIDE] or samples
    seen = [s for i, s in enumerate(samples) if i % SET_ASIDE != SET_ASIDE - 1]
    contest = _Contest(graph, seen[:FITTED], aside, options, means, fixed, seed, threads)
    best = contest.judged(plan, start, _CLOSED)
    best = contest.better(best, contest.refined(plan, start, _SEQUENTIAL, rounding=True))
    narrow = any(p.weights is DType.INT4 for p in plan.precision.values())
    for method in _METHODS[effort]:
        if method in _FOR_NARROW and not narrow:
            continue
        made = reconstruct(
            graph, best.plan, best.weights, seen, method=method, fixed=fixed, seed=seed,
            threads=threads,
        )  # fmt: skip
        raw = contest.judged(made.plan, made.weights, _NAMES[method])
        refined = contest.refined(made.plan, made.weights, _NAMES[method], rounding=False)
        best = contest.better(best, contest.better(raw, refined))
    return best


class _Contest:
    """Makes integer graphs of plans and weights, and judges them."""

    def __init__(
        self,
        graph: Graph,
        fitted: Sequence[Sequence[Array]],
        aside: Sequence[Sequence[Array]],
        options: QuantizeOptions,
        means: bool,
        fixed: Collection[str],
        seed: int,
        threads: int,
    ) -> None:
        self._graph, self._options = graph, options
        self._fitted, self._aside = fitted, aside
        self._means, self._fixed = means, fixed
        self._seed, self._threads = seed, threads
        self._wanted = self._answers(graph)

    def judged(self, plan: QuantPlan, weights: WeightTable, way: str) -> Found:
        """These weights as they are."""
        made = self._made(plan, weights)
        return Found(plan, weights, way, self._sqnr_db(made))

    def refined(self, plan: QuantPlan, weights: WeightTable, way: str, *, rounding: bool) -> Found:
        """These weights after `refine`."""
        if not (rounding or self._means):
            return self.judged(plan, weights, way)
        made = self._made(plan, weights)
        refine(
            made, self._graph, self._fitted, rounding=rounding, means=self._means,
            fixed=self._fixed, seed=self._seed, threads=self._threads,
        )  # fmt: skip
        return Found(plan, _weights_of(made, weights), way, self._sqnr_db(made))

    @staticmethod
    def better(one: Found, other: Found) -> Found:
        """The better of two; the first where they are equal."""
        return other if other.sqnr_db > one.sqnr_db else one

    def _made(self, plan: QuantPlan, weights: WeightTable) -> Graph:
        twin = self._graph.copy()
        quantize_integer(twin, moved(plan, self._graph, twin), weights, self._options)
        return twin

    def _answers(self, graph: Graph) -> list[list[Array]]:
        """What `graph` gives before its ends, real, for each sample set aside."""
        part = graph.copy()
        part.outputs = before_ends(part)
        part.remove_dead()
        runtime = LiteRTRuntime(write_tflite(part), threads=self._threads)
        answers = [runtime.run(_encoded(part, sample)) for sample in self._aside]
        return [
            [y if v.quant is None else v.quant.dequantize(y)
             for v, y in zip(part.outputs, answer, strict=True)]
            for answer in answers
        ]  # fmt: skip

    def _sqnr_db(self, made: Graph) -> float:
        """Of the outputs that are real numbers, each counting in units of its own power."""
        found, shares = self._answers(made), []
        for index, value in enumerate(self._graph.outputs):
            if value.dtype is not DType.FLOAT32:
                continue
            want = np.array([answer[index] for answer in self._wanted], np.float64)
            have = np.array([answer[index] for answer in found], np.float64)
            shares.append(np.square(want - have).sum() / max(np.square(want).sum(), 1e-300))
        noise = float(np.mean(shares)) if shares else 0.0
        return -10 * float(np.log10(max(noise, 1e-30)))


def moved(plan: QuantPlan, graph: Graph, twin: Graph) -> QuantPlan:
    """The plan of `graph` for `twin`, a copy of it."""
    nodes = dict(zip(graph.nodes, twin.nodes, strict=True))
    values: dict[Value | None, Value | None] = dict(zip(graph.inputs, twin.inputs, strict=True))
    for node, other in nodes.items():
        values.update(zip(node.inputs, other.inputs, strict=True))
        values.update(zip(node.outputs, other.outputs, strict=True))
    known = {v: w for v, w in values.items() if v is not None and w is not None}
    return QuantPlan(
        {nodes[n]: precision for n, precision in plan.precision.items()},
        {known[v]: storage for v, storage in plan.own.items()},
        {(known[v], dtype): params for (v, dtype), params in plan.shared.items()},
        dict(plan.methods),
        {nodes[n]: params for n, params in plan.cells.items()},
    )


def _weights_of(graph: Graph, table: WeightTable) -> WeightTable:
    """The layers of `table` as they stand in an integer graph."""
    nodes = {node.name: node for node in graph.nodes}
    found = {}
    for name, layer in table.items():
        node, rule = nodes[name], row(nodes[name].op).quant
        weight = node.input(rule.weight or 0)
        bias = None if rule.bias is None else node.optional(rule.bias)
        found[name] = LayerWeights(
            weight.const, weight.quant or layer.params, None if bias is None else bias.real
        )
    return found


def _encoded(graph: Graph, sample: Sequence[Array]) -> list[Array]:
    return [
        array if value.quant is None else value.quant.quantize(array, value.dtype)
        for value, array in zip(graph.inputs, sample, strict=True)
    ]
