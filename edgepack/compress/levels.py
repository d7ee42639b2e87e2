"""Few levels for many weights: k-means in one dimension, exactly, and scales that suit it.

Weights are integers times a scale per channel; channels share one table of levels, as their scales
take up what they differ by. So a table costs its 4 to 128 bytes once in a tensor, not once in a
channel.

The levels of least weighted squared error come from dynamic programming over the at most 255
integers there are (Wang and Song 2011, Ckmeans.1d.dp). What an element weighs is how large its
input is (the diagonal of the Hessian of the layer's error, as in Choi et al. 2017,
arXiv:1612.01543). Scales and levels are fitted in turns.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.quantize.gptq import Float, nearest_level

TOP: Final = 127
_TURNS: Final = 4
_STRETCHES: Final = np.linspace(0.6, 1.4, 41)


def fit_levels(values: Float, mass: Float, entries: int, *, zero: bool) -> Float:
    """At most `entries` whole numbers in [-127, 127], ascending, for `values` of weight `mass`.

    Both are flat. With `zero`, 0 is one of them.
    """
    at = np.clip(np.rint(values), -TOP, TOP).astype(np.int64) + TOP
    histogram: Float = np.bincount(at, mass, 2 * TOP + 1).astype(np.float64)
    points: npt.NDArray[np.int64] = np.asarray(np.flatnonzero(histogram > 0) - TOP, np.int64)
    if zero:
        points = points[points != 0]
    room = entries - int(zero)
    levels = points.astype(np.float64)
    if len(points) > room:
        levels = _best(points, histogram[points + TOP], room)
    return np.union1d(levels, [0] if zero or not len(levels) else []).astype(np.float64)


def _best(points: npt.NDArray[np.int64], mass: Float, entries: int) -> Float:
    """The centres of `entries` runs of `points` with the least total cost."""
    count = len(points)
    cost, centre = _runs(points, mass)
    best = cost[0].copy()  # of the points up to each, in one run
    starts = np.zeros((entries, count), np.int64)
    for k in range(1, entries):
        # of those up to j in k + 1 runs, the last from i on: best[i - 1] + cost[i, j]
        total = np.vstack([np.full(count, np.inf), best[:-1, None] + cost[1:]])
        starts[k] = total.argmin(axis=0)
        best = total.min(axis=0)
    found, end = [], count - 1
    for k in range(entries - 1, -1, -1):
        start = int(starts[k, end])
        found.append(centre[start, end])
        end = start - 1
        if end < 0:
            break
    return np.array(found)


def _runs(points: npt.NDArray[np.int64], mass: Float) -> tuple[Float, Float]:
    """Cost and centre, a whole number, of the points from i to j, [count, count]."""
    p = points.astype(np.float64)
    sums = [np.concatenate([[0.0], np.cumsum(mass * p**power)]) for power in (0, 1, 2)]
    zeroth, first, second = (s[None, 1:] - s[:-1, None] for s in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.rint(first / zeroth)
    cost = second - 2 * centre * first + centre**2 * zeroth
    below = np.tri(len(points), k=-1, dtype=bool)
    return np.where(below, np.inf, np.maximum(cost, 0)), np.where(below, 0, centre)


def fit_table(
    w: Float, weight: Float, scale: Float, entries: int, *, zero: bool, refit: bool = True
) -> tuple[Float, Float]:
    """(levels [entries], scales [groups, rows]) for `w` [groups, rows, n].

    `weight` [groups, n] is what an error of each column weighs. Scales stay as they are without
    `refit`.
    """
    levels = _levels(w, weight, scale, entries, zero)
    for _ in range(_TURNS if refit else 0):
        scale = _fit_scale(w, weight, scale, levels)
        levels = _levels(w, weight, scale, entries, zero)
    return levels, scale


def _levels(w: Float, weight: Float, scale: Float, entries: int, zero: bool) -> Float:
    mass = np.broadcast_to(np.square(scale)[:, :, None] * weight[:, None, :], w.shape)
    return fit_levels((w / scale[:, :, None]).ravel(), mass.ravel(), entries, zero=zero)


def _fit_scale(w: Float, weight: Float, scale: Float, levels: Float) -> Float:
    """The scales [groups, rows], by up to 40% more or less, of which `levels` err least."""
    best, least = scale, np.full(scale.shape, np.inf)
    for stretch in _STRETCHES:
        tried = scale * stretch
        stored = nearest_level(w / tried[:, :, None], levels)
        error = (np.square(stored * tried[:, :, None] - w) * weight[:, None, :]).sum(axis=2)
        best, least = np.where(error < least, tried, best), np.minimum(error, least)
    return best
