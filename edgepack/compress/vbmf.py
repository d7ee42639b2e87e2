"""The rank of a noisy matrix, without a threshold to choose: empirical variational Bayes.

Nakajima et al. 2013 (Journal of Machine Learning Research 14): the solution of variational Bayesian
matrix factorization is known in closed form up to the variance of the noise, which is found by a
search along one line. Singular values that noise explains are dropped.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import Array

_TAU: Final = 2.5129  # z at which the free energy of a component is zero, for square matrices
_STEPS: Final = 400


def vbmf_rank(matrix: Array) -> int:
    """How many components of `matrix` are more than noise, at least 1."""
    small, large = sorted(matrix.shape)
    values = np.linalg.svd(matrix, compute_uv=False)
    if not values.any():
        return 1
    alpha = small / large
    edge = _TAU * np.sqrt(alpha)
    limit = (1 + edge) * (1 + alpha / edge)
    variance = _noise(values, large, alpha, limit)
    return max(1, int((np.square(values) > large * variance * limit).sum()))


def _noise(values: Array, large: int, alpha: float, limit: float) -> float:
    """The variance of the noise of least free energy."""
    power, count = np.square(values), len(values)
    most = min(int(np.ceil(count / (1 + alpha))) - 1, count - 1)
    upper = power.sum() / (count * large)
    rest = power[most:]
    lower = max(float(rest[0]) / (large * limit), float(rest.mean()) / large, upper * 1e-9)
    tried = np.geomspace(min(lower, upper), upper, _STEPS)
    return float(tried[np.argmin([_energy(power / (large * v), alpha, limit) for v in tried])])


def _energy(x: Array, alpha: float, limit: float) -> float:
    """The free energy for powers `x` in units of the noise, but for what does not change."""
    kept, noise = x[x > limit], np.maximum(x[x <= limit], 1e-300)
    shifted = kept - (1 + alpha)
    tau = (shifted + np.sqrt(np.maximum(np.square(shifted) - 4 * alpha, 0))) / 2
    found = (noise - np.log(noise)).sum() + (kept - tau).sum()
    found += np.log((tau + 1) / kept).sum() + alpha * np.log(tau / alpha + 1).sum()
    return float(found)
