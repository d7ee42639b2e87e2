"""Rounding weights so that a layer's output errs least on the inputs that it meets.

Frantar et al. 2022, arXiv:2210.17323: columns are rounded one by one, and what a column's rounding
does to the output is made good by the columns after it, after the inverse of the inputs' second
moments. Columns of large inputs come first.

All arrays have groups in front: a depthwise layer is one group per channel, a dense layer is one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

_DAMPING: Final = 0.01
_HOLD: Final = 0.3
_SHRINKS: Final = np.linspace(1.0, 0.5, 26)
_BLOCK: Final = 128  # columns whose corrections of the rest are gathered into one product


def best_target(w: Float, gram: Float, cross: Float, hold: float = _HOLD) -> Float:
    """Weights [groups, rows, n] that give the real outputs best from the quantized inputs.

    They are W E[x q'] E[q q']^-1, as in asymmetric calibration (Li et al. 2025, arXiv:2504.02692).
    `gram` has the second moments of the quantized inputs, `cross` those of the real with the
    quantized ones, both [groups, n, n]. Where the inputs say little, `w` stays as it is: `hold`
    says how much is little, in units of their mean power.
    """
    n = gram.shape[-1]
    kept = np.trace(gram, axis1=1, axis2=2)[:, None, None] / n * hold * np.eye(n)
    kept += np.finfo(np.float64).tiny ** 0.5 * np.eye(n)
    return np.linalg.solve(gram + kept, np.swapaxes(w @ (cross + kept), 1, 2)).swapaxes(1, 2)


def clipped_scale(w: Float, gram: Float, scale: Float, top: int) -> Float:
    """Scales [groups, rows], at most `scale`, that round w [groups, rows, n] with the least error.

    An element's error counts as much as its input is large: by the diagonal of `gram`
    [groups, n, n]. With 8 bits the largest weight is hardly ever clipped, with 4 it often is.
    """
    weight = np.diagonal(gram, axis1=1, axis2=2)[:, None, :]
    best = scale
    least = np.full(scale.shape, np.inf)
    for shrink in _SHRINKS:
        tried = scale * shrink
        rounded = np.clip(np.rint(w / tried[:, :, None]), -top, top) * tried[:, :, None]
        error = (np.square(rounded - w) * weight).sum(axis=2)
        best = np.where(error < least, tried, best)
        least = np.minimum(error, least)
    return best


def round_columns(
    w: Float,
    gram: Float,
    scale: Float,
    top: int,
    levels: Float | None = None,
    zeros: npt.NDArray[np.bool_] | None = None,
) -> Float:
    """Integers in [-top, top] for `w` [groups, rows, n] with `scale` [groups, rows].

    `gram` [groups, n, n] has the second moments of the inputs. With `levels`, ascending [entries]
    or [groups, rows, entries], only these are taken; elements of `zeros` (as w) stay zero.
    """
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1, kind="stable")
    work = np.take_along_axis(w, order[:, None, :], axis=2)
    moments = np.take_along_axis(gram, order[:, :, None], axis=1)
    moments = np.take_along_axis(moments, order[:, None, :], axis=2)
    factor = inverse_factor(moments)
    pruned = None if zeros is None else np.take_along_axis(zeros, order[:, None, :], axis=2)
    rounded = np.empty_like(work)
    n = work.shape[-1]
    for start in range(0, n, _BLOCK):
        end = min(start + _BLOCK, n)
        errors = np.empty((*work.shape[:2], end - start))
        for j in range(start, end):
            column = work[:, :, j]
            rounded[:, :, j] = _nearest(column / scale, top, levels)
            if pruned is not None:
                rounded[:, :, j][pruned[:, :, j]] = 0
            error = (column - rounded[:, :, j] * scale) / factor[:, None, j, j]
            work[:, :, j:end] -= error[:, :, None] * factor[:, None, j, j:end]
            errors[:, :, j - start] = error
        work[:, :, end:] -= errors @ factor[:, start:end, end:]
    back = np.argsort(order, axis=1, kind="stable")
    return np.take_along_axis(rounded, back[:, None, :], axis=2)


def _nearest(x: Float, top: int, levels: Float | None) -> Float:
    if levels is None:
        return np.clip(np.rint(x), -top, top)
    return nearest_level(x, levels)


def nearest_level(x: Float, levels: Float) -> Float:
    """The level nearest to each x [groups, rows, …]; `levels` as in `round_columns`."""
    if levels.ndim == 1:
        found: Float = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x)]
        return found
    spread = levels.reshape(*levels.shape[:2], *[1] * (x.ndim - 2), -1)
    best = np.abs(x[..., None] - spread).argmin(axis=-1)
    return np.take_along_axis(np.broadcast_to(spread, (*x.shape, spread.shape[-1])),
                              best[..., None], axis=-1)[..., 0]  # fmt: skip


def inverse_factor(gram: Float) -> Float:
    """The upper factor U of the inverse of `gram` [groups, n, n] with some damping, U' U."""
    return _inverse_factor(_damped(gram))


def _damped(gram: Float) -> Float:
    """With a share of the mean diagonal added to the diagonal, so that it can be inverted."""
    n = gram.shape[-1]
    ridge = np.trace(gram, axis1=1, axis2=2) / n * _DAMPING
    ridge = np.where(ridge > 0, ridge, 1.0)  # of inputs that never change: any rounding will do
    return gram + ridge[:, None, None] * np.eye(n)


def _inverse_factor(moments: Float) -> Float:
    """The upper factor U of the inverse, inverse = U' U, [groups, n, n]."""
    lower = np.linalg.cholesky(np.linalg.inv(moments))
    return np.swapaxes(lower, 1, 2)
