"""Which channels a layer can best do without, and what its weights become then.

A layer reads columns w_c of its inputs x_c (a channel has a column for each kernel position). With
the inputs' covariance H, taking a channel away and letting the others make good for it costs

    dE = tr(w_c (H^-1)_cc^-1 w_c'),    w -> w - w_c (H^-1)_cc^-1 (H^-1)_c,:

which is the optimal brain surgeon (Hassibi and Stork 1993) on blocks of columns. Channels go one
after another, the cheapest first, each time with the others' weights as they are by then. The mean
of what goes is the bias's business, hence covariances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
_Array = npt.NDArray[Any]
RIDGE: Final = 1e-3  # of the mean variance
_SHRINKS: Final = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
_LOTS: Final = 32  # steps at most: a step takes several channels of a wide layer


@dataclass(frozen=True, slots=True)
class Reader:
    """Weights [rows, n] that read the channels in question, and the covariance [n, n] of x.

    `columns` [channels, k] are those of each channel; rows of channels that this reader does not
    read are -1 (all or none of a row).
    """

    weights: Float
    gram: Float
    columns: Index


@dataclass(frozen=True, slots=True)
class Path:
    """Channels in the order in which they go, and the loss [channels + 1] when so many are gone.

    The loss is the error's power relative to the outputs', summed over the readers.
    """

    order: Index
    loss: Float

    def gone(self, count: int) -> list[int]:
        """The first channels to go."""
        return [int(i) for i in self.order[:count]]


def cheapest_path(readers: Sequence[Reader], channels: int) -> Path:
    """The order in which channels go at the least loss, all but the last."""
    works = [_Work(reader) for reader in readers]
    left = np.ones(channels, np.bool_)
    order: list[int] = []
    loss = [0.0]
    lot = max(1, channels // _LOTS)
    while left.sum() > 1:
        candidates = np.flatnonzero(left)
        scores = np.sum([work.scores(candidates) for work in works], axis=0)
        count = min(lot, candidates.size - 1)
        best = candidates[np.argsort(scores, kind="stable")[:count]]
        start = loss[-1]
        step = sum(work.take(best) for work in works)
        share = np.sort(scores, kind="stable")[:count]
        parts = np.cumsum(share) / max(float(share.sum()), 1e-300)
        loss += [start + step * float(part) for part in parts]
        order += best.tolist()
        left[best] = False
    order += np.flatnonzero(left).tolist()
    return Path(np.array(order, np.int64), np.array([*loss, loss[-1] + _RUIN]))


_RUIN: Final = 1e6  # of a layer without channels


class _Work:
    """The state of one reader as channels go."""

    def __init__(self, reader: Reader) -> None:
        self._w = reader.weights.copy()
        self._inverse = np.linalg.inv(damped(reader.gram))
        self._columns = reader.columns
        power = float(np.sum((reader.weights @ reader.gram) * reader.weights))
        self._power = power if power > 0 else 1.0

    def scores(self, channels: Index) -> Float:
        """What each of these channels would cost by itself."""
        found = np.zeros(channels.size)
        reads = self._columns[channels, 0] >= 0
        if not reads.any():
            return found
        columns = self._columns[channels[reads]]
        if columns.shape[1] == 1:
            flat = columns[:, 0]
            cost = np.square(self._w[:, flat]).sum(axis=0) / np.diagonal(self._inverse)[flat]
        else:
            blocks = self._inverse[columns[:, :, None], columns[:, None, :]]
            w = self._w[:, columns].transpose(1, 2, 0)  # [channels, k, rows]
            cost = (w * np.linalg.solve(blocks, w)).sum(axis=(1, 2))
        found[reads] = np.maximum(cost, 0.0) / self._power
        return found

    def take(self, channels: Index) -> float:
        """Take these channels away and return what that cost."""
        columns = self._columns[channels].reshape(-1)
        columns = columns[columns >= 0]
        if not columns.size:
            return 0.0
        w, rows = self._w[:, columns], self._inverse[columns]
        solved = np.linalg.solve(rows[:, columns], np.concatenate([w.T, rows], axis=1))
        weights, inverse = solved[:, : len(w)], solved[:, len(w) :]
        cost = float(np.sum(w.T * weights))
        self._w -= weights.T @ rows
        self._inverse -= rows.T @ inverse
        self._w[:, columns] = 0.0
        return max(cost, 0.0) / self._power


def damped(gram: Float, ridge: float = RIDGE) -> Float:
    """With a share of the mean variance added, so that it can be inverted."""
    n = gram.shape[-1]
    level = float(np.trace(gram)) / n * ridge
    found: Float = gram + (level if level > 0 else 1.0) * np.eye(n)
    return found


def compensated(weights: Float, gram: Float, kept: Index) -> Float:
    """Weights [rows, kept] that give the outputs of [rows, n] best from the columns kept."""
    moments = damped(gram)
    solved = np.linalg.solve(moments[np.ix_(kept, kept)], moments[kept] @ weights.T)
    found: Float = np.asarray(solved.T, np.float64)
    return found


def shrunk(gram: Float, share: float) -> Float:
    """With a share of what is off the diagonal left out."""
    found: Float = gram * (1 - share + share * np.eye(gram.shape[-1]))
    return found


def shrunk_to_fit(weights: Float, gram: Float, other: Float | None) -> Float:
    """`gram` [n, n], shrunk so that what is fitted by it does best by `other`, of other samples.

    What is tried is to make good for every fourth column.
    """
    n = gram.shape[-1]
    if other is None or n < 4:
        return gram
    kept, best = np.flatnonzero(np.arange(n) % 4), (np.inf, 0.0)
    for share in _SHRINKS:
        off = weights.copy()
        off[:, kept] -= compensated(weights, shrunk(gram, share), kept)
        best = min(best, (float(np.sum((off @ other) * off)), share))
    return shrunk(gram, best[1])


def path_by(scores: Float) -> Path:
    """The path that takes channels in the order of their scores [channels], the lowest first."""
    order = np.argsort(scores, kind="stable")
    total = max(float(scores.sum()), 1e-300)
    loss: Float = np.zeros(scores.size + 1, np.float64)
    loss[1:] = np.cumsum(scores[order]) / total
    loss[-1] += _RUIN
    return Path(order.astype(np.int64), loss)


def distances_from_others(filters: Float) -> Float:
    """Sums of each filter's distances [channels] from all others, [channels, n].

    A filter near the geometric median can be replaced by others (He et al. 2019, arXiv:1811.00250).
    """
    squares = np.square(filters).sum(axis=1)
    apart = squares[:, None] + squares - 2 * filters @ filters.T
    found: Float = np.sqrt(np.maximum(apart, 0.0)).sum(axis=1)
    return found
