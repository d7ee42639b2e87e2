"""Weights as the kernels with DSP instructions read them."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array
from edgepack.writers.c.variants import lays_out


@lays_out("ep_dense_s8 dsp")
@lays_out("ep_conv_s8 dsp")
def in_pairs(rows: Array) -> Array:
    """int8 [out, depth] as [out / 2][depth / 2][2 numbers][2 outputs], both made even by zeros.

    SXTB16 of such a word gives the two numbers of the first output, and rotated by 8 bits those of
    the second.
    """
    out, depth = rows.shape
    padded = np.pad(rows, ((0, out % 2), (0, depth % 2)))
    pairs = padded.reshape(len(padded) // 2, 2, -1, 2)  # [out / 2, output, depth / 2, number]
    return np.ascontiguousarray(pairs.transpose(0, 2, 3, 1)).reshape(-1)
