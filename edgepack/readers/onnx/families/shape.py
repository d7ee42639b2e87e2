"""Operators that move elements, and those that make constants out of shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import LARGEST_CONSTANT_BYTES, Refused
from edgepack.readers.onnx.context import Call, Context, normal_axis
from edgepack.readers.onnx.model import dtype_of
from edgepack.readers.onnx.registry import reads


@reads("Identity")
def identity(ctx: Context, node: Call) -> Value:
    """The input."""
    return node.input(0)


@reads("Dropout")
def dropout(ctx: Context, node: Call) -> Sequence[Value]:
    """The input: nothing is dropped outside of training; the mask keeps everything."""
    x = node.input(0)
    if node.opset >= 12 and node.optional(2) is not None and bool(node.known(2, "mode").all()):
        ratio = 0.5 if node.optional(1) is None else float(node.known(1, "ratio").reshape(-1)[0])
        if ratio != 0.0:
            raise Refused("dropout in training mode", "export the model in evaluation mode")
    return [x, ctx.const(np.ones(x.shape, np.bool_))]


@reads("Constant")
def constant(ctx: Context, node: Call) -> Value:
    """Whichever of the attributes holds the content."""
    plain = {"value_float": np.float32, "value_floats": np.float32,
             "value_int": np.int64, "value_ints": np.int64}  # fmt: skip
    for name, value in node.attrs.items():
        if name in plain:
            return ctx.const(np.asarray(value, plain[name]))
        if name == "value" and DType.has(value):
            return ctx.const(value)
    raise Refused("a constant that is no dense tensor of numbers")


@reads("Shape")
def shape_of(ctx: Context, node: Call) -> Value:
    """The shape as int64, or a part of it."""
    dims = node.input(0).shape
    part = dims[slice(node.attr("start", 0), node.attr("end"))]
    return ctx.const(np.array(part, np.int64))


@reads("Size")
def size_of(ctx: Context, node: Call) -> Value:
    """The number of elements as int64."""
    return ctx.const(np.array(node.input(0).size, np.int64))


@reads("ConstantOfShape")
def constant_of_shape(ctx: Context, node: Call) -> Value:
    """One number in the shape that the input says, or that the file declares for the result."""
    if node.input(0).is_const:
        shape: Sequence[int] = node.known_ints(0, "shape")
    elif node.outputs[0] in node.declared:
        shape = node.declared[node.outputs[0]]
    else:
        shape = node.known_ints(0, "shape")
    fill = np.asarray(node.attr("value", np.zeros(1, np.float32))).reshape(-1)
    return ctx.broadcast(ctx.const(fill[0]), shape)


@reads("Range")
def range_(ctx: Context, node: Call) -> Value:
    """Numbers from start to limit; the count may come from the declared shape."""
    start, step = node.input(0), node.input(2)
    if all(v.is_const for v in node.present):
        begin, end, delta = (node.known(i, "bound").reshape(()).item() for i in range(3))
        if (end - begin) / delta > LARGEST_CONSTANT_BYTES:
            raise ValueError(f"a range from {begin} to {end} by {delta}")
        return ctx.const(np.arange(begin, end, delta), start.dtype)
    declared = node.declared.get(node.outputs[0])
    if declared is None:
        raise Refused("the number of elements depends on the model's input")
    count = ctx.const(np.arange(declared[0]), start.dtype)
    return ctx.emit("Add", start, ctx.emit("Mul", count, step))


@reads("EyeLike")
def eye_like(ctx: Context, node: Call) -> Value:
    """Ones on the k-th diagonal of a matrix like the input."""
    x = node.input(0)
    number = node.attr("dtype")
    dtype = x.dtype if number is None else dtype_of(number)
    if dtype is None or x.rank != 2:
        raise Refused("a matrix of this type")
    rows, columns = x.shape
    return ctx.const(np.eye(rows, columns, int(node.attr("k", 0))), dtype)


# -- same elements ---------------------------------------------------------------------------------


@reads("Reshape")
def reshape(ctx: Context, node: Call) -> Value:
    """0 keeps a dimension (unless allowzero), -1 takes what is left."""
    x = node.input(0)
    if not node.input(1).is_const and node.outputs[0] in node.declared:
        return ctx.reshape(x, node.declared[node.outputs[0]])
    asked = node.known_ints(1, "shape")
    if not node.attr("allowzero", 0):
        asked = [x.shape[i] if d == 0 else d for i, d in enumerate(asked)]
    if -1 in asked:
        rest = math.prod(d for d in asked if d != -1)
        asked[asked.index(-1)] = x.size // rest if rest else 0
    return ctx.reshape(x, asked)


@reads("Flatten")
def flatten(ctx: Context, node: Call) -> Value:
    """Two dimensions, split before the axis."""
    x, axis = node.input(0), node.attr("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    return ctx.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@reads("Squeeze")
def squeeze(ctx: Context, node: Call) -> Value:
    """Without the given dimensions of 1, or without all of them."""
    x, axes = node.input(0), node.ints("axes", 1, 13)
    gone = {i for i, d in enumerate(x.shape) if d == 1}
    if axes is not None:
        gone = {normal_axis(a, x.rank) for a in axes}
    if any(x.shape[a] != 1 for a in gone):
        raise ValueError(f"squeezing axes {sorted(gone)} of {x.shape}")
    return ctx.reshape(x, [d for i, d in enumerate(x.shape) if i not in gone])


@reads("Unsqueeze")
def unsqueeze(ctx: Context, node: Call) -> Value:
    """With dimensions of 1 at the given places of the result."""
    x, axes = node.input(0), node.ints("axes", 1, 13)
    if axes is None:
        raise ValueError("no axes")
    rank = x.rank + len(axes)
    new = {normal_axis(a, rank) for a in axes}
    old = iter(x.shape)
    return ctx.reshape(x, [1 if i in new else next(old) for i in range(rank)])


@reads("Transpose")
def transpose(ctx: Context, node: Call) -> Value:
    """By perm; without it, reversed."""
    x = node.input(0)
    return ctx.transpose(x, node.attr("perm") or range(x.rank)[::-1])


@reads("DepthToSpace")
def depth_to_space(ctx: Context, node: Call) -> Value:
    """Channels to pixels; CRD order by a shuffle of the channels first."""
    x, block = node.input(0), node.required("blocksize")
    if node.attr("mode", "DCR") == "CRD":
        groups = x.shape[1] // block**2
        order = np.arange(x.shape[1]).reshape(groups, block**2).T.reshape(-1)
        x = ctx.emit("Gather", x, ctx.const(order), axis=1)
    return ctx.emit("DepthToSpace", x, block=block)


@reads("SpaceToDepth")
def space_to_depth(ctx: Context, node: Call) -> Value:
    """Pixels to channels."""
    return ctx.emit("SpaceToDepth", node.input(0), block=node.required("blocksize"))


# -- parts and repetition --------------------------------------------------------------------------


@reads("Concat")
def concat(ctx: Context, node: Call) -> Value:
    """One after another; empty inputs add nothing."""
    values = [v for v in node.present if v.size] or list(node.present[:1])
    axis = normal_axis(node.required("axis"), values[0].rank)
    return values[0] if len(values) == 1 else ctx.emit("Concat", *values, axis=axis)


@reads("Split")
def split(ctx: Context, node: Call) -> Sequence[Value]:
    """Parts of given sizes, or equal ones with a smaller last."""
    x = node.input(0)
    axis = normal_axis(node.attr("axis", 0), x.rank)
    sizes = node.ints("split", 1, 13)
    if sizes is None:
        count = node.attr("num_outputs", len(node.outputs))
        part = -(-x.shape[axis] // count)
        sizes = [max(min(part, x.shape[axis] - i * part), 0) for i in range(count)]
    if 0 in sizes:  # runtimes do not split off nothing
        starts = np.cumsum([0, *sizes])
        return [ctx.slice(x, axis, int(b), s) for b, s in zip(starts, sizes, strict=False)]
    return [x] if len(sizes) == 1 else ctx.emit_multi("Split", x, axis=axis, sizes=sizes)


@reads("Slice")
def slice_(ctx: Context, node: Call) -> Value:
    """Starts, ends, axes and steps; out-of-range bounds are clamped."""
    x = node.input(0)
    starts, ends = node.ints("starts", 1, 10) or [], node.ints("ends", 2, 10) or []
    axes = node.ints("axes", 3, 10)
    axes = list(range(len(starts))) if axes is None else axes
    steps = (node.ints("steps", 4, 10) if node.opset >= 10 else None) or [1] * len(starts)
    begin, size, stride = [0] * x.rank, list(x.shape), [1] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        i = normal_axis(axis, x.rank)
        picked = range(*slice(start, _end(end, step), step).indices(x.shape[i]))
        begin[i], size[i], stride[i] = (picked[0] if picked else 0), len(picked), step
    if (begin, tuple(size), stride) == ([0] * x.rank, x.shape, [1] * x.rank):
        return x
    return ctx.emit("Slice", x, begin=begin, size=size, stride=stride)


def _end(end: int, step: int) -> int | None:
    # ONNX has no None: a very negative end is "through the first element" when going backwards.
    return None if step < 0 and end < -(1 << 30) else end


@reads("Tile")
def tile(ctx: Context, node: Call) -> Value:
    """Repeated along each dimension."""
    repeats = node.known_ints(1, "repeats")
    return (
        node.input(0) if set(repeats) <= {1} else ctx.emit("Tile", node.input(0), multiples=repeats)
    )


@reads("Expand")
def expand(ctx: Context, node: Call) -> Value:
    """Broadcast both ways against a shape."""
    x = node.input(0)
    return ctx.broadcast(x, np.broadcast_shapes(x.shape, tuple(node.known_ints(1, "shape"))))


@reads("Upsample")
def upsample(ctx: Context, node: Call) -> Value:
    """The operator that Resize replaced: asymmetric coordinates, rounded down."""
    from edgepack.readers.onnx.families.resize import Sampling, resample

    x = node.input(0)
    scales = [float(s) for s in (node.attr("scales") or node.known(1, "scales").reshape(-1))]
    sizes = [int(d * s) for d, s in zip(x.shape, scales, strict=True)]
    mode = node.attr("mode", "nearest")
    sampling = Sampling(mode, "asymmetric", nearest="floor")
    return resample(ctx, x, list(range(x.rank)), sizes, scales, sampling)


# -- padding ---------------------------------------------------------------------------------------


@reads("Pad")
def pad(ctx: Context, node: Call) -> Value:
    """Constant, reflect, edge or wrap; negative amounts cut off."""
    x = node.input(0)
    flat = node.ints("pads", 1, 11) or []
    axes = list(range(x.rank))
    if node.opset >= 18 and node.optional(3) is not None:
        axes = [normal_axis(a, x.rank) for a in node.known_ints(3, "axes")]
    pads = [(0, 0)] * x.rank
    for i, axis in enumerate(axes):
        pads[axis] = (flat[i], flat[i + len(axes)])
    for axis, (before, after) in enumerate(pads):
        cut = max(-before, 0), max(-after, 0)
        x = ctx.slice(x, axis, cut[0], x.shape[axis] - sum(cut))
    grown = [(max(before, 0), max(after, 0)) for before, after in pads]
    return _grow(ctx, node, x, grown)


def _grow(ctx: Context, node: Call, x: Value, pads: list[tuple[int, int]]) -> Value:
    mode = node.attr("mode", "constant")
    if mode == "constant":
        return ctx.pad(x, pads, _fill(node))
    if mode == "reflect" and all(max(p) < d for p, d in zip(pads, x.shape, strict=True)):
        return ctx.pad(x, pads, mode="reflect")
    if mode not in ("reflect", "edge", "wrap"):
        raise Refused(f"padding mode {mode!r}")
    for axis, (before, after) in enumerate(pads):
        if before + after > LARGEST_CONSTANT_BYTES // 8:
            raise ValueError(f"padding by {before} and {after}")
        if before or after:
            line = np.pad(np.arange(x.shape[axis]), (before, after), mode=mode)
            x = ctx.emit("Gather", x, ctx.const(line.astype(np.int64)), axis=axis)
    return x


def _fill(node: Call) -> float:
    if node.opset < 11:
        return float(node.attr("value", 0.0))
    value = node.optional(2)
    if value is None or not value.size:
        return 0.0
    return float(node.known(2, "padding value").reshape(-1)[0])


@reads("CenterCropPad")
def center_crop_pad(ctx: Context, node: Call) -> Value:
    """Cropped or zero-padded around the centre to a shape."""
    x, target = node.input(0), node.known_ints(1, "shape")
    axes = node.attr("axes") or range(x.rank)
    pads = [(0, 0)] * x.rank
    for axis, size in zip((normal_axis(a, x.rank) for a in axes), target, strict=True):
        gap = size - x.shape[axis]
        if gap < 0:
            x = ctx.slice(x, axis, -gap // 2, size)
        else:
            pads[axis] = (gap // 2, gap - gap // 2)
    return ctx.pad(x, pads)


# -- triangles -------------------------------------------------------------------------------------


@reads("Trilu")
def trilu(ctx: Context, node: Call) -> Value:
    """The upper or lower triangle of the last two dimensions, zero elsewhere."""
    x = node.input(0)
    k = 0 if node.optional(1) is None else node.known_ints(1, "diagonal")[0]
    ones: Array = np.ones(x.shape[-2:], np.bool_)
    mask = np.triu(ones, k) if node.attr("upper", 1) else np.tril(ones, k)
    return ctx.emit("Where", ctx.const(mask), x, 0)
