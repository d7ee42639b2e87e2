"""Figures that say how far two results are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import Array


def sqnr_db(reference: Sequence[Array], other: Sequence[Array]) -> float | None:
    """Signal to quantization noise: 10 log10(sum r^2 / sum (r - o)^2) over all arrays, in dB.

    None when the reference is all zeros; infinity when there is no difference.
    """
    signal = sum(float(np.square(r, dtype=np.float64).sum()) for r in reference)
    noise = sum(
        float(np.square(r.astype(np.float64) - o).sum())
        for r, o in zip(reference, other, strict=True)
    )
    if signal == 0:
        return None
    return float("inf") if noise == 0 else float(10 * np.log10(signal / noise))


def accuracy(outputs: Sequence[Array], labels: Sequence[int]) -> float:
    """Share of samples (0 to 1) whose largest output is the label."""
    return float(np.mean([int(np.argmax(o)) == y for o, y in zip(outputs, labels, strict=True)]))


def top1_agreement(first: Sequence[Array], second: Sequence[Array]) -> float:
    """Share of samples (0 to 1) on which both have the same largest output."""
    pairs = zip(first, second, strict=True)
    return float(np.mean([int(np.argmax(a)) == int(np.argmax(b)) for a, b in pairs]))


def tied(outputs: Sequence[Array]) -> float:
    """Share of samples (0 to 1) whose two largest outputs are equal."""
    return float(np.mean([np.count_nonzero(o == o.max()) > 1 for o in outputs if o.size]))


def steps_apart(first: Sequence[Array], second: Sequence[Array], scale: float) -> Array:
    """Distance of each element in steps of `scale` (LSB), whole numbers, flattened."""
    a = np.concatenate([x.reshape(-1).astype(np.float64) for x in first])
    b = np.concatenate([x.reshape(-1).astype(np.float64) for x in second])
    return np.asarray(np.rint(np.abs(a - b) / scale))
