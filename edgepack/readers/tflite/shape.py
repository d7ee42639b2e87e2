"""Rows of operators that move elements without computing, and of reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.schema import tflite as fmt


def axis_of(axis: int, rank: int) -> int:
    """`axis` counted from the front. Raises BadModel when out of range."""
    if not -rank <= axis < rank:
        raise BadModel(f"axis {axis} is out of range for rank {rank}")
    return axis % rank


@reads("RESHAPE")
def reshape(op: OpView) -> Value:
    """RESHAPE to the shape in its second input, else in its options, else of its output."""
    x = op.input(0)
    return op.emit("Reshape", x, shape=_fitting(op, x, _wanted(op)))


def _wanted(op: OpView) -> tuple[int, ...]:
    if op.input_count > 1 and op.input(1).is_const:
        return op.ints(1)
    options = op.options("ReshapeOptions").newShape
    if op.input_count > 1 or options is None:
        return op.outputs[0].shape
    return tuple(int(d) for d in options)


def _fitting(op: OpView, x: Value, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """`wanted` with its -1 resolved; the batch follows the input when that was resized."""
    if wanted.count(-1) > 1 or any(d < -1 for d in wanted):
        raise BadModel(f"the target shape {wanted} is ambiguous")
    size = x.size
    known = math.prod([d for d in wanted if d != -1])
    if -1 in wanted and known:
        return tuple(size // known if d == -1 else d for d in wanted)
    rest = math.prod(list(wanted[1:]))
    if op.resized and known != size and wanted and rest:
        return (size // rest, *wanted[1:])
    return wanted


@reads("SQUEEZE", "EXPAND_DIMS")
def same_elements(op: OpView) -> Value:
    """SQUEEZE and EXPAND_DIMS as Reshape."""
    x = op.input(0)
    if op.builtin == "EXPAND_DIMS":
        axis = axis_of(op.ints(1)[0], x.rank + 1)
        shape: tuple[int, ...] = (*x.shape[:axis], 1, *x.shape[axis:])
    else:
        given = op.options("SqueezeOptions").squeezeDims
        axes = {axis_of(int(a), x.rank) for a in (() if given is None else given)}
        axes = axes or {i for i, d in enumerate(x.shape) if d == 1}
        if any(x.shape[a] != 1 for a in axes):
            raise BadModel(f"dimensions {sorted(axes)} of {list(x.shape)} are not all 1")
        shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    return op.emit("Reshape", x, shape=shape)


@reads("TRANSPOSE")
def transpose(op: OpView) -> Value:
    """TRANSPOSE."""
    x, perm = op.input(0), op.ints(1)
    perm = tuple(axis_of(p, x.rank) for p in perm)
    if sorted(perm) != list(range(x.rank)):
        raise BadModel(f"{perm} is no permutation of {x.rank} dimensions")
    return op.emit("Transpose", x, perm=perm)


@reads("CONCATENATION")
def concatenation(op: OpView) -> Value:
    """CONCATENATION."""
    options = op.options("ConcatenationOptions")
    if op.activation(options.fusedActivationFunction) != "none":
        raise Refused("it has a fused activation")
    values = op.all_inputs()
    return op.emit("Concat", *values, axis=axis_of(options.axis, op.input(0).rank))


@reads("PACK")
def pack(op: OpView) -> Value:
    """PACK: a new dimension along which the inputs lie."""
    values, first = op.all_inputs(), op.input(0)
    axis = axis_of(op.options("PackOptions").axis, first.rank + 1)
    if all(v.is_const for v in values):
        return op.const(np.stack([v.const for v in values], axis))
    return op.stack(values, axis)


@reads("UNPACK")
def unpack(op: OpView) -> Sequence[Value]:
    """UNPACK: the slices along a dimension, without it."""
    x = op.input(0)
    axis = axis_of(op.options("UnpackOptions").axis, x.rank)
    if x.shape[axis] != len(op.outputs):
        raise BadModel(f"{len(op.outputs)} outputs for {x.shape[axis]} slices")
    return op.unstack(x, axis)


@reads("SPLIT", "SPLIT_V")
def split(op: OpView) -> Sequence[Value]:
    """SPLIT into equal parts, SPLIT_V into parts of given sizes."""
    if op.builtin == "SPLIT":
        x, axis_index = op.input(1), 0
    else:
        x, axis_index = op.input(0), 2
    axis = axis_of(op.ints(axis_index)[0], x.rank)
    count = len(op.outputs)
    sizes = op.ints(1) if op.builtin == "SPLIT_V" else (x.shape[axis] // count,) * count
    rest = x.shape[axis] - sum(s for s in sizes if s >= 0)
    return op.emit_multi("Split", x, axis=axis, sizes=tuple(rest if s < 0 else s for s in sizes))


@reads("PAD", "PADV2", "MIRROR_PAD")
def pad(op: OpView) -> Value:
    """PAD with zeros, PADV2 with a value, MIRROR_PAD."""
    x, flat = op.input(0), op.ints(1)
    pads = tuple(zip(flat[::2], flat[1::2], strict=True))
    if len(pads) != x.rank or any(n < 0 for n in flat):
        raise BadModel(f"pads {pads} do not suit {list(x.shape)}")
    mode, value = "constant", 0.0
    if op.builtin == "MIRROR_PAD":
        codes = fmt.schema().MirrorPadMode
        symmetric = op.options("MirrorPadOptions").mode == codes.SYMMETRIC
        mode = "symmetric" if symmetric else "reflect"
    elif op.builtin == "PADV2":
        constant = op.input(2)
        value = float(np.asarray(op.array(2) if constant.quant is None else constant.real).item())
    return op.emit("Pad", x, pads=pads, mode=mode, value=value)


@reads("TILE")
def tile(op: OpView) -> Value:
    """TILE."""
    return op.emit("Tile", op.input(0), multiples=op.ints(1))


@reads("BROADCAST_TO")
def broadcast_to(op: OpView) -> Value:
    """BROADCAST_TO."""
    return op.emit("BroadcastTo", op.input(0), shape=op.ints(1))


@reads("REVERSE_V2")
def reverse(op: OpView) -> Value:
    """REVERSE_V2."""
    x = op.input(0)
    return op.emit("Reverse", x, axes=tuple(axis_of(a, x.rank) for a in op.ints(1)))


@reads("SHAPE", "RANK")
def shape_of(op: OpView) -> Value:
    """SHAPE and RANK are known while reading, as every shape is."""
    x = op.input(0)
    dtype = np.int64 if op.outputs[0].type_name == "INT64" else np.int32
    return op.const(np.array(x.shape if op.builtin == "SHAPE" else x.rank, dtype))


@reads("ZEROS_LIKE")
def zeros_like(op: OpView) -> Value:
    """ZEROS_LIKE as a constant."""
    x = op.input(0)
    return op.const(np.zeros(x.shape, x.dtype.numpy))


@reads("FILL")
def fill(op: OpView) -> Value:
    """FILL of constants as a constant, else BroadcastTo."""
    value, shape = op.input(1), op.ints(0)
    if value.is_const and math.prod(shape) <= 2**24:
        return op.const(np.full(shape, value.const.item(), value.dtype.numpy))
    return op.emit("BroadcastTo", value, shape=shape)


@reads("RANGE")
def range_(op: OpView) -> Value:
    """RANGE of constants."""
    start, limit, step = (op.array(i).item() for i in range(3))
    if not step or (limit - start) / step > 2**24:
        raise BadModel(f"the range from {start} to {limit} by {step} is not sensible")
    return op.const(np.arange(start, limit, step).astype(op.input(0).dtype.numpy))


_REDUCE: Final = {
    "MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin", "REDUCE_PROD": "ReduceProd", "REDUCE_ANY": "ReduceAny",
    "REDUCE_ALL": "ReduceAll",
}  # fmt: skip


@reads(*_REDUCE)
def reduction(op: OpView) -> Value:
    """MEAN, SUM and their kin."""
    x = op.input(0)
    axes = tuple(sorted({axis_of(a, x.rank) for a in op.ints(1)}))
    keepdims = bool(op.options("ReducerOptions").keepDims)
    return op.emit(_REDUCE[op.builtin], x, axes=axes, keepdims=keepdims)
