"""Softmax and the like, row by row along the last axis."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import double, scale, zero
from edgepack.kernels.quantized_softmax import (
    DIFF_BITS,
    SUM_BITS,
    difference_scaling,
    tables16,
)
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless
from edgepack.writers.c.elementwise import pair


def row_sizes(node: Node) -> dict[str, int]:
    """How many rows, and how long. Raises Refused unless they run along the last axis."""
    x = node.input(0)
    last = node.attrs.get("axis", -1) in (-1, x.rank - 1)
    refuse_unless(last, "an axis that is not the last")
    return {"rows": x.size // x.shape[-1], "depth": x.shape[-1]}


@lowers("Softmax")
def softmax(node: Node, out: CBuilder) -> None:
    """By a table of the exponentials of all differences that count, at most 256."""
    x, y = node.input(0), node.output
    if all_of(node, DType.INT16):
        _softmax16(node, out)
        return
    refuse_unless(all_of(node, DType.INT8), f"{x.dtype} input")
    exponentials, _, reach = _exponentials(node, node.attrs["beta"])
    table = out.table(exponentials, f"{node.name}: exponentials")
    params = out.struct("ep_softmax_t", exponentials=table, reach=reach, **row_sizes(node))
    out.call("ep_softmax_s8", params, out.at(x), out.at(y))


def _exponentials(node: Node, beta: float) -> tuple[Array, Array, int]:
    """(exp of each difference that counts, int32; the difference as scaled; how many)."""
    multiplier, shift, smallest = difference_scaling(node, beta)
    reach = min(256, 1 - smallest)
    differences = -np.arange(reach, dtype=np.int64)
    if shift >= 0:
        scaled = fp.doubling_high_mul(differences << shift, multiplier)
    else:
        scaled = fp.multiply(differences, multiplier, shift)
    return fp.exp_negative(scaled, DIFF_BITS).astype(np.int32), scaled, reach


def _softmax16(node: Node, out: CBuilder) -> None:
    exponentials, inverses = (t.astype(np.int16) for t in tables16())
    real = double(scale(node.input(0))) * float(np.float32(node.attrs["beta"])) / (10.0 / 65535.0)
    params = out.struct(
        "ep_softmax_s16_t",
        exponentials=out.table(exponentials, "exp from -10 to 0"),
        inverses=out.table(inverses, "1 / (1 + x) from 0 to 1"),
        scale=pair(real), **row_sizes(node),
    )  # fmt: skip
    out.call("ep_softmax_s16", params, out.at(node.input(0)), out.at(node.output))


@lowers("LogSoftmax")
def log_softmax(node: Node, out: CBuilder) -> None:
    """By the same exponentials, rounded to what sums have."""
    refuse_unless(all_of(node, DType.INT8), f"{node.input(0).dtype} input")
    multiplier, shift, _ = difference_scaling(node, 1.0)
    exponentials, scaled, reach = _exponentials(node, 1.0)
    rounded = fp.rescale(exponentials, -SUM_BITS).astype(np.int32)
    params = out.struct(
        "ep_log_softmax_t",
        exponentials=out.table(rounded, f"{node.name}: exponentials"),
        differences=out.table(scaled.astype(np.int32), f"{node.name}: differences"),
        back=pair(2.0 ** (31 - shift) / float(multiplier)), reach=reach, **row_sizes(node),
    )  # fmt: skip
    out.call("ep_log_softmax_s8", params, out.at(node.input(0)), out.at(node.output))


@lowers("L2Norm")
def l2_norm(node: Node, out: CBuilder) -> None:
    """The length by Newton's method, in whole numbers."""
    x = node.input(0)
    refuse_unless(all_of(node, DType.INT8), f"{x.dtype} input")
    params = out.struct("ep_l2norm_t", **row_sizes(node), offset=-zero(x))
    out.call("ep_l2norm_s8", params, out.at(x), out.at(node.output))
