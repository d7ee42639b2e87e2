"""Sums, means, extremes and their places."""

from __future__ import annotations

from typing import Any

from edgepack.ir import DType, Node
from edgepack.kernels.quantized_reduction import sum_multiplier
from edgepack.kernels.quantized_scale import zero
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless
from edgepack.writers.c.elementwise import suffix


@lowers("ReduceMean", "ReduceSum")
def mean(node: Node, out: CBuilder) -> None:
    """The multiplier of a mean is divided by the count."""
    x, y = node.input(0), node.output
    _refuse_other_types(node)
    count = x.size // max(y.size, 1)
    refuse_unless(count < 2**15 or x.dtype is DType.INT8, "sums beyond 32 bits")
    multiplier, shift = sum_multiplier(node, count)
    params = out.struct(
        "ep_reduce_t",
        **loops(node, node.attrs["axes"]),
        scale=(multiplier, -shift), offset=-zero(x) * count, zero=zero(y),
    )  # fmt: skip
    out.call(f"ep_sum{suffix(x)}", params, out.at(x), out.at(y))


@lowers("ReduceMax", "ReduceMin")
def extreme(node: Node, out: CBuilder) -> None:
    """Parameters stay as they are."""
    x, y = node.input(0), node.output
    _refuse_other_types(node)
    minimum = 1 if node.op == "ReduceMin" else 0
    params = out.struct(
        "ep_reduce_t", **loops(node, node.attrs["axes"]), scale=(0, 0), offset=minimum, zero=0
    )
    out.call(f"ep_largest{suffix(x)}", params, out.at(x), out.at(y))


@lowers("ArgMax", "ArgMin")
def place(node: Node, out: CBuilder) -> None:
    """The first index of several equal ones."""
    x, y = node.input(0), node.output
    refuse_unless(x.dtype in (DType.INT8, DType.INT16), f"{x.dtype} input")
    refuse_unless(y.dtype is DType.INT32, f"{y.dtype} indices")
    axis = node.attrs["axis"] % x.rank
    inner = 1
    for size in x.shape[axis + 1 :]:
        inner *= size
    depth = x.shape[axis]
    params = out.struct(
        "ep_reduce_t",
        kept=(x.size // (depth * inner), 1, inner), kept_step=(depth * inner, 0, 1),
        reduced=(depth, 1), reduced_step=(inner, 0),
        scale=(0, 0), offset=1 if node.op == "ArgMin" else 0, zero=0,
    )  # fmt: skip
    out.call(f"ep_place{suffix(x)}", params, out.at(x), out.at(y))


def _refuse_other_types(node: Node) -> None:
    legal = all_of(node, DType.INT8) or all_of(node, DType.INT16)
    refuse_unless(legal and node.input(0).quant is not None, f"{node.input(0).dtype} input")


def loops(node: Node, axes: Any) -> dict[str, Any]:
    """The dimensions that stay and those that go, neighbours of one kind joined."""
    x = node.input(0)
    gone = {axis % x.rank for axis in axes}
    groups: list[tuple[bool, int, int]] = []  # (reduced, size, step)
    step = 1
    for axis in reversed(range(x.rank)):
        size, reduced = x.shape[axis], axis in gone
        if size > 1:
            if groups and groups[0][0] == reduced:
                groups[0] = (reduced, groups[0][1] * size, groups[0][2])
            else:
                groups.insert(0, (reduced, size, step))
        step *= size
    kept = [(n, s) for reduced, n, s in groups if not reduced]
    lost = [(n, s) for reduced, n, s in groups if reduced]
    refuse_unless(len(kept) <= 3 and len(lost) <= 2, "axes so far apart")
    kept, lost = [(1, 0)] * (3 - len(kept)) + kept, [(1, 0)] * (2 - len(lost)) + lost
    return {
        "kept": [n for n, _ in kept], "kept_step": [s for _, s in kept],
        "reduced": [n for n, _ in lost], "reduced_step": [s for _, s in lost],
    }  # fmt: skip
