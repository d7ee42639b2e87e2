"""Resize: every mode is a choice of input elements or a matrix per dimension.

The indices and interpolation matrices are computed after the ONNX definition; where a builtin
operator of the runtimes has the same ones, it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.registry import reads

Kernel = Callable[[Array], Array]  # elementwise, such as a weight by distance

_LARGEST_MATRIX = 1 << 24  # elements; a damaged size must not take the machine down


@dataclass(frozen=True, slots=True)
class Sampling:
    """The attributes of Resize."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


@reads("Resize")
def resize(ctx: Context, node: Call) -> Value:
    """By scales or sizes, along all or some axes."""
    x = node.input(0)
    if node.opset < 11:
        sampling = Sampling(node.attr("mode", "nearest"), "asymmetric", nearest="floor")
        scales = [float(s) for s in node.known(1, "scales").reshape(-1)]
        sizes = [int(d * s) for d, s in zip(x.shape, scales, strict=True)]
        return resample(ctx, x, list(range(x.rank)), sizes, scales, sampling)
    axes = [normal_axis(a, x.rank) for a in node.attr("axes") or range(x.rank)]
    sizes, scales = _sizes_and_scales(node, [x.shape[a] for a in axes])
    rois = None
    if node.attr("coordinate_transformation_mode") == "tf_crop_and_resize":
        flat = node.known(1, "roi").reshape(2, -1)
        rois = [(float(flat[0, i]), float(flat[1, i])) for i in range(len(axes))]
    return resample(ctx, x, axes, sizes, scales, _sampling(node), rois)


def _sampling(node: Call) -> Sampling:
    return Sampling(
        node.attr("mode", "nearest"),
        node.attr("coordinate_transformation_mode", "half_pixel"),
        node.attr("nearest_mode", "round_prefer_floor"),
        node.attr("cubic_coeff_a", -0.75),
        bool(node.attr("exclude_outside", 0)),
        bool(node.attr("antialias", 0)),
        node.attr("extrapolation_value", 0.0),
    )


