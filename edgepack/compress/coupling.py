"""Which channels stand and fall together: labels on every value, found by a rule per operator.

Each value has labels along one axis: an integer for each index there. Equal labels (after `unite`)
mean that one cannot be removed without the other, as across a residual addition. Label 0 is what
must stay: inputs and outputs of the graph, and what an operator without a rule reads or makes.

The rules live in `coupling_rules`; `trace(graph)` applies them in topological order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Node, Value

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
FIXED: Final = 0


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels `ids` [dim] along `axis` (from the front) of a value."""

    axis: int
    ids: Ids

    @classmethod
    def fixed(cls, value: Value) -> Labels:
        """Labels of what must stay whole."""
        size = value.shape[-1] if value.rank else 1
        return cls(max(value.rank - 1, 0), np.zeros(size, np.int64))


class Coupling:
    """Labels of the values of a graph as they become known, and which of them are one."""

    def __init__(self) -> None:
        self._parent: list[int] = [FIXED]
        self._of: dict[Value, Labels] = {}
        self._settled: Ids | None = None
        self.why: dict[int, str] = {}

    def of(self, value: Value) -> Labels:
        """The labels of a value as they were given; see `roots`."""
        return self._of.get(value) or Labels.fixed(value)

    def roots(self, value: Value) -> Ids:
        """The labels of a value, equal where they are united."""
        return self.find(self.of(value).ids)

    def give(self, value: Value, axis: int, ids: Ids) -> None:
        """Say what the labels of a value are."""
        self._of[value] = Labels(axis, ids)

    def fresh(self, count: int) -> Ids:
        """New labels."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count, dtype=np.int64)

    def find(self, ids: Ids) -> Ids:
        """The representative of each label; FIXED for those that must stay."""
        if self._settled is not None:
            found: Ids = self._settled[ids]
            return found
        return np.array([self._root(int(i)) for i in ids], np.int64).reshape(ids.shape)

    @property
    def count(self) -> int:
        """How many labels there are."""
        return len(self._parent)

    def settle(self) -> None:
        """Say that all is known: from now on `find` is quick, and nothing may change."""
        self._settled = self.find(np.arange(self.count))

    def unite(self, a: Ids, b: Ids) -> None:
        """Let labels be one, pair by pair."""
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            low, high = sorted((self._root(x), self._root(y)))
            self._parent[high] = low  # FIXED is the lowest, and stays what it is

    def freeze(self, ids: Ids, why: str) -> None:
        """Let these labels stay, and remember the first reason."""
        for i in ids.tolist():
            root = self._root(i)
            if root != FIXED:
                self.why.setdefault(root, why)
                self._parent[root] = FIXED

    def reason(self, ids: Ids) -> str:
        """Why (some of) these labels must stay."""
        for i in ids.tolist():
            chain = i
            while chain != self._parent[chain]:
                if chain in self.why:
                    return self.why[chain]
                chain = self._parent[chain]
        return "it is tied to an input or an output of the model"

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            if label not in self.why:  # `reason` walks through those that have one
                self._parent[label] = self._shortened(label)
            label = self._parent[label]
        return label

    def _shortened(self, label: int) -> int:
        parent = self._parent[label]
        return parent if parent in self.why else self._parent[parent]


class Keep:
    """Which labels stay; asked by the rules that rewrite a node."""

    def __init__(self, coupling: Coupling, gone: Collection[int]) -> None:
        self.coupling = coupling
        self._stays = np.ones(coupling.count, np.bool_)
        self._stays[list(gone)] = False

    def mask(self, value: Value) -> Mask:
        """Which indices of the labelled axis of a value stay, as it was before anything went."""
        return self.along(self.coupling.of(value).ids)

    def along(self, ids: Ids) -> Mask:
        """Which of these labels stay."""
        found: Mask = self._stays[self.coupling.find(ids)]
        return found

    def shape(self, value: Value) -> tuple[int, ...]:
        """The shape of a value after the removal."""
        if not value.rank:
            return value.shape
        axis = self.coupling.of(value).axis
        size = int(self.mask(value).sum())
        return tuple(size if i == axis else d for i, d in enumerate(value.shape))


Rule = Callable[[Node, Coupling], None]
Rewrite = Callable[[Node, Keep], "Edit"]


@dataclass(frozen=True, slots=True)
class Edit:
    """What a removal makes of a node: constants by the index of the input, and attributes."""

    constants: Mapping[int, npt.NDArray[np.generic]]
    attrs: Mapping[str, object]
