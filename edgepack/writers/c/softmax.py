"""Softmax of 8-bit activations."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_softmax import DIFF_BITS, difference_scaling
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless


@lowers("Softmax")
def softmax(node: Node, out: CBuilder) -> None:
    """By a table of the exponentials of all differences that count, at most 256."""
    x = node.input(0)
    refuse_unless(all_of(node, DType.INT8), f"{x.dtype} input")
    refuse_unless(node.attrs["axis"] in (-1, x.rank - 1), "an axis that is not the last")
    multiplier, shift, smallest = difference_scaling(node, node.attrs["beta"])
    reach = min(256, 1 - smallest)
    differences = -np.arange(reach, dtype=np.int64)
    scaled = fp.doubling_high_mul(differences << shift, multiplier)
    table = fp.exp_negative(scaled, DIFF_BITS).astype(np.int32)
    params = out.struct(
        "ep_softmax_t",
        exponentials=out.table(table, f"{node.name}: exponentials"),
        reach=reach,
        rows=x.size // x.shape[-1],
        depth=x.shape[-1],
    )
    out.call("ep_softmax_s8", params, out.at(x), out.at(node.output))