def _sizes_and_scales(node: Call, dims: Sequence[int]) -> tuple[list[int], list[float]]:
    given = node.optional(2)
    if given is not None and given.size:
        scales = [float(s) for s in node.known(2, "scales").reshape(-1)]
        return [int(np.floor(d * s)) for d, s in zip(dims, scales, strict=True)], scales
    sizes = node.known_ints(3, "sizes")
    ratios = [s / d for s, d in zip(sizes, dims, strict=True)]
    policy = node.attr("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes, ratios
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [int(np.floor(d * scale + 0.5)) for d in dims], [scale] * len(dims)


def resample(
    ctx: Context, x: Value, axes: Sequence[int], sizes: Sequence[int], scales: Sequence[float],
    sampling: Sampling, rois: Sequence[tuple[float, float]] | None = None,
) -> Value:  # fmt: skip
    """`x` with new sizes along `axes`."""
    if sampling.mode not in ("nearest", "linear", "cubic"):
        raise Refused(f"resize mode {sampling.mode!r}")
    for size, axis in zip(sizes, axes, strict=True):
        if size * x.shape[axis] > _LARGEST_MATRIX:
            raise ValueError(f"dimension {axis} of {x.shape} is resized to {size}")
    lines = {}
    outside = {}
    for i, axis in enumerate(axes):
        roi = rois[i] if rois else (0.0, 1.0)
        at = _coordinates(x.shape[axis], sizes[i], scales[i], sampling.coordinates, roi)
        changed = sizes[i] != x.shape[axis] or not np.allclose(at, np.arange(sizes[i]))
        if changed:
            lines[axis] = _line(x.shape[axis], at, scales[i], sampling)
        if sampling.coordinates == "tf_crop_and_resize":
            outside[axis] = (at < 0) | (at > x.shape[axis] - 1)
    y = _builtin(ctx, x, lines, sampling)
    if y is None:
        y = _matrices(ctx, x, lines) if sampling.mode != "nearest" else _picks(ctx, x, lines)
    return _extrapolated(ctx, y, outside, sampling.extrapolation)


def _coordinates(size: int, new: int, scale: float, mode: str, roi: tuple[float, float]) -> Array:
    """Where in the input each output element lies."""
    out = np.arange(new, dtype=np.float64)
    if mode == "half_pixel":
        return (out + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (out + 0.5) / scale - 0.5 if new > 1 else np.zeros(new)
    if mode == "align_corners":
        stretch = scale * size - 1  # ONNX does not round the new size here
        return out * (size - 1) / stretch if new > 1 else np.zeros(new)
    if mode == "asymmetric":
        return out / scale
    if mode == "half_pixel_symmetric":
        adjustment = new / (scale * size)
        return size / 2 * (1 - adjustment) + (out + 0.5) / scale - 0.5
    if mode == "tf_half_pixel_for_nn":
        return (out + 0.5) / scale
    if mode == "tf_crop_and_resize":
        start, end = roi
        if new == 1:
            return np.array([0.5 * (start + end) * (size - 1)])
        return start * (size - 1) + out * (end - start) * (size - 1) / (new - 1)
    raise Refused(f"coordinate_transformation_mode {mode!r}")


def _line(size: int, at: Array, scale: float, sampling: Sampling) -> Array:
    """Indices [new] for nearest, else a matrix [new, size]."""
    if sampling.mode == "nearest":
        return np.clip(_rounded(at, sampling.nearest), 0, size - 1).astype(np.int64)
    kernel = cubic_kernel(sampling.cubic_a) if sampling.mode == "cubic" else _triangle
    reach = 2 if sampling.mode == "cubic" else 1
    shrink = min(scale, 1.0) if sampling.antialias else 1.0
    return _matrix(size, at, kernel, reach, shrink, exclude=sampling.exclude_outside)


def _rounded(at: Array, mode: str) -> Array:
    near = np.round(at, 9)  # 0.30000000000000004 is meant to be 0.3
    rounding: dict[str, Kernel] = {
        "round_prefer_floor": lambda v: np.ceil(v - 0.5),
        "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if mode not in rounding:
        raise Refused(f"nearest_mode {mode!r}")
    return rounding[mode](near)


def _triangle(d: Array) -> Array:
    return np.asarray(np.clip(1 - np.abs(d), 0, None))


def cubic_kernel(a: float) -> Kernel:
    """The weight of cubic convolution by distance; `a` is its slope at 1 (Keys, 1981)."""

    def kernel(d: Array) -> Array:
        d = np.abs(d)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return kernel


def _matrix(
    size: int, at: Array, kernel: Kernel, reach: int, shrink: float, *, exclude: bool
) -> Array:
    """[new, size]: the weight of each input element in each output element."""
    width = int(np.ceil(reach / shrink))
    if width * len(at) > _LARGEST_MATRIX:
        raise ValueError(f"a scale of {shrink}")
    first = np.floor(at).astype(int) - width + 1
    taps = first[:, None] + np.arange(2 * width)[None, :]
    weights = kernel((at[:, None] - taps) * shrink)
    if exclude:
        weights = np.where((taps < 0) | (taps >= size), 0.0, weights)
    if exclude or shrink < 1:
        weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(at), size))
    rows = np.broadcast_to(np.arange(len(at))[:, None], taps.shape)
    np.add.at(matrix, (rows, np.clip(taps, 0, size - 1)), weights)
    return matrix


# -- nodes -----------------------------------------------------------------------------------------


def _builtin(ctx: Context, x: Value, lines: dict[int, Array], sampling: Sampling) -> Value | None:
    """ResizeNearest or ResizeBilinear if one of their variants samples the same."""
    if x.rank != 4 or not lines or not set(lines) <= {2, 3} or sampling.mode == "cubic":
        return None
    op = "ResizeNearest" if sampling.mode == "nearest" else "ResizeBilinear"
    if op == "ResizeBilinear" and not x.dtype.is_float:
        return None
    for align, half in ((False, True), (True, False), (False, False)):
        if all(_same_line(x.shape[a], line, op, align, half) for a, line in lines.items()):
            size = [len(lines[a]) if a in lines else x.shape[a] for a in (2, 3)]
            return ctx.emit(op, x, size=size, align_corners=align, half_pixel=half)
    return None


def _same_line(size: int, line: Array, op: str, align: bool, half: bool) -> bool:
    new = len(line)
    if align and new == 1:
        return False
    scale = (size - 1) / (new - 1) if align else size / new
    out = np.arange(new)
    if op == "ResizeNearest":
        at = (out + 0.5) * scale if half else out * scale
        index = np.floor(at + 0.5) if align else np.floor(np.round(at, 9))
        return bool(np.array_equal(np.minimum(index, size - 1), line))
    at = (out + 0.5) * scale - 0.5 if half else out * scale
    at = np.clip(at, 0, size - 1)
    return bool(np.allclose(_matrix(size, at, _triangle, 1, 1.0, exclude=False), line, atol=1e-6))


def _picks(ctx: Context, x: Value, lines: dict[int, Array]) -> Value:
    for axis, line in lines.items():
        x = ctx.emit("Gather", x, ctx.const(line), axis=axis)
    return x


def _matrices(ctx: Context, x: Value, lines: dict[int, Array]) -> Value:
    if not x.dtype.is_float:
        real = _matrices(ctx, ctx.cast(x, DType.FLOAT32), lines)
        return ctx.cast(ctx.emit("Round", real), x.dtype)
    for axis, matrix in lines.items():
        order = [i for i in range(x.rank) if i != axis] + [axis]
        weights = ctx.const(matrix, x.dtype)  # [new, old]
        y = ctx.emit("FullyConnected", ctx.transpose(x, order), weights)
        x = ctx.transpose(y, [int(i) for i in np.argsort(order)])
    return x


def _extrapolated(ctx: Context, y: Value, outside: dict[int, Array], value: float) -> Value:
    mask = np.zeros((1,) * y.rank, np.bool_)
    for axis, line in outside.items():
        mask = mask | line.reshape([-1 if i == axis else 1 for i in range(y.rank)])
    if not mask.any():
        return y
    return ctx.emit("Where", ctx.const(mask), value, y)
