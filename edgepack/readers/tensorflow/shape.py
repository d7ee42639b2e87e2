"""Operators that rearrange elements; shapes themselves are constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.call import Call, Const, Item
from edgepack.readers.tensorflow.registry import reads


@reads("Shape", "ShapeN", "Size", "Rank")
def shape_(call: Call) -> Any:
    """Known as soon as the input's shape is."""
    kind = str(call.attrs.get("out_type", "int32"))
    shapes = [call.shape_of(i) for i in range(len(call.inputs))]
    if call.op == "Size":
        return Const(np.asarray(np.prod(shapes[0], dtype=np.int64), kind))
    if call.op == "Rank":
        return Const(np.asarray(len(shapes[0]), np.int32))
    results = [Const(np.asarray(s, kind)) for s in shapes]
    return results if call.op == "ShapeN" else results[0]


@reads("Reshape")
def reshape(call: Call) -> Value:
    """Reshape; -1 takes what is left."""
    x, wanted = call.value(0), call.ints(1)
    known = int(np.prod([d for d in wanted if d != -1]))
    rest = x.size // known if known else 0
    return call.reshape(x, [rest if d == -1 else d for d in wanted])


@reads("ExpandDims")
def expand_dims(call: Call) -> Value:
    """A dimension of 1 more."""
    x = call.value(0)
    axis = call.ints(1)[0] % (x.rank + 1)
    return call.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


@reads("Squeeze")
def squeeze(call: Call) -> Value:
    """Without dimensions of 1."""
    x = call.value(0)
    given = call.attrs.get("squeeze_dims") or call.attrs.get("axis") or []
    gone = {a % x.rank for a in given} or {i for i, d in enumerate(x.shape) if d == 1}
    return call.reshape(x, [d for i, d in enumerate(x.shape) if i not in gone])


@reads("Transpose")
def transpose(call: Call) -> Value:
    """Transpose."""
    return call.transpose(call.value(0), call.ints(1))


@reads("ConcatV2", "Concat")
def concat(call: Call) -> Value:
    """Concat."""
    items = call.inputs[:-1] if call.op == "ConcatV2" else call.inputs[1:]
    axis = int(call.array(-1 if call.op == "ConcatV2" else 0))
    parts = [v for v in map(call.as_value, items) if v.size] or [call.as_value(items[0])]
    return call.concat(parts, axis % parts[0].rank)


@reads("Pack")
def pack(call: Call) -> Value:
    """Concat along a new dimension."""
    parts = call.values()
    return call.stack(parts, int(call.attrs.get("axis", 0)) % (parts[0].rank + 1))


@reads("Unpack")
def unpack(call: Call) -> Sequence[Value]:
    """Slices of one, without their dimension."""
    x = call.value(0)
    return call.unstack(x, int(call.attrs.get("axis", 0)) % x.rank)


