"""Layers of 16-bit activations with 8-bit weights: sums of 64 bits, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels.quantized_convolution import channel_multipliers
from edgepack.kernels.quantized_dense import tensor_multiplier
from edgepack.kernels.quantized_scale import limits, params
from edgepack.writers.c.builder import CBuilder, refuse_unless


def wide_pair(multiplier: Any, shift: Any) -> Array:
    """(multiplier, right shift) of ep_wide_scale_t for each multiplier of 31 bits."""
    multiplier = np.atleast_1d(np.asarray(multiplier, np.int64))
    reduced = np.where(multiplier < 0x7FFF0000, (multiplier + 2**15) >> 16, 0x7FFF)
    return np.stack([reduced, 15 - np.atleast_1d(shift)], axis=1).astype(np.int32)


def wide_weighted(node: Node, out: CBuilder, rows: Array) -> dict[str, Any]:
    """Weights [out, depth], bias, scales and limits of a layer of 16-bit activations."""
    w, bias = node.input(1), node.optional(2)
    refuse_unless(node.output.dtype is DType.INT16, f"{node.output.dtype} output")
    refuse_unless(w.is_const and w.dtype in (DType.INT8, DType.INT4), f"{w.dtype} weights")
    refuse_unless(
        bias is None or bias.dtype is DType.INT64, "a bias of 32 bits beside 16-bit input"
    )
    zeros = [params(v).zero_point.any() for v in (node.input(0), w, node.output)]
    refuse_unless(not any(zeros), "zero points other than 0 in 16 bits")
    dense = node.op == "FullyConnected" and params(w).is_per_tensor
    multiplier, shift = tensor_multiplier(node) if dense else channel_multipliers(node)
    given = np.zeros(len(rows), np.int64) if bias is None else bias.const
    low, high = limits(node)
    return {
        "weights": out.table(rows, f"{node.name}: weights"),
        "bias": out.table(given, f"{node.name}: bias"),
        "scales": out.scales("ep_wide_scale_t", wide_pair(multiplier, shift), node.name),
        "scale_step": 0 if np.size(multiplier) == 1 else 1,
        "low": low,
        "high": high,
    }
