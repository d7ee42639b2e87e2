"""Building IR nodes for one operator of a source format, named after the layer it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Graph, Value


class Refused(Exception):
    """A known operator is used in a way that has no equivalent; the message is the reason."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(slots=True)
class Emitter:
    """Adds nodes to `graph`; they are called `stem`, made unique."""

    graph: Graph
    stem: str

    def number(self, number: float | int | bool, dtype: DType | None = None) -> Value:
        """A scalar constant; float32 or int64 unless `dtype` says otherwise."""
        kind = dtype or (DType.FLOAT32 if isinstance(number, float) else DType.INT64)
        return self.graph.constant(np.asarray(number, kind.numpy), f"{self.stem}.const")

    def const(self, array: Array, dtype: DType | None = None, name: str = "const") -> Value:
        """A constant of this call, called after the layer it belongs to."""
        data = np.ascontiguousarray(array, None if dtype is None else dtype.numpy)
        return self.graph.constant(data.reshape(np.shape(array)), f"{self.stem}.{name}")

    # -- building --------------------------------------------------------------------------------

    def emit(self, op: str, *inputs: Value | None, **attrs: Any) -> Value:
        """A node with one output, called after the layer; the graph makes the name unique."""
        return self.emit_multi(op, *inputs, **attrs)[0]

    def emit_multi(self, op: str, *inputs: Value | None, **attrs: Any) -> tuple[Value, ...]:
        """A node with several outputs."""
        values = self.graph.add_multi(op, inputs, attrs, name=self.stem)
        if values[0].producer is not None:
            values[0].producer.name = values[0].name
        return values

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` in another shape; nothing is added when it has that shape."""
        wanted = tuple(int(d) for d in shape)
        return x if x.shape == wanted else self.emit("Reshape", x, shape=wanted)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """`x` with its dimensions in another order; nothing is added for the same order."""
        order = tuple(perm)
        return x if order == tuple(range(x.rank)) else self.emit("Transpose", x, perm=order)

    def cast(self, x: Value, dtype: DType) -> Value:
        """`x` as `dtype`; nothing is added when it is."""
        return x if x.dtype is dtype else self.emit("Cast", x, to=dtype)

    def broadcast(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` repeated to `shape`; nothing is added when it has that shape."""
        wanted = tuple(int(d) for d in shape)
        return x if x.shape == wanted else self.emit("BroadcastTo", x, shape=wanted)

    def slice(self, x: Value, axis: int, begin: int, size: int, stride: int = 1) -> Value:
        """`size` elements of one dimension; nothing is added when that is all of them."""
        if (begin, size, stride) == (0, x.shape[axis], 1):
            return x
        begins, sizes, strides = [0] * x.rank, list(x.shape), [1] * x.rank
        begins[axis], sizes[axis], strides[axis] = begin, size, stride
        return self.emit("Slice", x, begin=begins, size=sizes, stride=strides)
