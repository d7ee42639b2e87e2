"""Sums and the like of 8-bit activations."""

from __future__ import annotations

from edgepack.ir import DType, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import double, limits, scale, zero
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless


@lowers("Add")
def add(node: Node, out: CBuilder) -> None:
    """Three multipliers, as the reference kernel has them."""
    a, b, y = node.input(0), node.input(1), node.output
    refuse_unless(all_of(node, DType.INT8), f"{a.dtype} input")
    refuse_unless(a.shape == b.shape, "broadcast")
    one, two = double(scale(a)), double(scale(b))
    twice = 2 * max(one, two)
    low, high = limits(node)
    params = out.struct(
        "ep_add_t",
        **{
            key: _pair(real)
            for key, real in (
                ("a", one / twice), ("b", two / twice),
                ("y", twice / (2**20 * double(scale(y)))),
            )
        },
        a_offset=-zero(a), b_offset=-zero(b), zero=zero(y), low=low, high=high, spare=20,
    )  # fmt: skip
    out.call("ep_add_s8", params, out.at(a), 1, out.at(b), 1, out.at(y), y.size)


def _pair(real: float) -> tuple[int, int]:
    multiplier, shift = fp.quantize_multiplier(real)
    return int(multiplier), -int(shift)
