"""Gathering and scattering by index tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads
from edgepack.readers.torch.shape import as_index


@reads("aten.index_select")
def index_select(call: Call) -> Value:
    """Gather along one dimension."""
    x, axis = call.value("self"), call.axis()
    index = as_index(call, call["index"], x.shape[axis])
    return call.reshape(call.emit("Gather", x, index, axis=axis), call.shape)


@reads("aten.index")
def index(call: Call) -> Value:
    """Gather for one index tensor, GatherNd for several that stand side by side."""
    x = call.value("self")
    items = {i: item for i, item in enumerate(call["indices"]) if item is not None}
    axes = sorted(items)
    if len(axes) == 1:
        axis = axes[0]
        picked = as_index(call, items[axis], x.shape[axis])
        return call.emit("Gather", x, picked, axis=axis)
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise Refused("index tensors with whole dimensions between them have no equivalent")
    return _gather_nd(call, x, axes, [as_index(call, items[a], x.shape[a]) for a in axes])


def _gather_nd(call: Call, x: Value, axes: Sequence[int], picked: Sequence[Value]) -> Value:
    """x indexed on `axes`: these go to the front, and their result back to where they were."""
    first, count = axes[0], len(axes)
    wide = np.broadcast_shapes(*(p.shape for p in picked))
    front = call.transpose(x, [*axes, *range(first), *range(axes[-1] + 1, x.rank)])
    columns = [call.reshape(call.broadcast(p, wide), (*wide, 1)) for p in picked]
    y = call.emit("GatherNd", front, _joined(call, columns))
    lead, rest = len(wide), x.rank - count
    perm = [*range(lead, lead + first), *range(lead), *range(lead + first, lead + rest)]
    return call.transpose(y, perm)


def _joined(call: Call, columns: Sequence[Value]) -> Value:
    same = [call.cast(c, DType.INT64) for c in columns]
    return call.concat(same, same[0].rank - 1)


@reads("aten.gather")
def gather(call: Call) -> Value:
    """One element per index, in its own row of every other dimension: GatherNd."""
    x, axis = call.value("self"), call.axis()
    picked = as_index(call, call["index"], x.shape[axis])
    return call.emit("GatherNd", x, _coordinates(call, picked, axis))


def _coordinates(call: Call, picked: Value, axis: int) -> Value:
    """[..., rank]: where each index of a gather or scatter along `axis` points."""
    grid = np.indices(picked.shape)
    columns = [
        call.reshape(picked, (*picked.shape, 1))
        if i == axis
        else call.const(grid[i][..., None].astype(np.int64), name="index")
        for i in range(picked.rank)
    ]
    return _joined(call, columns)


@reads("aten.scatter", "aten.scatter_add")
def scatter(call: Call) -> Value:
    """Values at indices: their sum into zeros by ScatterNd, with what stood there masked out.

    Indices that meet are added up, which torch leaves open for `scatter` itself.
    """
    x, axis = call.value("self"), call.axis()
    picked = as_index(call, call["index"], x.shape[axis])
    if call.get("reduce") is not None:
        raise Refused("a scatter that multiplies has no equivalent")
    where = _coordinates(call, picked, axis)
    updates = _updates(call, picked)
    added = call.emit("ScatterNd", where, updates, shape=x.shape)
    if "scatter_add" in call.target:
        return call.emit("Add", x, added)
    ones = call.const(np.ones(picked.shape, np.float32), name="ones")
    hit = call.emit("ScatterNd", where, ones, shape=x.shape)
    return call.emit("Where", call.emit("Greater", hit, 0.5), added, x)


def _updates(call: Call, picked: Value) -> Value:
    if call.get("src") is None:
        return call.const(np.full(picked.shape, call["value"], call.dtype.numpy), name="value")
    src = call.value("src", call.dtype)
    for axis, size in enumerate(picked.shape):
        src = call.slice(src, axis, 0, size)
    return src


@reads("aten.index_put")
def index_put(call: Call) -> Value:
    """Values at constant indices of the first dimensions."""
    x, values = call.value("self"), call.value("values", call.dtype)
    items = list(call["indices"])
    if any(item is None for item in items):
        raise Refused("writing to whole dimensions by an index tensor has no equivalent")
    picked = [as_index(call, item, x.shape[i]) for i, item in enumerate(items)]
    wide = np.broadcast_shapes(*(p.shape for p in picked))
    where = _joined(call, [call.reshape(call.broadcast(p, wide), (*wide, 1)) for p in picked])
    shape = (*wide, *x.shape[len(items) :])
    added = call.emit("ScatterNd", where, call.broadcast(values, shape), shape=x.shape)
    if call.get("accumulate", False):
        return call.emit("Add", x, added)
    ones = call.const(np.ones(shape, np.float32), name="ones")
    hit = call.emit("ScatterNd", where, ones, shape=x.shape)
    return call.emit("Where", call.emit("Greater", hit, 0.5), added, x)


@reads("aten.one_hot")
def one_hot(call: Call) -> Value:
    """OneHot; the number of classes must be given."""
    return call.emit("OneHot", call.value("self"), depth=call.shape[-1], on=1, off=0, to="int64")


@reads("aten.meshgrid")
def meshgrid(call: Call) -> Sequence[Value]:
    """Each vector along its own dimension."""
    vectors = [call.as_value(v) for v in call["tensors"]]
    swap = call.get("indexing", "ij") == "xy" and len(vectors) > 1
    result = []
    for i, vector in enumerate(vectors):
        place = {0: 1, 1: 0}.get(i, i) if swap else i
        shape = [1] * len(vectors)
        shape[place] = vector.size
        result.append(call.broadcast(call.reshape(vector, shape), call.shape))
    return result
