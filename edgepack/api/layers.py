"""The precision of single layers: as the user names it, or as mixed precision chooses it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from itertools import islice
from typing import Final

from edgepack.api.accuracy import AccuracyBudget
from edgepack.api.schemes import has_kernel, takes_weights
from edgepack.calibrate.sensitivity import SAMPLES, measure_sensitivity
from edgepack.devices import Target
from edgepack.errors import BadInput
from edgepack.ir import Array, DType, Graph, Node, Value, row
from edgepack.plan.device import flash_use
from edgepack.quantize.float_weights import widen_weights
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.mixed import Budget, Mixture, NoiseTable, choose_layers
from edgepack.quantize.options import LAYER_PRECISIONS, Precision, QuantizeOptions
from edgepack.quantize.plan import is_quantizable
from edgepack.quantize.rounding import absorb_double_rounding
from edgepack.quantize.statistics import StatisticsTable
from edgepack.run.host import host_runtime
from edgepack.run.litert import LiteRTRuntime
from edgepack.validation.compare import Noise
from edgepack.validation.logits import before_softmax
from edgepack.writers.tflite import write_tflite
from edgepack.writers.tflite.names import builtins_of

ASKED: Final = "asked for with --layer"
TAIL: Final = "the output ends in float: its parts are of very different sizes"
_ACCURACY: Final = "the accuracy asked for"
_ROUNDS: Final = 8  # of choosing, quantizing and measuring what came of it
_CLOSE_DB: Final = 0.3  # above the wanted SQNR: near enough
_COARSE_DB: Final = 0.5  # between an SQNR that keeps the accuracy and one that does not
_RAISE_DB: Final = 3.0
_NAMED: Final = 3


def layer_overrides(
    graph: Graph, given: Mapping[str, str], target: Target
) -> dict[str, Precision | None]:
    """What `--layer` asks for, by the nodes' names; `graph` is float and legalized.

    A layer may also be named by its output, or by the first of the names that a converter joined
    with semicolons. Raises BadInput for a name that is not there, with the
    nearest ones, and for a precision in which no kernel runs that node.
    """
    nodes = _by_name(graph)
    found: dict[str, Precision | None] = {}
    for name, text in given.items():
        if name not in nodes:
            near = get_close_matches(name, nodes, n=_NAMED, cutoff=0.0)
            raise BadInput(
                f"--layer {name}={text}: the model has no such layer",
                hint=f"the closest are {', '.join(near)}; `edgepack inspect --sensitivity` "
                "lists all",
            )
        node, precision = nodes[name], LAYER_PRECISIONS[text]
        _require_kernel(node, precision, text, target)
        found[node.name] = precision
    return found


def _by_name(graph: Graph) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        nodes.setdefault(node.name.split(";")[0], node)
        nodes.setdefault(node.output.name, node)
    nodes.update({node.name: node for node in graph.nodes})
    return nodes


def _require_kernel(node: Node, precision: Precision | None, text: str, target: Target) -> None:
    runs = [name for name, other in LAYER_PRECISIONS.items() if _runs(node, other, target)]
    if not _runs(node, precision, target):
        raise BadInput(
            f"--layer {node.name}={text}: {target.runtime.name} has no such kernel for {node.op}",
            hint=f"it runs as {' or '.join(runs)}" if runs else None,
        )


def _runs(node: Node, precision: Precision | None, target: Target) -> bool:
    if precision is None:
        return runs_float(target)(node)
    if precision.weights is DType.INT4 and row(node.op).quant.weight is None:
        return False
    return is_quantizable(node, precision) and has_kernel(target)(node, precision)


def runs_float(target: Target) -> Callable[[Node], bool]:
    """Whether the target has a node's float32 kernel."""
    return lambda node: all(target.supports(name, "float32") for name in builtins_of(node))


@dataclass(frozen=True, slots=True)
class Mixed:
    """What mixed precision came to: the options that say it, and what was measured of it.

    `sqnr_db` is that of the output before any final softmax, on the samples that were used; None
    where the output is zero. `flash_bytes` is as the planner counts it. `graph` is quantized so.
    """

    options: QuantizeOptions
    mixture: Mixture
    sqnr_db: float | None
    flash_bytes: int
    graph: Graph


