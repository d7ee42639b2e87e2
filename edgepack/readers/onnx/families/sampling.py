"""GridSample at known places: a weighted sum of gathered pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from edgepack.ir import Array, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.families.resize import cubic_kernel
from edgepack.readers.onnx.registry import reads

Taps = list[tuple[Array, Array]]  # (index, weight) of each neighbour along one dimension

_CUBIC_A = -0.75


@reads("GridSample")
def grid_sample(ctx: Context, node: Call) -> Value:
    """Pixels of x [N, C, *sizes] at the places of grid [N, *out, dimensions] in -1..1."""
    x, grid = node.input(0), node.known(1, "grid").astype(np.float64)
    sizes = x.shape[2:]
    mode = node.attr("mode", "linear").replace("bilinear", "linear").replace("bicubic", "cubic")
    if mode not in ("nearest", "linear", "cubic"):
        raise Refused(f"mode {mode!r}")
    padding = node.attr("padding_mode", "zeros")
    align = bool(node.attr("align_corners", 0))
    # the last dimension of the grid names the innermost size first
    places = [_place(grid[..., -1 - d], size, align) for d, size in enumerate(sizes)]
    taps = [
        _taps(place, size, mode, padding, align) for place, size in zip(places, sizes, strict=True)
    ]
    return _weighted_sum(ctx, x, taps, grid.shape[1:-1])


def _place(coordinate: Array, size: int, align: bool) -> Array:
    if align:
        return np.asarray((coordinate + 1) / 2 * (size - 1))
    return np.asarray(((coordinate + 1) * size - 1) / 2)


def _taps(place: Array, size: int, mode: str, padding: str, align: bool) -> Taps:
    low, high = (0.0, size - 1.0) if align else (-0.5, size - 0.5)
    if padding == "border":
        place = np.clip(place, 0, size - 1)
    elif padding == "reflection":
        place = _reflect(place, low, high)
    base = np.rint(place) if mode == "nearest" else np.floor(place)
    offsets = {"nearest": [0], "linear": [0, 1], "cubic": [-1, 0, 1, 2]}[mode]
    taps = []
    for offset in offsets:
        index = base + offset
        weight = np.ones_like(place)
        if mode == "linear":
            weight = 1 - np.abs(place - index)
        elif mode == "cubic":
            weight = cubic_kernel(_CUBIC_A)(place - index)
        taps.append(_padded(index, weight, size, padding, (low, high)))
    return taps


def _padded(
    index: Array, weight: Array, size: int, padding: str, bounds: tuple[float, float]
) -> tuple[Array, Array]:
    if padding == "reflection":
        index = np.rint(_reflect(index, *bounds))
    elif padding == "zeros":
        weight = np.where((index < 0) | (index > size - 1), 0.0, weight)
    return np.clip(index, 0, size - 1).astype(np.int64), weight


def _reflect(place: Array, low: float, high: float) -> Array:
    span = high - low
    if not span:
        return np.zeros_like(place)
    turn = np.mod(place - low, 2 * span)
    return low + np.where(turn > span, 2 * span - turn, turn)


def _weighted_sum(ctx: Context, x: Value, taps: Sequence[Taps], out: Sequence[int]) -> Value:
    batch, channels, *sizes = x.shape
    pixels = math.prod(sizes)
    last = ctx.transpose(x, [0, *range(2, x.rank), 1])
    rows = ctx.reshape(last, (batch * pixels, channels))
    start = (np.arange(batch) * pixels).reshape(-1, *(1 for _ in out))
    terms = []
    for neighbours in itertools.product(*taps):
        flat = start + np.ravel_multi_index(tuple(i for i, _ in neighbours), tuple(sizes))
        weight = np.prod([w for _, w in neighbours], axis=0)
        term = ctx.emit("Gather", rows, ctx.const(flat.reshape(-1)), axis=0)
        if not np.all(weight == 1.0):
            term = ctx.emit("Mul", term, ctx.const(weight.reshape(-1, 1), x.dtype))
        terms.append(term)
    y = ctx.reshape(ctx.total("Add", terms), (batch, *out, channels))
    return ctx.transpose(y, [0, y.rank - 1, *range(1, y.rank - 1)])
