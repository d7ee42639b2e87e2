"""Rows of slicing, gathering, and operators that find or make indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.registry import OpView, reads
from edgepack.readers.tflite.shape import axis_of


@reads("SLICE")
def slice_(op: OpView) -> Value:
    """SLICE: size -1 means to the end."""
    x, begin, size = op.input(0), op.ints(1), op.ints(2)
    sizes = tuple(d - b if s == -1 else s for d, b, s in zip(x.shape, begin, size, strict=True))
    return op.emit("Slice", x, begin=begin, size=sizes, stride=(1,) * x.rank)


@reads("STRIDED_SLICE")
def strided_slice(op: OpView) -> Value:
    """STRIDED_SLICE as Slice, and Reshape where dimensions appear or vanish."""
    x = op.input(0)
    plan = _SlicePlan(x.shape)
    plan.fill(op.ints(1), op.ints(2), op.ints(3), op.options("StridedSliceOptions"))
    attrs = {"begin": plan.begin, "size": plan.size, "stride": plan.stride}
    if plan.shape == plan.size:
        return op.emit("Slice", x, **attrs)
    if tuple(plan.size) != x.shape:
        x = op.emit("Slice", x, **attrs)
    return op.emit("Reshape", x, shape=plan.shape)


class _SlicePlan:
    """(begin, size, stride) for each dimension of the input, and the shape that comes out."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims = dims
        self.begin: list[int] = []
        self.size: list[int] = []
        self.stride: list[int] = []
        self.shape: list[int] = []

    def fill(
        self, starts: tuple[int, ...], ends: tuple[int, ...], steps: tuple[int, ...], options: Any
    ) -> None:
        """Walk the specification; bit i of a mask speaks of its entry i."""
        if not len(starts) == len(ends) == len(steps) or 0 in steps:
            raise BadModel(f"begin {starts}, end {ends} and stride {steps} do not go together")
        count = len(starts)
        special = [(options.newAxisMask | options.ellipsisMask) >> i & 1 for i in range(count)]
        skipped = len(self.dims) - (count - sum(special))
        if skipped < 0:
            raise BadModel(f"{count} slices for rank {len(self.dims)}")
        for i, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
            if options.ellipsisMask >> i & 1:
                self._whole(skipped)
                skipped = 0
            elif options.newAxisMask >> i & 1:
                self.shape.append(1)
            elif options.shrinkAxisMask >> i & 1:
                dim = self.dims[len(self.begin)]
                self._take(start + (dim if start < 0 else 0), 1, 1)
            else:
                stop = start + end if options.offset else end
                first = None if options.beginMask >> i & 1 else start
                self._span(slice(first, None if options.endMask >> i & 1 else stop, step))
        self._whole(skipped)

    def _take(self, begin: int, size: int, stride: int) -> None:
        self.begin.append(begin)
        self.size.append(size)
        self.stride.append(stride)

    def _span(self, part: slice) -> None:
        chosen = range(self.dims[len(self.begin)])[part]
        self._take(chosen.start if chosen else 0, len(chosen), part.step)
        self.shape.append(len(chosen))

    def _whole(self, count: int) -> None:
        for _ in range(count):
            self._span(slice(None, None, 1))


@reads("GATHER")
def gather(op: OpView) -> Value:
    """GATHER."""
    x, options = op.input(0), op.options("GatherOptions")
    axis = axis_of(options.axis, x.rank)
    return op.emit("Gather", x, op.input(1), axis=axis, batch_dims=options.batchDims)


@reads("EMBEDDING_LOOKUP")
def embedding_lookup(op: OpView) -> Value:
    """EMBEDDING_LOOKUP: rows of the second input."""
    table = op.input(1)
    if table.quant is not None:
        raise Refused("its table is quantized")
    return op.emit("Gather", table, op.input(0))


@reads("GATHER_ND")
def gather_nd(op: OpView) -> Value:
    """GATHER_ND."""
    return op.emit("GatherNd", op.input(0), op.input(1))


@reads("SCATTER_ND")
def scatter_nd(op: OpView) -> Value:
    """SCATTER_ND into zeros of a constant shape."""
    return op.emit("ScatterNd", op.input(0), op.input(1), shape=op.ints(2))


@reads("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(op: OpView) -> Value:
    """DYNAMIC_UPDATE_SLICE."""
    return op.emit("DynamicUpdateSlice", *op.all_inputs())


@reads("ONE_HOT")
def one_hot(op: OpView) -> Value:
    """ONE_HOT with constant depth and values."""
    on, off = op.array(2), op.array(3)
    return op.emit(
        "OneHot", op.input(0), depth=op.ints(1)[0], axis=op.options("OneHotOptions").axis,
        on=float(on.item()), off=float(off.item()), to=str(op.input(2).dtype),
    )  # fmt: skip


@reads("ARG_MAX", "ARG_MIN")
def arg_reduction(op: OpView) -> Value:
    """ARG_MAX and ARG_MIN."""
    x = op.input(0)
    name = "ArgMax" if op.builtin == "ARG_MAX" else "ArgMin"
    return op.emit(name, x, axis=axis_of(op.ints(1)[0], x.rank), to=str(op.outputs[0].dtype))


@reads("TOPK_V2")
def top_k(op: OpView) -> Sequence[Value]:
    """TOPK_V2 along the last axis."""
    return op.emit_multi("TopK", op.input(0), k=op.ints(1)[0])


@reads("CUMSUM")
def cumsum(op: OpView) -> Value:
    """CUMSUM."""
    x, options = op.input(0), op.options("CumsumOptions")
    return op.emit(
        "CumSum", x, axis=axis_of(op.ints(1)[0], x.rank), exclusive=bool(options.exclusive),
        reverse=bool(options.reverse),
    )  # fmt: skip
