"""Weights of integer layers brought down to few values, layer after layer.

The graph as it was and the graph as it becomes run side by side, as in `sequential`: what few
values cost a layer is spread over its other weights (GPTQ's error feedback), then made good in its
bias, before the next layer is looked at. Few levels err much, so weights are first drawn towards
what suits the inputs that the changed layers before give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.calibrate.biases import (
    correct_means,
    encoded,
    is_integer_layer,
    row_products,
    sample_means,
    set_bias,
)
from edgepack.calibrate.patches import (
    PATCHED_OPS,
    Moments,
    Places,
    grouped_weights,
    patches,
    ungrouped_weights,
)
from edgepack.calibrate.stepper import Stepper
from edgepack.compress.levels import TOP, fit_table
from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value
from edgepack.progress import advance
from edgepack.quantize.gptq import Float, best_target, round_columns

_COARSE: Final = 5  # bits up to which weights are fitted to the inputs as they have become
_TERNARY: Final = 3  # values, of which 0 is one
_PRUNED: Final = 0.15  # share of zeros from which they are taken as meant

Fit = Mapping[str, int]  # how many values each layer may have, by the node's name


@dataclass(frozen=True, slots=True)
class Clustered:
    """What was changed: layers by name with how many values they have; and why others were not."""

    values: Mapping[str, int]
    refused: Mapping[str, str]


def cluster_weights(
    graph: Graph,
    entries: Fit,
    samples: Sequence[Sequence[Array]],
    *,
    means: bool = True,
    seed: int = 0,
    threads: int = 2,
) -> Clustered:
    """Give the layers named in `entries` at most so many different weights, in place.

    `graph` is integer and legalized for TFLite, `samples` are its inputs as real numbers. Without
    `means`, for samples that true inputs only resemble, biases follow the weights alone. Scales per
    channel are fitted anew, those per tensor stay; weights that are zero in numbers that do not
    come by chance (pruned ones) stay zero.
    """
    walk = _Walk(graph, samples, seed, threads)
    values: dict[str, int] = {}
    refused: dict[str, str] = {}
    total = len(graph.nodes)
    for done in range(total):
        node = walk.node
        reason = _refusal(node) if node.name in entries else None
        if reason is not None:
            refused[node.name] = reason
        wanted = entries[node.name] if node.name in entries and reason is None else None
        walk.step(wanted, means)
        if wanted is not None:
            values[node.name] = len(np.unique(node.input(1).const))
        advance(done + 1, total, "clustering weights")
    return Clustered(values, refused)


def _refusal(node: Node) -> str | None:
    """Why the weights of a layer stay as they are; None when they need not."""
    weights = node.optional(1)
    if weights is None or not weights.is_const:
        return "its weights are not constant"
    if weights.dtype is not DType.INT8:
        return f"its weights are {weights.dtype}, tables of values are for int8"
    if node.op not in PATCHED_OPS or not is_integer_layer(node):
        return f"{node.op} is not an integer layer whose weights can be fitted to its inputs"
    if weights.quant is None or weights.quant.zero_point.any():
        return "its weights have zero points"
    if len(weights.users) > 1:
        return "its weights serve several layers"
    return None


class _Walk:
    """The graph as it was and as it becomes, at the same place."""

    def __init__(
        self, graph: Graph, samples: Sequence[Sequence[Array]], seed: int, threads: int
    ) -> None:
        fed = [encoded(graph, sample) for sample in samples]
        self._graph = graph
        self._one = Stepper(graph.copy(), fed, threads=threads)
        self._two = Stepper(graph, fed, threads=threads)
        self._rng = np.random.default_rng(seed)

    @property
    def node(self) -> Node:
        """The next node of the graph that changes."""
        node = self._two.node
        assert node is not None
        return node

    def step(self, entries: int | None, means: bool) -> None:
        """Take the next node, changed if it may have so many values only."""
        node, was = self.node, self._one.node
        assert was is not None
        if entries is not None:
            self._fit(node, was, entries)
        outputs = self._one.outputs()
        self._one.step(outputs)
        if entries is None or not means or node.output.quant is None:
            self._two.step()
            return
        quant = node.output.quant
        wanted = sample_means([quant.dequantize(result[0]) for result in outputs])
        self._two.step(correct_means(self._graph, self._two, node, wanted))

    def _fit(self, node: Node, was: Node, entries: int) -> None:
        """New weights, and the bias that belongs to them."""
        stored = node.input(1)
        params = stored.quant
        assert params is not None
        if len(np.unique(stored.const)) <= entries:
            return
        moments = self._moments(node, was)
        x_mean, q_mean = moments.means
        gram, cross = moments.covariances
        own, scale = grouped_weights(node, stored.real), _scales(node, stored)
        w = best_target(own, gram, cross) if entries <= 1 << _COARSE else own
        zeros = grouped_weights(node, stored.const) == 0
        pruned = zeros.mean() > _PRUNED
        refit = params.axis is not None
        power = np.diagonal(gram, axis1=1, axis2=2)
        power = power + power.mean() * 0.01 + np.finfo(np.float64).tiny ** 0.5
        levels, scale = fit_table(
            np.where(zeros, 0.0, w) if pruned else w, power, scale, entries,
            zero=bool(pruned) or entries == _TERNARY, refit=refit,
        )  # fmt: skip
        rounded = round_columns(w, gram, scale, TOP, levels, zeros if pruned else None)
        shift = row_products(rounded * scale[:, :, None], q_mean) - row_products(own, x_mean)
        if refit:
            params = QuantParams.per_channel(scale.reshape(-1), params.axis or 0)
        data = ungrouped_weights(node, rounded, stored.shape).astype(np.int8)
        node.set_input(1, self._graph.constant(data, stored.name, params))
        bias = was.optional(2)
        set_bias(self._graph, node, (0.0 if bias is None else bias.real) - shift, params)

    def _moments(self, node: Node, was: Node) -> Moments:
        """Of the layer's inputs as they were and as they are."""
        moments = Moments()
        before, after = was.input(0), node.input(0)
        for x, q in zip(self._one.arrays(before), self._two.arrays(after), strict=True):
            places = Places.drawn(node, self._rng)
            moments.add(_real(node, before, x, places), _real(node, after, q, places))
        return moments


def _scales(node: Node, stored: Value) -> Float:
    """Of the weights, [groups, rows]."""
    assert stored.quant is not None
    groups, rows, _ = grouped_weights(node, stored.const).shape
    scale = stored.quant.scale.astype(np.float64)
    return np.broadcast_to(scale, (groups * rows,)).reshape(groups, rows)


def _real(node: Node, value: Value, array: Array, places: Places) -> np.typing.NDArray[np.float32]:
    """Patches as real numbers."""
    assert value.quant is not None
    scale, zero = np.float32(value.quant.scale[0]), int(value.quant.zero_point[0])
    return (patches(node, array, places, zero).astype(np.float32) - zero) * scale
