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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.calibrate.collect import refuse_overflow
from edgepack.calibrate.stepper import Stepper
from edgepack.calibrate.synthetic import is_picture, synthetic_inputs
from edgepack.ir import Array, Graph, Node, Value, row
from edgepack.ir.graph import ChannelMoments
from edgepack.quantize.statistics import Statistics, StatisticsTable

_Vector = npt.NDArray[np.float64]
_CLAMPS: Final = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0),
                  "relu_n1_to_1": (-1.0, 1.0)}  # fmt: skip
_LARGEST_GAIN: Final = 8.0  # of a channel that is all but silent its shape says nothing
_SPREAD: Final = 5.0  # deviations from the mean that a range holds


@dataclass(frozen=True, slots=True)
class DataFree:
    """Statistics of every real value by name, and the `basis` that the report names.

    `guessed`: neither pictures nor BatchNorm tell how large activations are.
    """

    seen: StatisticsTable
    basis: str
    guessed: bool


def data_free_statistics(
    graph: Graph, span: tuple[float, float], *, seed: int = 0, threads: int = 2
) -> DataFree:
    """Statistics of `graph` (float, legalized for TFLite) for inputs within `span`.

    `graph.source.batch_moments` may know what BatchNorm gave.
    """
    samples = list(synthetic_inputs(graph, span, seed=seed))
    known = {node.name: moments for node in graph.nodes if (moments := _moments_of(graph, node))}
    inputs = "images" if any(map(is_picture, graph.inputs)) else "signals"
    basis = f"synthetic {inputs}" + (" and BatchNorm statistics" if known else "")
    return DataFree(
        _Walk(graph, samples, known, threads).run(), basis, inputs == "signals" and not known
    )


def _moments_of(graph: Graph, node: Node) -> ChannelMoments | None:
    """Of the output of a layer with weights, before its activation."""
    moments = graph.source.batch_moments.get(node.output.name)
    if moments is None or row(node.op).quant.weight is None:
        return None
    return moments if moments.mean.size == node.output.shape[-1] else None


class _Walk:
    """One run through the graph, node by node, all samples at once.

    Layers of known moments run without their activation, which is applied after they are put right.
    """

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Sequence[Array]],
        known: dict[str, ChannelMoments],
        threads: int,
    ) -> None:
        self._graph = graph.copy()
        self._known = known
        self._activations = {n.name: n.attrs.get("activation", "none") for n in graph.nodes}
        for node in self._graph.nodes:
            if node.name in known:
                node.attrs["activation"] = "none"
        self._weighted = {n.input(0) for n in self._graph.nodes if _has_weights(n)}
        self._tail = _tail(self._graph) if known else set()
        self._stepper = Stepper(self._graph, samples, threads=threads)
        self._table: dict[str, Statistics] = {}
        # of what is averaged over pixels, or follows from it: the deviation to reckon with
        self._deviation: dict[Value, _Vector] = {}

    def run(self) -> StatisticsTable:
        """The statistics of all values by name."""
        for value in self._graph.inputs:
            self._update(value)
        while (node := self._stepper.node) is not None:
            if node in self._tail:
                self._expect(node)
            self._stepper.step()
            if node.name in self._known:
                arrays = self._stepper.arrays(node.output)
                _put_right(arrays, self._known[node.name], self._activations[node.name])
            for value in node.outputs:
                if value.users or self._graph.is_output(value):
                    self._update(value)
                    self._widen(node, value)
        return self._table

    def _update(self, value: Value) -> None:
        for array in self._stepper.arrays(value):
            if array.dtype.kind == "f":
                refuse_overflow(value.name, array)
                seen = self._table.setdefault(value.name, Statistics())
                seen.update(array, keep_mean=value in self._weighted)

    def _expect(self, node: Node) -> None:
        """Carry the deviation on through a node of the tail, whose inputs are still there."""
        x, y = node.input(0), node.output
        if node.op in _AVERAGES and x.shape[-1] == y.shape[-1] and x.size > y.size:
            self._deviation[y] = _moments(self._stepper.arrays(x)).deviation
        elif x in self._deviation and node.op == "Reshape" and x.size == x.shape[-1] == y.shape[-1]:
            self._deviation[y] = self._deviation[x]
        elif x in self._deviation and node.op == "FullyConnected" and node.input(1).is_const:
            squares = np.square(node.input(1).real.astype(np.float64))
            if squares.shape[1] == self._deviation[x].size:
                self._deviation[y] = np.sqrt(squares @ np.square(self._deviation[x]))

    def _widen(self, node: Node, value: Value) -> None:
        """Let the range hold each channel's mean plus or minus some deviations."""
        if value.name not in self._table or not value.rank or not _is_observed(node):
            return
        moments = self._known.get(node.name) or _moments(self._stepper.arrays(value))
        expected = np.maximum(moments.deviation, self._deviation.get(value, 0.0))
        reach = _SPREAD * expected
        lowest, highest = _CLAMPS[self._activations[node.name]]
        low = max(lowest, float((moments.mean - reach).min()))
        high = min(highest, float((moments.mean + reach).max()))
        seen = self._table[value.name]
        seen.low, seen.high = min(seen.low, low), max(seen.high, high)
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


def _put_right(arrays: Sequence[Array], wanted: ChannelMoments, activation: str) -> None:
    """Give the channels of a layer's output, all samples, the wanted moments, in place."""
    found = _moments(arrays)
    least = wanted.deviation / _LARGEST_GAIN + 1e-12
    gain = wanted.deviation / np.maximum(found.deviation, least)
    shift = wanted.mean - gain * found.mean
    low, high = _CLAMPS[activation]
    for array in arrays:
        array *= gain.astype(np.float32)
        array += shift.astype(np.float32)
        np.clip(array, low, high, out=array)
