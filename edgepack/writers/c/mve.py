"""Weights as the kernels with MVE instructions read them."""

from __future__ import annotations

from edgepack.ir import Array
from edgepack.writers.c.variants import lays_out


@lays_out("ep_dense_s8 mve")
@lays_out("ep_conv_s8 mve")
def by_output(rows: Array) -> Array:
    """int8 [out, depth] as they are: predicated loads take any depth."""
    return rows
