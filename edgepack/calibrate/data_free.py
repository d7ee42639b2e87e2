"""Statistics of a float graph without any data: what synthetic inputs show, put right by BatchNorm.

Where the source had BatchNorm after a layer, mean and deviation of each of its channels are known
exactly. The layer's output on synthetic inputs is scaled and shifted to them before it flows on, so
that every layer meets activations as large as in training, whatever the inputs were.

Synthetic inputs show nothing out of the ordinary, so ranges are made to hold every channel's mean
plus or minus some deviations (Nagel et al. 2019, arXiv:1906.04721, section 4.1). Put right, they
differ little from picture to picture, though much from pixel to pixel. So once pixels are averaged,
to the model's end, a channel's deviation among pixels stands for that among pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.calibrate.collect import refuse_overflow
from edgepack.calibrate.stand_in import Correction, Corrections
from edgepack.calibrate.stepper import Stepper
from edgepack.calibrate.synthetic import is_picture, synthetic_inputs
from edgepack.ir import Array, Graph, Node, Value, row
from edgepack.ir.graph import ChannelMoments
from edgepack.quantize.statistics import Statistics, StatisticsTable

_Vector = npt.NDArray[np.float64]
_CLAMPS: Final = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0),
                  "relu_n1_to_1": (-1.0, 1.0), "tanh": (-1.0, 1.0)}  # fmt: skip
_LARGEST_GAIN: Final = 8.0  # of a channel that is all but silent its shape says nothing
_SMALLEST_GAIN: Final = 1e-4  # of a channel that is silent in training: it can be undone
_SPREAD: Final = 5.0  # deviations from the mean that a range holds


@dataclass(frozen=True, slots=True)
class DataFree:
    """Statistics of every real value by name, and the `basis` that the report names.

    `guessed`: neither pictures nor BatchNorm tell how large activations are. `highest` has the
    largest value of each channel [C], by the value's name. `corrections` put layers' outputs right.
    """

    seen: StatisticsTable
    basis: str
    guessed: bool
    highest: Mapping[str, Array]
    corrections: Corrections


# Called with each layer that has weights and what it reads, one array a sample.
Visit = Callable[[Node, Sequence[Array]], None]


def data_free_statistics(
    graph: Graph,
    span: tuple[float, float],
    *,
    seed: int = 0,
    threads: int = 2,
    visit: Visit = lambda node, arrays: None,
) -> DataFree:
    """Statistics of `graph` (float, legalized for TFLite) for inputs within `span`.

    `graph.source.batch_moments` may know what BatchNorm gave. `visit` sees the layers' inputs; its
    nodes have the names of the graph's.
    """
    samples = list(synthetic_inputs(graph, span, seed=seed))
    known = {node.name: moments for node in graph.nodes if (moments := _moments_of(graph, node))}
    inputs = "images" if any(map(is_picture, graph.inputs)) else "signals"
    basis = f"synthetic {inputs}" + (" and BatchNorm statistics" if known else "")
    walk = _Walk(graph, samples, known, threads, visit)
    seen = walk.run()
    return DataFree(seen, basis, inputs == "signals" and not known, walk.highest, walk.corrections)


def _moments_of(graph: Graph, node: Node) -> ChannelMoments | None:
    """Of the output of a layer with weights, before its activation."""
    moments = graph.source.batch_moments.get(node.output.name)
    if moments is None or row(node.op).quant.weight is None:
        return None
    return moments if moments.mean.size == node.output.shape[-1] else None


class _Walk:
    """One run through the graph, node by node, all samples at once.

    Operators run without their activation, which follows once the moments before it are known.
    """

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Sequence[Array]],
        known: Mapping[str, ChannelMoments],
        threads: int,
        visit: Visit,
    ) -> None:
        self._graph = graph.copy()
        self._visit = visit
        self._samples = samples
        self._known = known
        self._bounds = {n.name: _CLAMPS[n.attrs.get("activation", "none")] for n in graph.nodes}
        for node in self._graph.nodes:
            if node.attrs.get("activation", "tanh") != "tanh":  # that of an LSTM is inside it
                node.attrs["activation"] = "none"
        self._weighted = {n.input(0) for n in self._graph.nodes if _has_weights(n)}
        self._tail = _tail(self._graph) if known else set()
        self._stepper = Stepper(self._graph, samples, threads=threads)
        self._table: dict[str, Statistics] = {}
        self._moments: dict[Value, ChannelMoments] = {}  # after the activation
        # of what is averaged over pixels, or follows from it: the deviation to reckon with
        self._deviation: dict[Value, _Vector] = {}
        self.highest: dict[str, Array] = {}
        self.corrections: dict[str, Correction] = {}

    def run(self) -> StatisticsTable:
        """The statistics of all values by name."""
        for index, value in enumerate(self._graph.inputs):
            self._update(value, [sample[index] for sample in self._samples])
        while (node := self._stepper.node) is not None:
            results = self._stepper.outputs()
            if node in self._tail:
                self._expect(node)
            for index, value in enumerate(node.outputs):
                self._take(node, value, [outputs[index] for outputs in results])
            self._stepper.step(results)
        return self._table

    def _take(self, node: Node, value: Value, arrays: Sequence[Array]) -> None:
        """Write down what a node makes of each sample; the arrays are changed in place."""
        if not (value.rank and value.size and value.dtype.is_float):
            return
        for array in arrays:
            refuse_overflow(value.name, array)
        if node.name in self._known:
            self.corrections[node.name] = _put_right(arrays, self._known[node.name])
        before, tops = _moments(arrays), [a.reshape(-1, a.shape[-1]).max(axis=0) for a in arrays]
        bounds = self._bounds[node.name]
        if bounds != _CLAMPS["none"]:
            for array in arrays:
                np.clip(array, *bounds, out=array)
        self._moments[value] = _moments(arrays)
        self._update(value, arrays)
        if _is_observed(node):
            reach = _SPREAD * np.maximum(before.deviation, self._deviation.get(value, 0.0))
            self.highest[value.name] = np.maximum(before.mean + reach, np.max(tops, axis=0))
            if node.op == "Lstm":  # of whose states no mean is known, but the bounds are
                reach = np.full_like(reach, np.inf)
            self._widen(value, before.mean - reach, before.mean + reach, bounds)

    def _update(self, value: Value, arrays: Sequence[Array]) -> None:
        for array in arrays:
            if array.dtype.kind == "f":
                seen = self._table.setdefault(value.name, Statistics())
                seen.update(array, keep_mean=value in self._weighted)
        for node in value.users:
            if _has_weights(node) and node.input(0) is value:
                self._visit(node, arrays)

    def _expect(self, node: Node) -> None:
        """Carry the deviation to reckon with on through a node of the tail."""
        x, y = node.input(0), node.output
        if node.op in _AVERAGES and x.shape[-1] == y.shape[-1] and x.size > y.size:
            self._deviation[y] = self._moments[x].deviation
        elif x in self._deviation and node.op == "Reshape" and x.size == x.shape[-1] == y.shape[-1]:
            self._deviation[y] = self._deviation[x]
        elif x in self._deviation and node.op == "FullyConnected" and node.input(1).is_const:
            squares = np.square(node.input(1).real.astype(np.float64))
            if squares.shape[1] == self._deviation[x].size:
                self._deviation[y] = np.sqrt(squares @ np.square(self._deviation[x]))

    def _widen(
        self, value: Value, low: _Vector, high: _Vector, bounds: tuple[float, float]
    ) -> None:
        """Let the range hold what channels reach, as far as the activation lets it through."""
        seen = self._table[value.name]
        seen.low = min(seen.low, max(bounds[0], float(low.min())))
        seen.high = max(seen.high, min(bounds[1], float(high.max())))
        seen.extremes.append((seen.low, seen.high))


_AVERAGES: Final = ("ReduceMean", "AveragePool2d")


def _has_weights(node: Node) -> bool:
    return row(node.op).quant.weight is not None


def _is_observed(node: Node) -> bool:
    return row(node.op).quant.output == "observed" or node.op in _AVERAGES


def _tail(graph: Graph) -> set[Node]:
    """The nodes from which no picture follows any more: what they make has one pixel."""
    tail: set[Node] = set()
    for node in reversed(graph.nodes):
        if all(_is_flat(v) and all(u in tail for u in v.users) for v in node.outputs):
            tail.add(node)
    return tail


def _is_flat(value: Value) -> bool:
    return value.size == value.shape[-1] if value.rank else False


def _moments(arrays: Sequence[Array]) -> ChannelMoments:
    rows = np.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays])
    return ChannelMoments(rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64))


def _put_right(arrays: Sequence[Array], wanted: ChannelMoments) -> Correction:
    """Give the channels of a layer's output, all samples, the wanted moments, in place."""
    found = _moments(arrays)
    least = wanted.deviation / _LARGEST_GAIN + 1e-12
    gain = np.maximum(wanted.deviation / np.maximum(found.deviation, least), _SMALLEST_GAIN)
    shift = wanted.mean - gain * found.mean
    for array in arrays:
        array *= gain.astype(np.float32)
        array += shift.astype(np.float32)
    return Correction(gain, shift)
