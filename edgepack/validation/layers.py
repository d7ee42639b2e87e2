"""Layer by layer: work, size, and how far the quantized values are from the float ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value, node_macs
from edgepack.report import Histogram, LayerInfo
from edgepack.run.observe import Observer
from edgepack.validation.compare import Noise, share
from edgepack.validation.histograms import histogram_of

HISTOGRAMS: Final = 6  # values that get one: those of the lowest SQNR
_FEWEST: Final = 4  # elements of a channel, below which being equal means nothing
_Channels = npt.NDArray[np.float32]


@dataclass(slots=True)
class ValueFacts:
    """What samples showed of one value: its real numbers, and its integers beside them."""

    quant: QuantParams | None
    dtype: DType
    noise: Noise = field(default_factory=Noise)
    count: int = 0
    clipped: int = 0
    low: _Channels | None = None  # of each channel, the last dimension
    high: _Channels | None = None
    histogram: Histogram | None = None  # of one sample, for the worst values only

    def add(self, real: Array, stored: Array) -> None:
        """Take in one sample: real numbers, and what the quantized graph has in their place."""
        other = stored if self.quant is None else self.quant.dequantize(stored)
        self.noise.add(real, other)
        self.count += real.size
        self.clipped += self._clipped(real)
        rows = real.reshape(-1, real.shape[-1]) if real.ndim else real.reshape(1, 1)
        if rows.size:
            low, high = rows.min(axis=0), rows.max(axis=0)
            self.low = low if self.low is None else np.minimum(self.low, low)
            self.high = high if self.high is None else np.maximum(self.high, high)

    def _clipped(self, real: Array) -> int:
        """How many numbers are further than half a step outside what the integers span."""
        if self.quant is None or self.quant.axis is not None:
            return 0
        scale, zero = float(self.quant.scale[0]), int(self.quant.zero_point[0])
        low, high = ((limit - zero) * scale for limit in self.dtype.limits)
        return int(np.count_nonzero((real < low - scale / 2) | (real > high + scale / 2)))

    @property
    def sqnr_db(self) -> float | None:
        """Finite SQNR of the integers; None without noise or signal."""
        db = self.noise.sqnr_db
        return None if db is None or not math.isfinite(db) else db

    @property
    def range(self) -> tuple[float, float] | None:
        """The lowest and the highest real number."""
        if self.low is None or self.high is None:
            return None
        return float(self.low.min()), float(self.high.max())

    @property
    def saturation(self) -> float | None:
        """The share of the numbers that the integers clip; None where they are real."""
        return None if self.quant is None else share(self.clipped, self.count)

    @property
    def dead_channels(self) -> int | None:
        """Channels in which all numbers were equal; None where too few were seen to tell."""
        if self.low is None or self.high is None or self.count < _FEWEST * self.low.size:
            return None
        return int(np.count_nonzero(self.low == self.high))


def layer_facts(
    real: Graph,
    quantized: Graph,
    samples: Iterable[tuple[Sequence[Array], Sequence[Array]]],
    *,
    threads: int = 2,
) -> dict[str, ValueFacts]:
    """What samples show of every real value that both graphs have, by name.

    `samples` gives the inputs of the float graph and those of the quantized one, side by side.
    Histograms are those of the last sample.
    """
    facts: dict[str, ValueFacts] = {}
    truth: dict[str, Array] = {}
    found: dict[str, Array] = {}
    stored = {v.name: v for v in quantized.values()}
    one, two = Observer(real, threads=threads), Observer(quantized, threads=threads)
    for inputs_real, inputs_quantized in samples:
        truth, found = one.run(inputs_real), two.run(inputs_quantized)
        for name in (name for name in truth if name in found):
            if truth[name].dtype.kind == "f" and truth[name].shape == found[name].shape:
                value = stored[name]
                about = facts.setdefault(name, ValueFacts(value.quant, value.dtype))
                about.add(truth[name], found[name])
    for name in _worst_computed(real, facts):
        facts[name].histogram = histogram_of(truth[name], found[name], facts[name].quant)
    return facts


def _worst_computed(graph: Graph, facts: Mapping[str, ValueFacts]) -> list[str]:
    """Names of the nodes' outputs with the lowest SQNR."""
    computed = {value.name for node in graph.nodes for value in node.outputs}
    known = [(f.sqnr_db, name) for name, f in facts.items() if name in computed]
    return [name for _, name in sorted((db, n) for db, n in known if db is not None)][:HISTOGRAMS]


def layer_infos(
    graph: Graph, facts: Mapping[str, ValueFacts], methods: Mapping[str, str]
) -> tuple[LayerInfo, ...]:
    """One entry per node of the exported graph, in order."""
    return tuple(_layer(node, facts.get(node.output.name), methods) for node in graph.nodes)


def _layer(node: Node, facts: ValueFacts | None, methods: Mapping[str, str]) -> LayerInfo:
    figure = None if facts is None else facts.sqnr_db
    return LayerInfo(
        node=node.name,
        op=node.op,
        macs=node_macs(node),
        weight_bytes=node.constant_bytes,
        sqnr_db=None if figure is None else round(figure, 2),
        range_method=methods.get(node.output.name),
        range=None if facts is None else facts.range,
        saturation=None if facts is None else facts.saturation,
        dead_channels=None if facts is None else facts.dead_channels,
        scheme=node_scheme(node),
        shape=node.output.shape,
        dtype=str(node.output.dtype),
        inputs=_sources(node),
        histogram=None if facts is None else facts.histogram,
    )


def _sources(node: Node) -> tuple[str, ...]:
    """Names of the nodes, or of the model's inputs, that a node reads from."""
    read = (value for value in node.present_inputs if not value.is_const)
    names = (v.name if v.producer is None else v.producer.name for v in read)
    return tuple(dict.fromkeys(names))


def node_scheme(node: Node) -> str | None:
    """What a node computes in: int8, uint8, int16x8, w4a8, hybrid, hybrid4 or float.

    None for those that compute with no real numbers, or only convert them.
    """
    if node.op in ("Quantize", "Dequantize"):
        return None
    data = [v for v in (*node.outputs, *node.present_inputs) if not v.is_const]
    quantized = next((v for v in data if v.quant is not None), None)
    weights = {v.dtype for v in node.present_inputs if v.is_const and v.quant is not None}
    if quantized is not None:
        return _integer_scheme(quantized, DType.INT4 in weights)
    if not any(v.dtype is DType.FLOAT32 for v in data):
        return None
    if weights:
        return "hybrid4" if DType.INT4 in weights else "hybrid"
    return "float"


def _integer_scheme(value: Value, narrow: bool) -> str:
    if narrow:
        return "w4a8"
    return "int16x8" if value.dtype is DType.INT16 else str(value.dtype)