@dataclass
class MixedPrecision:
    """Chooses the layers' precisions for one model, target and set of statistics.

    `real` is the float graph, legalized for TFLite; `inputs` gives a few samples in its layout,
    and is read only when something is measured. `write` makes the file whose flash counts.
    """

    real: Graph
    seen: StatisticsTable
    inputs: Iterable[Sequence[Array]]
    options: QuantizeOptions
    target: Target
    write: Callable[[Graph], bytes] = write_tflite
    threads: int = 2

    @cached_property
    def samples(self) -> list[Sequence[Array]]:
        """The inputs that all is measured on."""
        return list(islice(self.inputs, SAMPLES))

    @cached_property
    def _cut(self) -> Graph:
        return before_softmax(self.real) or self.real

    @cached_property
    def noise(self) -> NoiseTable:
        """What each layer does alone."""
        return measure_sensitivity(
            self._cut, self.seen, self.options, self.samples, has_kernel(self.target),
            threads=self.threads,
        )  # fmt: skip

    @cached_property
    def _truth(self) -> list[list[Array]]:
        runtime = LiteRTRuntime(write_tflite(self._cut), threads=self.threads)
        return [runtime.run(inputs) for inputs in self.samples]

    def choose(
        self,
        max_flash: int | None = None,
        min_sqnr_db: float | None = None,
        accuracy: AccuracyBudget | None = None,
    ) -> Mixed:
        """The mixture that keeps the budgets as measured, else the one that comes nearest.

        Where flash is what is limited, all of it is used, and accuracy is as good as it gets.
        """
        found = self._try(Budget())
        if accuracy is not None and max_flash is None:
            return self._keep_accuracy(accuracy, min_sqnr_db, found)
        if max_flash is None and min_sqnr_db is None:
            return found
        if min_sqnr_db is not None:
            return self._reach(min_sqnr_db, found)
        return self._squeeze(max_flash or 0, found)

    def _try(self, budget: Budget) -> Mixed:
        cut = self._cut
        mixture = choose_layers(
            cut, self.noise, self.options, budget, has_kernel(self.target), runs_float(self.target)
        )
        options = dataclasses.replace(self.options, layers=mixture.layers)
        graph = self.real.copy()
        quantize_nearest(graph, self.seen, options, has_kernel(self.target))
        widen_weights(graph, partial(takes_weights, self.target))
        absorb_double_rounding(graph)
        flash = flash_use(self.target, graph, self.write(graph)).total_bytes
        return Mixed(options, mixture, self.measured(graph), flash, graph)

    def measured(self, graph: Graph) -> float | None:
        """SQNR in dB of a quantized graph's output, the worst where there are several."""
        cut = before_softmax(graph) or graph
        runtime = host_runtime(cut, threads=self.threads)
        noises = [Noise() for _ in cut.outputs]
        for inputs, truth in zip(self.samples, self._truth, strict=True):
            fed = [_stored(v, a) for v, a in zip(cut.inputs, inputs, strict=True)]
            for noise, value, real, made in zip(
                noises, cut.outputs, truth, runtime.run(fed), strict=True
            ):
                noise.add(real, made if value.quant is None else value.quant.dequantize(made))
        return min((n.sqnr_db for n in noises if n.sqnr_db is not None), default=None)

    def _squeeze(self, max_flash: int, found: Mixed) -> Mixed:
        """As much precision as fits: what is beside the weights is learnt from each attempt."""
        room = found.mixture.weight_bytes
        for _ in range(_ROUNDS):
            over = found.flash_bytes - max_flash
            if over <= 0 or not found.mixture.met:
                break
            room = min(found.mixture.weight_bytes, room) - over
            found = self._try(Budget(weight_bytes=room))
        return found

    def _reach(self, wanted: float, found: Mixed) -> Mixed:
        """The fewest bytes that measure at least `wanted`.

        What is measured differs a little from what was predicted, so the goal of the prediction is
        moved by what was missed, and halved in between once it is known to be too low and too high.
        """
        best, goal = found, wanted
        too_low, enough = -math.inf, math.inf
        for _ in range(_ROUNDS):
            now = self._try(Budget(min_sqnr_db=goal))
            best = _better(best, now, wanted)
            missed = wanted - (now.sqnr_db or 0.0)
            if -_CLOSE_DB < missed <= 0 or (missed > 0 and not now.mixture.met):
                break
            if missed > 0:
                too_low, goal = goal, goal + missed + _CLOSE_DB
            else:
                enough, goal = goal, goal + missed
            if not too_low < goal < enough:
                goal = (too_low + enough) / 2
        return best

    def _keep_accuracy(
        self, accuracy: AccuracyBudget, min_sqnr_db: float | None, found: Mixed
    ) -> Mixed:
        """The smallest that is accurate enough: by halving between too low and enough SQNR.

        Accuracy rises with SQNR but for chance, so that of all that was tried the smallest counts.
        """
        if min_sqnr_db is not None:
            least = self._reach(min_sqnr_db, found)
        else:
            least = self._try(Budget(weight_bytes=0, asked=_ACCURACY))
        if accuracy.is_kept(least.graph) and accuracy.is_kept_everywhere(least.graph):
            return least
        too_low, now = least.sqnr_db or 0.0, found
        while not accuracy.is_kept(now.graph):
            if not now.mixture.met or now.sqnr_db is None:
                return now
            too_low = max(too_low, now.sqnr_db)
            now = self._try(Budget(min_sqnr_db=too_low + _RAISE_DB, asked=_ACCURACY))
            if (now.sqnr_db or 0.0) <= too_low:
                return now
        accurate, enough = [now], now.sqnr_db or 0.0
        while enough - too_low > _COARSE_DB:
            goal = (too_low + enough) / 2
            now = self._try(Budget(min_sqnr_db=goal, asked=_ACCURACY))
            if accuracy.is_kept(now.graph):
                accurate.append(now)
                enough = goal
            else:
                too_low = goal
        accurate.sort(key=lambda m: m.flash_bytes)
        kept = (m for m in accurate if accuracy.is_kept_everywhere(m.graph))
        return next(kept, accurate[-1])


def _better(one: Mixed, two: Mixed, wanted: float) -> Mixed:
    """The smaller of those that reach what is wanted, else the one that comes nearest."""
    reached = [m for m in (one, two) if m.sqnr_db is not None and m.sqnr_db >= wanted]
    if reached:
        return min(reached, key=lambda m: m.flash_bytes)
    return max((one, two), key=lambda m: m.sqnr_db or 0.0)


def _stored(value: Value, array: Array) -> Array:
    return array if value.quant is None else value.quant.quantize(array, value.dtype)
