"""Ranges no wider than the readers of a value can tell apart.

HardSwish makes 0 of everything below -3, Sigmoid makes 0 or 1, to half a step of its output, of
everything beyond 6. What lies there needs no steps of its own: clipping it changes nothing, and
what lies between gets them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Final

from edgepack.ir import DType, Node, Value, row
from edgepack.quantize.ranges import Range

# Where each operator's output stays the same to less than half a step of its 8 bits.
_USEFUL: Final = {
    "HardSwish": (-3.0, math.inf),
    "Relu": (0.0, math.inf),
    "Sigmoid": (-6.25, 6.25),  # 0.0019 of 1 / 256
    "Tanh": (-3.125, 3.125),  # 0.0039 of 1 / 128
    "Gelu": (-4.0, math.inf),  # 0.0001; its outputs reach 3 where that is to matter
    "Elu": (-6.25, math.inf),
}


def useful_range(
    values: Sequence[Value], is_integer: Callable[[Node], bool], shown: Collection[Value]
) -> Range | None:
    """What the readers of `values`, which share one scale of 8 bits, can tell apart.

    None where that is everything: where a reader is linear, float, or the user (`shown`).
    `is_integer` says which nodes read them as integers. Operators that only move elements count by
    those who read what they make, which is among the values.
    """
    low, high = math.inf, -math.inf
    for value in values:
        if value in shown or not value.users:
            return None
        for reader in value.users:
            if not is_integer(reader):
                return None
            if row(reader.op).quant.output == "same" and reader.output in values:
                continue
            span = _USEFUL.get(reader.op)
            if span is None:
                return None
            low, high = min(low, span[0]), max(high, span[1])
    return None if low > high else Range(low, high, "useful")


def narrowed(seen: Range, useful: Range | None, dtype: DType) -> Range:
    """The part of a range that is useful; only 8 bits are so few that it matters."""
    if useful is None or dtype is not DType.INT8:
        return seen
    low, high = max(seen.low, useful.low), min(seen.high, useful.high)
    if (low, high) == (seen.low, seen.high):
        return seen
    return Range(min(low, useful.high), max(high, useful.low), "useful")