@reads("Split", "SplitV")
def split(call: Call) -> Sequence[Value]:
    """Split into equal parts, or parts of the given sizes."""
    x = call.value(1 if call.op == "Split" else 0)
    axis = call.ints(0 if call.op == "Split" else 2)[0] % x.rank
    count = int(call.attrs["num_split"])
    sizes = [x.shape[axis] // count] * count if call.op == "Split" else call.ints(1)
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    return call.split(x, axis, sizes)


@reads("Slice")
def slice_(call: Call) -> Value:
    """Slice; a size of -1 takes what is left."""
    x, begin, size = call.value(0), call.ints(1), call.ints(2)
    full = [d - b if s == -1 else s for d, b, s in zip(x.shape, begin, size, strict=True)]
    if tuple(full) == x.shape:
        return x
    return call.emit("Slice", x, begin=begin, size=full, stride=[1] * x.rank)


@reads("StridedSlice")
def strided_slice(call: Call) -> Value:
    """numpy's slicing, told by bit masks."""
    x = call.value(0)
    index = _slices(call, x.rank)
    ranges = [range(*s.indices(d)) for s, d in zip(index.slices, x.shape, strict=True)]
    if any(r.step != 1 or len(r) != d for r, d in zip(ranges, x.shape, strict=True)):
        x = call.emit(
            "Slice", x, begin=[r.start if len(r) else 0 for r in ranges],
            size=[len(r) for r in ranges], stride=[r.step for r in ranges],
        )  # fmt: skip
    shape = [1 if d is None else x.shape[d] for d in index.result]
    return call.reshape(x, shape)


class _Index:
    """A slice for each dimension, and which of them (None: a new one) the result has."""

    def __init__(self) -> None:
        self.slices: list[slice] = []
        self.result: list[int | None] = []


def _slices(call: Call, rank: int) -> _Index:
    begin, end, stride = call.ints(1), call.ints(2), call.ints(3)
    masks = {
        name: int(call.attrs.get(f"{name}_mask", 0))
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }

    def has(name: str, i: int) -> bool:
        return bool(masks[name] >> i & 1)

    fixed = sum(not has("ellipsis", i) and not has("new_axis", i) for i in range(len(begin)))
    index = _Index()
    for i in range(len(begin)):
        dim = len(index.slices)
        if has("ellipsis", i):
            index.result += range(dim, dim + rank - fixed)
            index.slices += [slice(None)] * (rank - fixed)
        elif has("new_axis", i):
            index.result.append(None)
        elif has("shrink_axis", i):
            index.slices.append(slice(begin[i], begin[i] + 1 or None))
        else:
            first = None if has("begin", i) else begin[i]
            last = None if has("end", i) else end[i]
            index.result.append(dim)
            index.slices.append(slice(first, last, stride[i]))
    index.result += range(len(index.slices), rank)
    index.slices += [slice(None)] * (rank - len(index.slices))
    return index


@reads("Pad", "PadV2", "MirrorPad")
def pad(call: Call) -> Value:
    """Pad."""
    pads, mode, fill = call.array(1).reshape(-1, 2), "constant", 0.0
    if not pads.any():
        return call.value(0)
    if call.op == "MirrorPad":
        mode = str(call.attrs["mode"]).lower()
    if call.op == "PadV2":
        fill = float(call.array(2))
    return call.emit("Pad", call.value(0), pads=pads, mode=mode, value=fill)


@reads("Tile")
def tile(call: Call) -> Value:
    """Tile."""
    multiples = call.ints(1)
    x = call.value(0)
    return x if set(multiples) <= {1} else call.emit("Tile", x, multiples=multiples)


@reads("BroadcastTo")
def broadcast_to(call: Call) -> Value:
    """BroadcastTo."""
    return call.broadcast(call.value(0), call.ints(1))


@reads("Gather", "GatherV2", "ResourceGather")
def gather(call: Call) -> Value:
    """Gather."""
    axis = call.axis(2) if call.op == "GatherV2" else 0
    batch = int(call.attrs.get("batch_dims", 0))
    indices = call.value(1)
    batch = batch + indices.rank if batch < 0 else batch
    return call.emit("Gather", call.value(0), indices, axis=axis, batch_dims=batch)


@reads("GatherNd")
def gather_nd(call: Call) -> Value:
    """GatherNd."""
    return call.emit("GatherNd", call.value(0), call.value(1))


@reads("ScatterNd")
def scatter_nd(call: Call) -> Value:
    """ScatterNd."""
    return call.emit("ScatterNd", call.value(0), call.value(1), shape=call.ints(2))


@reads("OneHot")
def one_hot(call: Call) -> Value:
    """OneHot."""
    on, off = call.array(2), call.array(3)
    return call.emit(
        "OneHot", call.value(0), depth=call.ints(1)[0], axis=int(call.attrs.get("axis", -1)),
        on=on.item(), off=off.item(), to=on.dtype.name,
    )  # fmt: skip


@reads("ReverseV2")
def reverse(call: Call) -> Value:
    """Reverse."""
    x = call.value(0)
    return call.emit("Reverse", x, axes=[a % x.rank for a in call.ints(1)])


@reads("Roll")
def roll(call: Call) -> Value:
    """Rolled by constant shifts: Concat of two slices per dimension."""
    x = call.value(0)
    for shift, axis in zip(call.ints(1), call.ints(2), strict=True):
        x = call.roll(x, axis % x.rank, shift)
    return x


@reads("Fill")
def fill(call: Call) -> Value:
    """A computed scalar repeated."""
    return call.broadcast(call.value(1), call.ints(0))


@reads("MatrixBandPart")
def matrix_band_part(call: Call) -> Value:
    """A band of the last two dimensions, by a mask."""
    x, below, above = call.value(0), int(call.array(1)), int(call.array(2))
    row, column = np.indices(x.shape[-2:])
    keep = (below < 0) | (row - column <= below)
    keep &= (above < 0) | (column - row <= above)
    return call.emit("Where", call.const(keep), x, 0)


@reads("Range", "LinSpace")
def sequence(call: Call) -> Item:
    """Only constant ones, which are computed before they come here."""
    raise Refused("a sequence whose length is computed at run time has no equivalent")
