"""Operators that only move elements.

Where each element of the output comes from is found by moving the numbers of the elements with the
reference kernel; nested loops in equal steps are made of it, or a table where there are none.
"""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Node, Value
from edgepack.kernels.quantized_reduction import requantized
from edgepack.kernels.registry import REAL
from edgepack.writers.c.builder import CBuilder, lowers, refuse_unless

_LEVELS: Final = 6  # loops of ep_move
_FILL: Final = 1 << 20  # added to the numbers, so that padding is told from them


@lowers("Reshape")
def reshape(node: Node, out: CBuilder) -> None:
    """A copy, where the plan does not have both at one place."""
    x, y = node.input(0), node.output
    out.call("ep_copy", out.at(y), out.at(x), f"{x.nbytes}U")


@lowers(
    "Transpose", "Slice", "Split", "Tile", "BroadcastTo", "Reverse", "Gather", "SpaceToBatch",
    "BatchToSpace", "DepthToSpace", "SpaceToDepth", "ResizeNearest",
)  # fmt: skip
def move(node: Node, out: CBuilder) -> None:
    """Elements of the first input in another order."""
    x = node.input(0)
    refuse_unless(all(v.is_const for v in node.present_inputs[1:]), "computed indices")
    refuse_unless(x.dtype.bits >= 8, f"{x.dtype} values")
    _emit(node, out, sources(node), _zero_byte(node))


def sources(node: Node) -> list[Array]:
    """For each output the number of the input element at each place, below 0 for padding."""
    x = node.input(0)
    numbers = (np.arange(x.size, dtype=np.int64) + _FILL).reshape(x.shape)
    result = REAL[node.op](node, numbers, *(v.const for v in node.present_inputs[1:]))
    results = result if isinstance(result, tuple) else (result,)
    return [np.asarray(r).reshape(-1) - _FILL for r in results]


def _emit(node: Node, out: CBuilder, moves: list[Array], fill: int) -> None:
    x = node.input(0)
    width = x.dtype.numpy.itemsize
    for y, numbers in zip(node.outputs, moves, strict=True):
        found = loops_of(numbers)
        if found is None:
            _by_table(node, out, y, numbers, fill)
            continue
        first, loops = found
        run = 1
        if loops and loops[-1][1] == 1:
            run = loops.pop()[0]
        if not loops:
            _copy(out, x, y, first * width, run * width)
            continue
        loops = [(1, 0)] * (_LEVELS - len(loops)) + loops
        params = out.struct(
            "ep_move_t",
            count=[n for n, _ in loops], step=[s * width for _, s in loops],
            first=first * width, run=run * width,
        )  # fmt: skip
        out.call("ep_move", params, out.at(x), out.at(y))


def _copy(out: CBuilder, x: Value, y: Value, begin: int, nbytes: int) -> None:
    if out.distance(x, y) != -begin:
        out.call("ep_copy", out.at(y), out.at(x, begin), f"{nbytes}U")


def loops_of(numbers: Array) -> tuple[int, list[tuple[int, int]]] | None:
    """(first number, (count, step) of nested loops, outer first) that give these numbers.

    None when there are no such loops, or too many.
    """
    rest = numbers
    loops: list[tuple[int, int]] = []
    while rest.size > 1:
        found = _innermost(rest)
        if found is None:
            return None
        loops.insert(0, found)
        rest = rest.reshape(-1, found[0])[:, 0]
    inner = 1 if loops and loops[-1][1] == 1 else 0
    if len(loops) - inner > _LEVELS or numbers.min(initial=0) < 0:
        return None
    return int(numbers[0]), loops


def _innermost(numbers: Array) -> tuple[int, int] | None:
    """The longest loop with which every stretch of its length begins."""
    steps = np.diff(numbers)
    step = steps[0]
    other = np.flatnonzero(steps != step)
    longest = int(other[0]) + 1 if other.size else numbers.size
    for count in range(longest, 1, -1):
        if numbers.size % count == 0 and (np.diff(numbers.reshape(-1, count)) == step).all():
            return count, int(step)
    return None


