"""What the container benchmark needs in both containers alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
SHAPE = (1, 16, 16, 8)
CONV = {"stride": (1, 1), "dilation": (1, 1), "pad": ((1, 1), (1, 1))}
EPSILON = 1e-3


def parameters() -> dict[str, Array]:
    """Weights of one layer: w [8, 3, 3, 8] and four vectors [8]."""
    rng = np.random.default_rng(0)
    vectors = {name: rng.uniform(0.5, 1.5, 8).astype(np.float32) for name in "gbmv"}
    return {"w": rng.normal(size=(8, 3, 3, 8)).astype(np.float32), **vectors}


def folded(w: Array, gamma: Array, beta: Array, mean: Array, var: Array) -> tuple[Array, Array]:
    """w' = w * g and b' = beta - mean * g, with g = gamma / sqrt(var + epsilon)."""
    gain = gamma / np.sqrt(var + EPSILON)
    return w * gain[:, None, None, None], beta - mean * gain


Record = tuple[str, list[str], list[Any], dict[str, Any]]  # builtin, inputs, constants, options
