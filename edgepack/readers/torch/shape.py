"""Operators that rearrange elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads


def _source(call: Call) -> Value:
    return call.value("self" if "self" in call.arguments else "input")


@reads("aten.view", "aten.reshape", "aten._unsafe_view", "aten.flatten", "aten.unflatten",
       "aten.squeeze", "aten.unsqueeze", "aten.squeeze_copy", "aten.unsqueeze_copy",
       "aten.view_copy", "aten._reshape_copy", "aten.reshape_as", "aten.view_as", "aten.ravel",
       "aten._reshape_alias")  # fmt: skip
def reshape(call: Call) -> Value:
    """Reshape to the shape torch found."""
    if "dtype" in call.arguments:
        raise Refused("looking at the bits of a tensor as another type has no equivalent")
    return call.reshape(_source(call), call.shape)


@reads("aten.permute", "aten.permute_copy")
def permute(call: Call) -> Value:
    """Transpose."""
    x = call.value("self")
    return call.transpose(x, [int(d) % x.rank for d in call["dims"]])


@reads("aten.transpose", "aten.swapaxes", "aten.swapdims", "aten.transpose_copy")
def transpose(call: Call) -> Value:
    """Two dimensions change places."""
    x = call.value("self")
    names = list(call.arguments)[1:3]
    first, second = (int(call[name]) % x.rank for name in names)
    perm = list(range(x.rank))
    perm[first], perm[second] = second, first
    return call.transpose(x, perm)


@reads("aten.t", "aten.numpy_T", "aten.mT", "aten.adjoint", "aten.t_copy")
def matrix_transpose(call: Call) -> Value:
    """The last two dimensions (numpy_T: all of them) reversed."""
    x = call.value("self")
    if "numpy_T" in call.target or x.rank < 2:
        return call.transpose(x, range(x.rank)[::-1])
    return call.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2])


@reads("aten.movedim", "aten.moveaxis")
def movedim(call: Call) -> Value:
    """Dimensions moved to other places."""
    x = call.value("self")
    source, target = (_list(call[name], x.rank) for name in ("source", "destination"))
    rest = iter(d for d in range(x.rank) if d not in source)
    places = dict(zip(target, source, strict=True))
    return call.transpose(x, [places[i] if i in places else next(rest) for i in range(x.rank)])


def _list(dims: int | Sequence[int], rank: int) -> list[int]:
    return [d % rank for d in ([dims] if isinstance(dims, int) else dims)]


@reads("aten.expand", "aten.expand_as", "aten.broadcast_to", "aten.expand_copy")
def expand(call: Call) -> Value:
    """BroadcastTo; a Reshape where only dimensions of 1 are added."""
    x = call.value("self")
    if x.size == call.specs[0].size:
        return call.reshape(x, call.shape)
    return call.broadcast(x, call.shape)


@reads("aten.repeat", "aten.tile")
def repeat(call: Call) -> Value:
    """Tile."""
    x = call.value("self")
    multiples = tuple(call["repeats" if "repeats" in call.arguments else "dims"])
    rank = max(x.rank, len(multiples))
    multiples = (1,) * (rank - len(multiples)) + multiples
    x = call.reshape(x, (1,) * (rank - x.rank) + x.shape)
    return x if set(multiples) <= {1} else call.emit("Tile", x, multiples=multiples)


@reads("aten.repeat_interleave")
def repeat_interleave(call: Call) -> Value:
    """Every element several times."""
    x, times = call.value("self"), call["repeats"]
    if not isinstance(times, int):
        raise Refused("repeating every element a different number of times has no equivalent")
    if call.get("dim") is None:
        x, axis = call.reshape(x, (x.size,)), 0
    else:
        axis = call.axis()
    wide = call.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    wide = call.broadcast(wide, (*x.shape[: axis + 1], times, *x.shape[axis + 1 :]))
    return call.reshape(wide, call.shape)


@reads("aten.cat", "aten.concat", "aten.concatenate")
def cat(call: Call) -> Value:
    """Concat; torch lets empty tensors of rank 1 take part."""
    parts = [v for v in call.values("tensors") if v.size]
    return call.concat(parts, int(call.get("dim", 0)) % len(call.shape))


@reads("aten.stack")
def stack(call: Call) -> Value:
    """Concat along a new dimension."""
    axis = int(call.get("dim", 0)) % len(call.shape)
    return call.stack(call.values("tensors"), axis)


@reads("aten.hstack", "aten.vstack", "aten.dstack")
def joined(call: Call) -> Value:
    """Concat along a dimension that the name says, after adding those that lack."""
    kind = call.target.split(".")[1][0]
    least = {"h": 1, "v": 2, "d": 3}[kind]
    parts = []
    for x in call.values("tensors"):
        shape = x.shape
        if len(shape) < least:
            shape = {1: shape or (1,), 2: (1, *(shape or (1,)))}.get(
                least, (1, *(shape or (1,)), 1) if len(shape) < 2 else (*shape, 1)
            )
        parts.append(call.reshape(x, shape))
    axis = {"h": 0 if parts[0].rank == 1 else 1, "v": 0, "d": 2}[kind]
    return call.concat(parts, axis)


@reads("aten.split", "aten.split_with_sizes", "aten.chunk", "aten.tensor_split",
       "aten.split_copy", "aten.split_with_sizes_copy")  # fmt: skip
def split(call: Call) -> Sequence[Value]:
    """Split into the sizes torch found."""
    x, axis = call.value("self"), int(call.get("dim", 0)) % call.value("self").rank
    return call.split(x, axis, [spec.shape[axis] for spec in call.specs])


@reads("aten.unbind", "aten.unbind_copy")
def unbind(call: Call) -> Sequence[Value]:
    """Split into slices of one, without their dimension."""
    x = call.value("self")
    return call.unstack(x, int(call.get("dim", 0)) % x.rank)


@reads("aten.slice", "aten.narrow", "aten.slice_copy")
def slice_(call: Call) -> Value:
    """Slice of one dimension; torch never steps backwards."""
    x, axis = call.value("self"), int(call.get("dim", 0)) % call.value("self").rank
    begin = int(call.get("start", 0))
    begin = min(max(begin + x.shape[axis] if begin < 0 else begin, 0), x.shape[axis])
    step = 1 if "narrow" in call.target else int(call.get("step", 1))
    return call.slice(x, axis, begin, call.shape[axis], step)


@reads("aten.select", "aten.select_copy")
def select(call: Call) -> Value:
    """One slice, without its dimension."""
    x, axis = call.value("self"), call.axis()
    index = call["index"]
    if not isinstance(index, int):
        raise Refused("a selection that is computed at run time has no equivalent")
    return call.reshape(call.slice(x, axis, index % x.shape[axis], 1), call.shape)


@reads("aten.select_scatter", "aten.slice_scatter")
def scatter_slice(call: Call) -> Value:
    """`src` in the place of a slice: Concat of what is before, `src`, and what is after."""
    x, src = call.value("self"), call.value("src", call.dtype)
    axis = int(call.get("dim", 0)) % x.rank
    length = x.shape[axis]
    begin = int(call.get("index" if "select" in call.target else "start", 0))
    begin = min(max(begin + length if begin < 0 else begin, 0), length)
    if int(call.get("step", 1)) != 1:
        raise Refused("writing to every other element has no equivalent")
    if "select" in call.target:
        src = call.reshape(src, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    end = begin + src.shape[axis]
    parts = [] if begin == 0 else [call.slice(x, axis, 0, begin)]
    parts.append(src)
    parts += [] if end == length else [call.slice(x, axis, end, length - end)]
    return call.concat(parts, axis)


@reads("aten.copy")
def copy(call: Call) -> Value:
    """`src` in the shape and type of `self`."""
    return call.broadcast(call.value("src", call.dtype), call.shape)


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@reads("aten.pad", "aten.constant_pad_nd", "aten.reflection_pad1d", "aten.reflection_pad2d",
       "aten.replication_pad1d", "aten.replication_pad2d")  # fmt: skip
def pad(call: Call) -> Value:
    """Pad; torch counts from the last dimension, and negative padding cuts."""
    x = call.value("self")
    mode = _pad_mode(call)
    given = [int(p) for p in call["pad" if "pad" in call.arguments else "padding"]]
    pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]
    pads = [(0, 0)] * (x.rank - len(pairs)) + pairs
    if mode == "circular":
        return _circular(call, x, pads)
    for axis, (before, after) in enumerate(pads):
        cut = x.shape[axis] + min(before, 0) + min(after, 0)
        x = call.slice(x, axis, max(-before, 0), cut)
    pads = [(max(a, 0), max(b, 0)) for a, b in pads]
    return call.pad(x, pads, float(call.get("value", 0)), _PAD_MODES[mode])


def _pad_mode(call: Call) -> str:
    name = call.target.split(".")[1]
    fixed = {"r": "reflect", "c": "constant"}
    if name == "pad":
        return str(call.get("mode", "constant"))
    return "replicate" if name.startswith("replication") else fixed[name[0]]


def _circular(call: Call, x: Value, pads: Sequence[tuple[int, int]]) -> Value:
    for axis, (before, after) in enumerate(pads):
        size = x.shape[axis]
        parts = [call.slice(x, axis, size - before, before)] if before else []
        parts.append(x)
        parts += [call.slice(x, axis, 0, after)] if after else []
        x = call.concat(parts, axis)
    return x


@reads("aten.roll")
def roll(call: Call) -> Value:
    """Rolled by constant shifts: Concat of two slices per dimension."""
    x = call.value("self")
    dims = call.get("dims", ())
    shifts = [call["shifts"]] if isinstance(call["shifts"], int) else list(call["shifts"])
    flat = call.reshape(x, (x.size,)) if not dims else x
    for shift, dim in zip(shifts, _list(dims, x.rank) if dims else [0], strict=True):
        flat = call.roll(flat, dim, shift)
    return call.reshape(flat, call.shape)


@reads("aten.flip")
def flip(call: Call) -> Value:
    """Reverse."""
    x = call.value("self")
    return call.emit("Reverse", x, axes=[int(d) % x.rank for d in call["dims"]])


@reads("aten.unfold")
def unfold(call: Call) -> Value:
    """Overlapping windows along a dimension, by a Gather; the window becomes the last one."""
    x, axis = call.value("self"), call.axis("dimension")
    size, step = int(call["size"]), int(call["step"])
    starts = np.arange(0, x.shape[axis] - size + 1, step)
    index = (starts[:, None] + np.arange(size)).astype(np.int32)
    y = call.emit("Gather", x, call.const(index, name="index"), axis=axis)
    perm = [*range(axis + 1), *range(axis + 2, y.rank), axis + 1]
    return call.transpose(y, perm)


def as_index(call: Call, item: Any, size: int) -> Value:
    """An index tensor with negative entries counted from the front, where it is constant."""
    index = call.as_value(item)
    if index.dtype is DType.BOOL:
        raise Refused("a mask as an index makes a shape that is known only at run time")
    if index.is_const:
        data = np.where(index.const < 0, index.const + size, index.const)
        return call.const(data, index.dtype, name="index")
    return index
