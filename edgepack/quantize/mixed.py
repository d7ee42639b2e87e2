"""Each layer's precision by what quantizing it alone does to the model's output.

Noise powers of different layers add up at the output (the errors are small and hardly correlated),
so that choosing is a knapsack: bytes of weights on one side, noise on the other.

Weights are decided layer by layer. Activations are not: a value is as coarse as the coarsest type
that its maker or any of its readers has, so to widen one is to widen all of these nodes. They have
8 bits unless that breaks the output, or the wanted SQNR is out of reach with them. Layers are left
in float where the same holds for 8 bits of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgepack.ir import DType, Graph, Node, Value, row
from edgepack.quantize.knapsack import Choice, least_bytes, least_noise
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.plan import HasKernel, is_activation, is_quantizable

BROKEN_DB: Final = 15.0  # a layer that alone leaves less than this of the output gets more bits
BYTE, WIDE, NARROW = Precision(), Precision(DType.INT16, DType.INT8), Precision(weights=DType.INT4)
_CONVERSION_BYTES: Final = 160  # of a file: one Quantize with its tensor

Noises = Mapping[str, Mapping[DType, float]]


@dataclass(frozen=True, slots=True)
class NoiseTable:
    """Noise power at the outputs, as a share of their power, when one thing alone is quantized.

    `weights`: those of a layer, by the node's name; `values`: an activation, by its name. Each by
    the type that it is stored in; a type is missing where no kernel takes it.
    """

    weights: Noises
    values: Noises

    def alone(self, node: Node, precision: Precision | None) -> float | None:
        """Of a node's weights and of what it makes; None where neither was measured."""
        if precision is None:
            return 0.0
        parts = (
            self.weights.get(node.name, {}).get(precision.weights),
            *(self.values.get(v.name, {}).get(precision.activations) for v in node.outputs),
        )
        known = [part for part in parts if part is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class Budget:
    """What mixed precision must keep: an output SQNR, bytes of all weights, both or neither.

    With both, the SQNR decides: the fewest bytes that reach it. `asked` is what the user asked for,
    as the reasons say it.
    """

    min_sqnr_db: float | None = None
    weight_bytes: int | None = None
    asked: str = "--min-sqnr"


@dataclass(frozen=True, slots=True)
class Mixture:
    """The precision of each node that differs from int8, with reasons for what was chosen here.

    `weight_bytes` are those of layers with weights; `sqnr_db` is predicted for the output. `met`
    says whether the budget can be kept (if not, this is the nearest).
    """

    layers: Mapping[str, Precision | None]
    reasons: Mapping[str, str]
    weight_bytes: int
    sqnr_db: float
    met: bool


def sqnr_of(noise: float) -> float:
    """A share of the output's power in dB; infinite when there is none."""
    return math.inf if noise <= 0 else -10 * math.log10(noise)


def choose_layers(
    graph: Graph,
    noise: NoiseTable,
    options: QuantizeOptions,
    budget: Budget,
    has_kernel: HasKernel,
    runs_float: Callable[[Node], bool],
) -> Mixture:
    """The mixture that keeps `budget` best; `graph` is the float one that `noise` was measured on.

    Nodes that `options.layers` names stay as named. Exact in the weights (see `knapsack`).
    """
    chooser = _Chooser(graph, noise, has_kernel, runs_float, dict(options.layers))
    chooser.repair()
    met = chooser.solve(budget)
    return Mixture(
        chooser.layers,
        chooser.reasons,
        chooser.weight_bytes(),
        sqnr_of(chooser.total()),
        met,
    )


@dataclass(slots=True)
class _Chooser:
    graph: Graph
    noise: NoiseTable
    has_kernel: HasKernel
    runs_float: Callable[[Node], bool]
    layers: dict[str, Precision | None]
    reasons: dict[str, str] = field(default_factory=dict)
    _asked: str = ""
    _fixed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._fixed = frozenset(self.layers)

    # -- what breaks in 8 bits ---------------------------------------------------------------------

    def repair(self) -> None:
        """Give more bits to what alone leaves the output below BROKEN_DB."""
        for node in self.graph.nodes:
            weights = self.noise.weights.get(node.name, {}).get(DType.INT8, 0.0)
            if self._is_broken(weights) and self._is_free(node) and self.runs_float(node):
                self._set(node, None, f"int8 weights alone leave {sqnr_of(weights):.1f} dB")
        for value in self._values():
            noise = self.noise.values[value.name]
            if self._is_broken(self._value_noise(value)):
                self._widen(value, f"{value.name} in int8 alone leaves {_db(noise)}")

    def _is_broken(self, noise: float) -> bool:
        return sqnr_of(noise) < BROKEN_DB

    def _is_free(self, node: Node) -> bool:
        return node.name not in self._fixed

    def _set(self, node: Node, precision: Precision | None, why: str) -> None:
        if self._is_free(node):
            self.layers[node.name] = precision
            self.reasons[node.name] = why

    def _widen(self, value: Value, why: str) -> None:
        """Let the nodes that make and read a value have 16 bits; if they cannot, float."""
        nodes = self._around(value)
        noise = self.noise.values[value.name].get(DType.INT16)
        if noise is not None and not self._is_broken(noise) and self._can_widen(nodes):
            self._to_16_bits(nodes, why)
        elif all(map(self.runs_float, nodes)):
            for node in nodes:
                self._set(node, None, why)

    def _to_16_bits(self, nodes: Sequence[Node], why: str) -> None:
        for node in nodes:
            if self.layers.get(node.name, BYTE) is not None:  # else it is float, which is finer
                self._set(node, WIDE, why)

    def _can_widen(self, nodes: Sequence[Node]) -> bool:
        return all(
            self.layers.get(node.name, BYTE) is None
            or (is_quantizable(node, WIDE) and self.has_kernel(node, WIDE))
            for node in nodes
        )

    def _around(self, value: Value) -> list[Node]:
        """The node that makes a value and those that read it, through operators that only move."""
        made = value.producer
        found = {} if made is None or not self._is_integer(made) else {made: None}
        waiting = [value]
        while waiting:
            for node in waiting.pop().users:
                if node not in found and self._is_integer(node):
                    found[node] = None
                    if row(node.op).quant.output == "same":
                        waiting.extend(node.outputs)
        return list(found)

    def _is_integer(self, node: Node) -> bool:
        return is_quantizable(node, BYTE) and self.has_kernel(node, BYTE)

    # -- the noise of what is chosen ---------------------------------------------------------------

    def _values(self) -> list[Value]:
        return [v for v in self.graph.values() if v.name in self.noise.values and is_activation(v)]

    def _value_noise(self, value: Value) -> float:
        """Of the coarsest type that a node around the value has."""
        types = {
            precision.activations
            for node in self._around(value)
            if (precision := self.layers.get(node.name, BYTE)) is not None
        }
        noises = self.noise.values[value.name]
        return max((noises[t] for t in types if t in noises), default=0.0)

    def _weight_noise(self, name: str) -> float:
        precision = self.layers.get(name, BYTE)
        return 0.0 if precision is None else self.noise.weights[name].get(precision.weights, 0.0)

    def total(self) -> float:
        """Of everything as chosen so far."""
        values = sum(map(self._value_noise, self._values()))
        return values + sum(map(self._weight_noise, self.noise.weights))

    def weight_bytes(self) -> int:
        """Of all layers with weights as chosen so far."""
        return sum(_bytes(node, self.layers.get(node.name, BYTE)) for node in self._weighted())

    def _weighted(self) -> list[Node]:
        return [node for node in self.graph.nodes if node.name in self.noise.weights]

    # -- the budget --------------------------------------------------------------------------------

    def solve(self, budget: Budget) -> bool:
        """Choose between 8 and 4 bits of weights, and if need be wider activations."""
        self._asked = budget.asked
        if budget.min_sqnr_db is not None:
            return self._for_noise(10 ** (-budget.min_sqnr_db / 10))
        if budget.weight_bytes is not None:
            return self._for_bytes(budget.weight_bytes)
        return True

    def _for_bytes(self, budget: int) -> bool:
        nodes, items = self._items()
        fixed = self.weight_bytes() - sum(item[0].bytes for item in items)
        path = least_noise(items, budget - fixed)
        self._narrow(nodes, path or [1] * len(items), "to keep within --max-flash")
        return path is not None

    def _for_noise(self, allowed: float) -> bool:
        nodes, items = self._items()
        if self.total() > allowed:
            self._widen_for(allowed)
            nodes, items = self._items()
        fixed = self.total() - sum(item[0].noise for item in items)
        path = least_bytes(items, allowed - fixed)
        if path is None:
            return self._float_for(allowed)
        self._narrow(nodes, path, f"{self._asked} is kept with 4 bits here")
        return True

    def _float_for(self, allowed: float) -> bool:
        """Leave layers in float whose weights are too coarse in 8 bits, as few bytes as will do."""
        nodes = [n for n in self._weighted() if self._is_free(n) and self.runs_float(n)]
        items = [
            [
                Choice(_bytes(n, self.layers.get(n.name, BYTE)), self._weight_noise(n.name)),
                Choice(_bytes(n, None), 0.0),
            ]
            for n in nodes
        ]
        fixed = self.total() - sum(item[0].noise for item in items)
        path = least_bytes(items, allowed - fixed)
        for node, choice in zip(nodes, path or [0] * len(items), strict=True):
            if choice:
                self._set(node, None, f"{self._asked} needs more than 8 bits of its weights")
        return path is not None

    def _items(self) -> tuple[list[Node], list[list[Choice]]]:
        """The layers that may have 4 bits: first as they are, then so."""
        nodes = [n for n in self._weighted() if n.name not in self.layers and self._takes_4(n)]
        return nodes, [
            [Choice(_bytes(n, p), self.noise.weights[n.name][p.weights]) for p in (BYTE, NARROW)]
            for n in nodes
        ]

    def _takes_4(self, node: Node) -> bool:
        return DType.INT4 in self.noise.weights[node.name]

    def _narrow(self, nodes: Sequence[Node], path: Sequence[int], why: str) -> None:
        for node, choice in zip(nodes, path, strict=True):
            if choice:
                self._set(node, NARROW, why)

    def _widen_for(self, allowed: float) -> None:
        """Widen the activations that cost the fewest bytes, with all free weights at 8 bits."""
        wide = {v: nodes for v in self._values() if (nodes := self._widenable(v))}
        items = [
            [
                Choice(0, self._value_noise(v)),
                Choice(v.size + _CONVERSION_BYTES, self.noise.values[v.name][DType.INT16]),
            ]
            for v in wide
        ]
        fixed = self.total() - sum(item[0].noise for item in items)
        path = least_bytes(items, allowed - fixed) or [1] * len(items)
        for choice, (value, nodes) in zip(path, wide.items(), strict=True):
            if choice:
                self._to_16_bits(nodes, f"{self._asked} needs 16 bits of {value.name}")

    def _widenable(self, value: Value) -> list[Node]:
        """The nodes to widen for a value; none where that is impossible or does nothing."""
        nodes, noises = self._around(value), self.noise.values[value.name]
        better = noises.get(DType.INT16, math.inf) < self._value_noise(value)
        free = all(map(self._is_free, nodes))
        return nodes if better and free and self._can_widen(nodes) else []


def _bytes(node: Node, precision: Precision | None) -> int:
    """Of a layer's weights and biases as stored."""
    rule, bits = row(node.op).quant, 32 if precision is None else precision.weights.bits
    weight = node.input(rule.weight or 0)
    bias = None if rule.bias is None else node.optional(rule.bias)
    wide = precision is not None and precision.activations is DType.INT16
    return -(-weight.size * bits // 8) + (0 if bias is None else bias.size * (8 if wide else 4))


def _db(noises: Mapping[DType, float]) -> str:
    return f"{sqnr_of(noises.get(DType.INT8, 0.0)):.1f} dB"
