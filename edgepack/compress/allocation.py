"""How many channels each group loses, so that a budget is kept at the least noise.

Costs are products: a layer's work is as its inputs times as its outputs. So savings do not add up
as a knapsack would have them, and groups are shortened step by step instead: always the group
whose next step adds the least noise for each unit of cost it saves *now* (as in
Yang et al. 2018, arXiv:1804.03230); then groups exchange levels while that lowers the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepack.compress.removal import LAYERS, Channels
from edgepack.ir import node_macs

Float = npt.NDArray[np.float64]
CostName = Literal["macs", "energy", "bytes"]

# Reading a byte from memory on chip, in 8-bit multiply-accumulates: Horowitz 2014 has 10 pJ for a
# 32-bit read of an 8 KB SRAM and 0.23 pJ for an 8-bit multiplication and addition.
_BYTE_MACS = 10.0


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a graph costs by the share [groups] of channels that each group keeps.

    Terms are weight * rows * columns with rows = constant + shares . matrix, and columns alike.
    """

    weights: Float  # [terms]
    rows: Float  # [terms, groups + 1], the last column is what no group has
    columns: Float

    def __call__(self, kept: Float) -> float:
        """The cost when group g keeps the share `kept[g]`."""
        full = np.append(kept, 1.0)
        return float(np.sum(self.weights * (self.rows @ full) * (self.columns @ full)))


def cost_model(channels: Channels, cost: CostName = "macs") -> CostModel:
    """MACs, bytes of weights (in 8 bits), or energy by both and the activations' bytes."""
    terms: list[tuple[float, Float, Float]] = []
    whole = np.append(np.zeros(len(channels.groups)), 1.0)
    for node in channels.graph.nodes:
        rows = _shares(channels, channels.rows(node))
        columns = _shares(channels, channels.columns(node)) if _mixes(node.op) else whole
        stored = sum(float(v.size) for v in node.present_inputs if v.is_const)
        moved = float(sum(v.size for v in node.outputs))
        if cost in ("macs", "energy"):
            terms.append((float(node_macs(node)), rows, columns))
        if cost in ("bytes", "energy"):
            terms.append((stored * (_BYTE_MACS if cost == "energy" else 1.0), rows, columns))
        if cost == "energy":
            terms.append((moved * _BYTE_MACS, rows, whole))
    weights = np.array([term[0] for term in terms])
    return CostModel(weights, np.stack([t[1] for t in terms]), np.stack([t[2] for t in terms]))


def _mixes(op: str) -> bool:
    return op in LAYERS and op != "DepthwiseConv2d"


def _shares(channels: Channels, ids: npt.NDArray[np.int64]) -> Float:
    """Which share of these labels is whose, [groups + 1]."""
    found = [np.isin(ids, group.labels).mean() for group in channels.groups]
    return np.array([*found, 1.0 - sum(found)])


@dataclass(frozen=True, slots=True)
class Levels:
    """How many channels a group of `size` may lose, ascending, and the noise of each."""

    size: int
    lost: tuple[int, ...]
    noise: tuple[float, ...]


def allocate(groups: Sequence[Levels], cost: CostModel, budget: float) -> list[int] | None:
    """How many channels each group loses for the cost to fall to `budget`; None when it cannot."""
    state = _State(groups, cost, budget)
    while state.cost > budget:
        if not state.shorten():
            return None
    for _ in range(_ROUNDS):
        if not state.exchange():
            break
    return [levels.lost[i] for levels, i in zip(groups, state.at, strict=True)]


_ROUNDS = 10


class _State:
    """The level of each group, and what that costs."""

    def __init__(self, groups: Sequence[Levels], cost: CostModel, budget: float) -> None:
        self._groups, self._model, self._budget = groups, cost, budget
        self.at = [0] * len(groups)
        self._kept = np.array([1 - levels.lost[0] / levels.size for levels in groups])
        self.cost = cost(self._kept)

    def shorten(self) -> bool:
        """Let one group lose more: the least noise for each unit that is saved; whether one can."""
        best: tuple[float, int, int] | None = None
        for g, levels in enumerate(self._groups):
            for level in range(self.at[g] + 1, len(levels.lost)):
                then = self._with(g, level)
                if then >= self.cost:
                    continue
                # what goes beyond the budget is of no use
                price = self._added(g, level) / (self.cost - max(then, self._budget))
                if best is None or price < best[0]:
                    best = (price, g, level)
        if best is not None:
            self._set(best[1], best[2])
        return best is not None

    def exchange(self) -> bool:
        """Let one group lose one level more and others fewer, if that is less noise in all."""
        start, before = list(self.at), self._noise()
        self._give_back()
        best = (self._noise(), list(self.at))
        for g, levels in enumerate(self._groups):
            for level in (start[g] + 1, start[g] + 2):
                if level >= len(levels.lost):
                    continue
                self._reset(start)
                self._set(g, level)
                self._give_back(but=g)
                best = min(best, (self._noise(), list(self.at)))
        self._reset(best[1])
        return best[0] < before * (1 - 1e-9)

    def _give_back(self, but: int | None = None) -> None:
        """Within the budget, undo the levels that undo most noise."""
        while True:
            options = [
                (self._added(g, level), g, level)
                for g in range(len(self.at))
                if g != but
                for level in range(self.at[g])
                if self._with(g, level) <= self._budget
            ]
            least = min(options, default=(0.0, 0, 0))
            if least[0] >= 0:
                return
            self._set(*least[1:])

    def _noise(self) -> float:
        return sum(g.noise[i] for g, i in zip(self._groups, self.at, strict=True))

    def _added(self, g: int, level: int) -> float:
        return self._groups[g].noise[level] - self._groups[g].noise[self.at[g]]

    def _with(self, g: int, level: int) -> float:
        """The cost with one group at another level."""
        kept = self._kept.copy()
        kept[g] = 1 - self._groups[g].lost[level] / self._groups[g].size
        return self._model(kept)

    def _set(self, g: int, level: int) -> None:
        self.at[g] = level
        self._kept[g] = 1 - self._groups[g].lost[level] / self._groups[g].size
        self.cost = self._model(self._kept)

    def _reset(self, at: Sequence[int]) -> None:
        for g, level in enumerate(at):
            self._set(g, level)


def uniform(groups: Sequence[Levels], cost: CostModel, budget: float) -> list[int] | None:
    """The same share of every group, as far as it has such a level; None when that cannot do."""
    shares = sorted({lost / g.size for g in groups for lost in g.lost})
    for share in shares:
        lost = [
            max([g.lost[0], *(n for n in g.lost if n <= share * g.size + 1e-9)]) for g in groups
        ]
        kept = np.array([1 - n / g.size for n, g in zip(lost, groups, strict=True)])
        if cost(kept) <= budget:
            return lost
    return None