def _by_table(node: Node, out: CBuilder, y: Value, numbers: Array, fill: int) -> None:
    """A table of runs, as long as all of them can be."""
    x = node.input(0)
    run = _longest_run(numbers)
    starts = numbers[::run]
    table = out.table(np.where(starts < 0, -1, starts // run).astype(np.int32), f"{node.name}")
    width = run * x.dtype.numpy.itemsize
    out.call("ep_pick", table.text, starts.size, width, fill, out.at(x), out.at(y))


def _longest_run(numbers: Array) -> int:
    """The largest length of which all runs are, each beginning at a multiple of it."""
    for run in range(min(numbers.size, 4096), 1, -1):
        if numbers.size % run:
            continue
        rows = numbers.reshape(-1, run)
        steps = np.diff(rows)
        border = (rows < 0).all(axis=1)
        whole = (steps == 1).all(axis=1) & (rows[:, 0] % run == 0) & (rows[:, 0] >= 0)
        if (border | whole).all():
            return run
    return 1


def _zero_byte(node: Node) -> int:
    """The byte that zero is made of. Raises Refused where its bytes differ."""
    quant = node.input(0).quant
    zero = 0 if quant is None else int(quant.zero_point[0])
    return _byte(node, zero)


def _byte(node: Node, value: int) -> int:
    x = node.input(0)
    refuse_unless(x.dtype.bits == 8 or value == 0, f"padding of {x.dtype} with {value}")
    return value


# -- padding ---------------------------------------------------------------------------------------


@lowers("Pad")
def pad(node: Node, out: CBuilder) -> None:
    """Constants in up to four dimensions by loops; what mirrors or cuts by a table."""
    x, pads = node.input(0), node.attrs["pads"]
    refuse_unless(x.dtype.bits >= 8, f"{x.dtype} values")
    constant = node.attrs["mode"] == "constant"
    fill = _pad_byte(node) if constant else 0
    if not constant or any(p < 0 for sides in pads for p in sides):
        _emit(node, out, sources(node), fill)
        return
    dims = _joined(x.shape, pads)
    refuse_unless(len(dims) <= 4, "padding in more than four dimensions")
    dims = [(1, 0, 0)] * (4 - len(dims)) + dims
    width = x.dtype.numpy.itemsize
    dims[3] = (dims[3][0] * width, dims[3][1] * width, dims[3][2] * width)
    size, before, after = zip(*dims, strict=True)
    params = out.struct("ep_pad_t", size=size, before=before, after=after)
    out.call("ep_pad_8", params, fill, out.at(x), out.at(node.output))


def _pad_byte(node: Node) -> int:
    x, value = node.input(0), node.attrs["value"]
    if x.quant is not None:
        value = int(x.quant.quantize(np.asarray(value, np.float32), x.dtype))
    elif x.dtype is DType.FLOAT32:
        refuse_unless(value == 0, f"padding of {x.dtype} with {value}")
    return _byte(node, int(value))


def _joined(
    shape: tuple[int, ...], pads: tuple[tuple[int, int], ...]
) -> list[tuple[int, int, int]]:
    """(size, before, after) of each dimension; those without padding join the one before them."""
    dims: list[tuple[int, int, int]] = []
    for size, (before, after) in zip(shape, pads, strict=True):
        if dims and not before and not after:
            n, b, a = dims[-1]
            dims[-1] = (n * size, b * size, a * size)
        else:
            dims.append((size, before, after))
    return dims or [(1, 0, 0)]


# -- joining ---------------------------------------------------------------------------------------


@lowers("Concat")
def concat(node: Node, out: CBuilder) -> None:
    """For each outer index a run of every input; of those in other parameters by a table."""
    y, axis = node.output, node.attrs["axis"] % node.output.rank
    outer, width = prod(y.shape[:axis]), y.dtype.numpy.itemsize
    refuse_unless(y.dtype.bits >= 8, f"{y.dtype} values")
    total, start = y.size // outer, 0
    parts = []
    for value in node.present_inputs:
        run = value.size // outer
        if outer > 1 or out.distance(value, y) != start * width or value.quant != y.quant:
            parts.append((value, run, start))
        start += run
    with out.loops({"i": outer} if outer > 1 else {}):
        for value, run, start in parts:
            _part(node, out, value, run, (start, total))


def _part(node: Node, out: CBuilder, value: Value, run: int, place: tuple[int, int]) -> None:
    y = node.output
    width = y.dtype.numpy.itemsize
    outer = value.size // run
    loop = outer > 1
    start, total = place
    source = out.at_step(value, {"i": run if loop else 0})
    target = out.at_step(y, {"i": total if loop else 0}, start)
    if value.quant == y.quant:
        out.call("ep_copy", target, source, f"{run * width}U")
        return
    refuse_unless(value.dtype is DType.INT8 and y.dtype is DType.INT8, "inputs of other scales")
    every = np.arange(256, dtype=np.uint8).view(np.int8)
    table = requantized(value, every, y).view(np.uint8)
    out.call("ep_lookup_8", out.table(table, f"{value.name}: scaled").text, source, target, run)
