"""Calls of kernels on broadcast inputs: loops around a kernel for one row."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Node, Value
from edgepack.writers.c.builder import CBuilder


def each_pair(node: Node, out: CBuilder, kernel: str, *first: str) -> None:
    """Call `kernel(first…, a, a_step, b, b_step, …, y, count)` on rows, in loops where needed."""
    y = node.output
    values = node.present_inputs
    counts, steps = collapsed(y.shape, values)
    outer = _row_major(counts)
    *loops, count = counts
    names = [f"i{level}" for level in range(len(loops))]
    arguments: list[str | int] = list(first)
    for value, own in zip(values, steps, strict=True):
        arguments += [out.at_step(value, dict(zip(names, own, strict=False))), own[-1]]
    place = out.at_step(y, dict(zip(names, outer, strict=False)))
    with out.loops(dict(zip(names, loops, strict=True))):
        out.call(kernel, *arguments, place, count)


def _row_major(counts: Sequence[int]) -> list[int]:
    steps: list[int] = []
    step = 1
    for count in reversed(counts):
        steps.insert(0, step)
        step *= count
    return steps


def collapsed(shape: Sequence[int], values: Sequence[Value]) -> tuple[list[int], list[list[int]]]:
    """(sizes of loops, steps of each value in them), outer first, with few loops.

    Neighbouring dimensions become one where every value goes on in equal steps.
    """
    dims = [d for d in range(len(shape)) if shape[d] != 1]
    counts = [shape[d] for d in dims] or [1]
    steps = [_steps(v, shape, dims) for v in values]
    for level in range(len(counts) - 1, 0, -1):
        if all(own[level - 1] == own[level] * counts[level] for own in steps):
            counts[level - 1 : level + 1] = [counts[level - 1] * counts[level]]
            for own in steps:
                del own[level - 1]
    return counts, steps


def _steps(value: Value, shape: Sequence[int], dims: Sequence[int]) -> list[int]:
    """Elements from one index to the next in each of `dims`; 0 where it is repeated."""
    own = [1] * (len(shape) - value.rank) + list(value.shape)
    full = _row_major(own)
    return [full[d] if own[d] != 1 else 0 for d in dims] or [0 if value.size == 1 else 1]
