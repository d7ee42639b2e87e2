"""Products of two computed matrices."""

from __future__ import annotations

from math import prod
from typing import Any

from edgepack.ir import DType, Node
from edgepack.kernels.quantized_dense import tensor_multiplier
from edgepack.kernels.quantized_scale import limits, zero
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless
from edgepack.writers.c.elementwise import suffix
from edgepack.writers.c.wide import wide_pair


@lowers("MatMul")
def matmul(node: Node, out: CBuilder) -> None:
    """One call for each product of a batch."""
    a, b, y = node.input(0), node.input(1), node.output
    refuse_unless(all_of(node, DType.INT8) or all_of(node, DType.INT16), f"{a.dtype} input")
    multiplier, shift = tensor_multiplier(node)
    scale: Any = (int(multiplier), -int(shift))
    if y.dtype is DType.INT16:
        scale = wide_pair(multiplier, shift)[0].tolist()
    low, high = limits(node)
    params = out.struct(
        "ep_matmul_t",
        scale=scale, **matmul_sizes(node), a_offset=-zero(a), b_offset=-zero(b), zero=zero(y),
        low=low, high=high,
    )  # fmt: skip
    batches, places = batch_places(node, out)
    with out.loops({"i": batches} if batches > 1 else {}):
        out.call(f"ep_matmul{suffix(y)}", params, *places)


def batch_places(node: Node, out: CBuilder) -> tuple[int, list[str]]:
    """(how many products, pointers to the matrices of product i)."""
    a, b, y = node.input(0), node.input(1), node.output
    batches = prod(y.shape[:-2])
    whole = (prod(v.shape[:-2]) in (1, batches) for v in (a, b))
    refuse_unless(all(whole), "batches that repeat in some dimensions")
    return batches, [out.at_step(v, {"i": _step(v.shape, batches)}) for v in (a, b, y)]


def _step(shape: tuple[int, ...], batches: int) -> int:
    """Elements from one matrix to the next."""
    return prod(shape[-2:]) if batches > 1 and prod(shape[:-2]) > 1 else 0


def matmul_sizes(node: Node) -> dict[str, int]:
    """Sizes of the product, and steps by row and column in both inputs."""
    a, b, attrs = node.input(0), node.input(1), node.attrs
    a_row, a_column = (1, a.shape[-1]) if attrs["adj_a"] else (a.shape[-1], 1)
    b_row, b_column = (1, b.shape[-1]) if attrs["adj_b"] else (b.shape[-1], 1)
    return {
        "rows": node.output.shape[-2], "columns": node.output.shape[-1],
        "depth": a.shape[-2] if attrs["adj_a"] else a.shape[-1],
        "a_row": a_row, "a_column": a_column, "b_row": b_row, "b_column": b_column,
    }  # fmt: skip
