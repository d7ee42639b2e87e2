"""Pooling, NCHW. The one-dimensional forms become two-dimensional ones of height 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.convolution import planar, spread
from edgepack.readers.torch.registry import reads


@dataclass(frozen=True, slots=True)
class _Window:
    """`extra` is what ceil_mode lets the last window reach beyond the padding."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    extra: tuple[int, ...]


def _window(call: Call, x: Value) -> _Window:
    dims = len(call.value("self").shape) - 2
    if call.value("self").rank == 2 and "1d" in call.target:
        dims = 1
    kernel = spread(call["kernel_size"], dims)
    stride = spread(call.get("stride") or kernel, dims)
    pad = spread(call.get("padding", 0), dims)
    if any(d != 1 for d in spread(call.get("dilation", 1), dims)):
        raise Refused("dilated pooling has no equivalent")
    if dims == 1:
        kernel, stride, pad = (1, *kernel), (1, *stride), (0, *pad)
    out = call.shape[-dims:] if dims == 2 else (1, call.shape[-1])
    geometry = zip(x.shape[2:], out, kernel, stride, pad, strict=True)
    extra = [max((o - 1) * s + k - (size + 2 * p), 0) for size, o, k, s, p in geometry]
    return _Window(kernel, stride, pad, tuple(extra))


def _pads(window: _Window, *, explicit: bool = True) -> tuple[tuple[int, int], ...]:
    pad = window.pad if explicit else (0, 0)
    return tuple((p, p + e) for p, e in zip(pad, window.extra, strict=True))


@reads("aten.max_pool1d", "aten.max_pool2d", "aten.max_pool2d_with_indices")
def max_pool(call: Call) -> Value:
    """MaxPool2d; the indices that some forms also give are not available."""
    x = planar(call, call.value("self"))
    window = _window(call, x)
    y = call.emit("MaxPool2d", x, kernel=window.kernel, stride=window.stride, pad=_pads(window))
    return call.reshape(y, call.shape)


@reads("aten.avg_pool1d", "aten.avg_pool2d")
def average_pool(call: Call) -> Value:
    """AveragePool2d; explicit padding may count, what ceil_mode adds never does."""
    x = planar(call, call.value("self"))
    window = _window(call, x)
    counted = bool(call.get("count_include_pad", True)) and any(window.pad)
    divisor = call.get("divisor_override")
    if divisor is not None or (counted and any(window.extra)):
        x = _zero_pad(call, x, window, beyond=divisor is not None)
        extra = (0, 0) if divisor is not None else window.extra
        window = _Window(window.kernel, window.stride, (0, 0), extra)
    y = call.emit(
        "AveragePool2d", x, kernel=window.kernel, stride=window.stride, pad=_pads(window),
        count_include_pad=counted and any(window.pad),
    )  # fmt: skip
    if divisor is not None:
        y = call.emit("Mul", y, float(np.prod(window.kernel)) / divisor)
    return call.reshape(y, call.shape)


def _zero_pad(call: Call, x: Value, window: _Window, *, beyond: bool) -> Value:
    pads = _pads(window) if beyond else tuple((p, p) for p in window.pad)
    return call.pad(x, ((0, 0), (0, 0), *pads))


@reads("aten.avg_pool3d")
def average_over_channels(call: Call) -> Value:
    """The mean over neighbouring channels, [N, 1, C, H, W], as local response norm takes it."""
    x, size = call.value("self"), spread(call["kernel_size"], 3)
    unit = spread(call.get("stride") or size, 3) == (1, 1, 1)
    if size[1:] != (1, 1) or not unit or any(spread(call["padding"], 3)) or x.rank != 5:
        raise Refused("three-dimensional pooling has no equivalent")
    flat = call.reshape(x, (*x.shape[:3], x.shape[3] * x.shape[4]))
    y = call.emit("AveragePool2d", flat, kernel=(size[0], 1))
    return call.reshape(y, call.shape)


@reads("aten.adaptive_avg_pool1d", "aten.adaptive_avg_pool2d", "aten._adaptive_avg_pool2d")
def adaptive_average_pool(call: Call) -> Value:
    """A mean, an AveragePool2d, or for sizes that do not divide one product per dimension."""
    x = planar(call, call.value("self"))
    size, out = x.shape[2:], _adaptive_output(call)
    if out == (1, 1):
        y = call.emit("ReduceMean", x, axes=(2, 3), keepdims=True)
    elif all(s % o == 0 for s, o in zip(size, out, strict=True)):
        y = _regular(call, "AveragePool2d", x, out)
    else:
        y = separable(call, x, _bin_matrix(size[0], out[0]), _bin_matrix(size[1], out[1]))
    return call.reshape(y, call.shape)


@reads("aten.adaptive_max_pool1d", "aten.adaptive_max_pool2d")
def adaptive_max_pool(call: Call) -> Value:
    """A maximum, a MaxPool2d, or for sizes that do not divide the maximum of each bin."""
    x = planar(call, call.value("self"))
    size, out = x.shape[2:], _adaptive_output(call)
    if out == (1, 1):
        y = call.emit("ReduceMax", x, axes=(2, 3), keepdims=True)
    elif all(s % o == 0 for s, o in zip(size, out, strict=True)):
        y = _regular(call, "MaxPool2d", x, out)
    else:
        y = _bin_maxima(call, _bin_maxima(call, x, 2, out[0]), 3, out[1])
    return call.reshape(y, call.shape)


def _adaptive_output(call: Call) -> tuple[int, ...]:
    return (1, call.shape[-1]) if "1d" in call.target else call.shape[-2:]


def _regular(call: Call, op: str, x: Value, out: Sequence[int]) -> Value:
    kernel = tuple(s // o for s, o in zip(x.shape[2:], out, strict=True))
    return call.emit(op, x, kernel=kernel, stride=kernel)


def _bins(size: int, out: int) -> list[tuple[int, int]]:
    """First and one-past-last element of each adaptive bin."""
    return [(i * size // out, -((-(i + 1) * size) // out)) for i in range(out)]


def _bin_matrix(size: int, out: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    matrix = np.zeros((out, size), np.float32)
    for row, (first, last) in enumerate(_bins(size, out)):
        matrix[row, first:last] = 1 / (last - first)
    return matrix


def _bin_maxima(call: Call, x: Value, axis: int, out: int) -> Value:
    parts = [
        call.emit("ReduceMax", call.slice(x, axis, a, b - a), axes=(axis,), keepdims=True)
        for a, b in _bins(x.shape[axis], out)
    ]
    return call.concat(parts, axis)


def separable(
    call: Call,
    x: Value,
    rows: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    columns: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> Value:
    """rows [OH, H] times x [N, C, H, W] times columns [OW, W] transposed."""
    if not np.array_equal(columns, np.eye(x.shape[3])):
        x = call.emit("MatMul", x, call.const(columns), adj_b=True)
    if not np.array_equal(rows, np.eye(x.shape[2])):
        x = call.emit("MatMul", call.const(rows), x)
    return x
