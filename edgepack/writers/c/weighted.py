"""What convolutions and dense layers with integer weights share: folded biases, scales, bounds.

The sum over k of (x_k - zero_x) * w_k + bias is computed as the sum of x_k * w_k, plus what is
known at export: bias - zero_x * sum w. Padding therefore holds zero_x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels.quantized_convolution import channel_multipliers
from edgepack.kernels.quantized_dense import tensor_multiplier
from edgepack.kernels.quantized_scale import limits, params, zero
from edgepack.writers.c.builder import CBuilder, refuse_unless


def matrix(node: Node, out: CBuilder, rows: Array, kernel: str) -> dict[str, Any]:
    """An ep_matrix_t; `rows` are int8 [out, depth], laid out for the variant of `kernel`."""
    return {
        "weights": out.weights(node, kernel, rows),
        "depth": rows.shape[1],
        "out": len(rows) // node.attrs.get("groups", 1),
        **weighted(node, out, rows),
    }


def weighted(node: Node, out: CBuilder, rows: Array, fold: bool = True) -> dict[str, Any]:
    """What makes a result of a sum: bias, scales, limits; `rows` are int8 [out, depth].

    Without `fold` the bias is as it was.

    Raises Refused where sums could leave 32 bits.
    """
    x, w = node.input(0), node.input(1)
    refuse_unless(x.dtype is DType.INT8 and node.output.dtype is DType.INT8, f"{x.dtype} input")
    refuse_unless(w.is_const and w.dtype in (DType.INT8, DType.INT4), f"{w.dtype} weights")
    refuse_unless(not params(w).zero_point.any(), "weights with a zero point")
    bias = bias_of(node, rows) - (zero(x) * rows.astype(np.int64).sum(axis=1) if fold else 0)
    reach = np.abs(rows.astype(np.int64)).sum(axis=1) * (128 if fold else 255) + np.abs(bias)
    refuse_unless(int(reach.max(initial=0)) < 2**31, "sums beyond 32 bits")
    low, high = limits(node)
    return {
        "bias": out.table(np.pad(bias, (0, len(bias) % 2)).astype(np.int32), f"{node.name}: bias"),
        **scales(node, out, reach),
        "zero": zero(node.output),
        "low": low,
        "high": high,
    }


def bias_of(node: Node, rows: Array) -> Array:
    """The bias, int64 [out]; zeros where there is none."""
    given = node.optional(2)
    if given is None:
        return np.zeros(len(rows), np.int64)
    refuse_unless(given.is_const, "a computed bias")
    return given.const.astype(np.int64)


def scales(node: Node, out: CBuilder, reach: Array) -> dict[str, Any]:
    """`scales` and `scale_step`: one multiplier for all channels, or one for each; and `swift`.

    `reach` are bounds of |sum| by channel. Kernels may double swift sums within 32 bits, and add
    the zero point before they shift: |sum| < 2^30 leaves 2^30 for rounding and zero point, which
    are 128.5 * 2^shift at the most.
    """
    per_tensor = params(node.input(1)).is_per_tensor
    dense = node.op == "FullyConnected" and per_tensor
    multiplier, left = tensor_multiplier(node) if dense else channel_multipliers(node)
    right = -np.atleast_1d(left)
    pairs = np.stack([np.atleast_1d(multiplier), right], axis=1)
    swift = reach.max(initial=0) < 2**30 and right.min() >= 1 and right.max() <= 22
    return {
        "scales": out.scales("ep_scale_t", pairs, node.name),
        "scale_step": 0 if np.size(multiplier) == 1 else 1,
        "swift": int(swift),
    }
