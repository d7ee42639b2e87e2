"""One TensorFlow node while it is read: its inputs, its attributes, the building of IR for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Emitter, Refused


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A tensor whose content is known.

    `origin` is the operator and the constants it was computed from: BatchNorm is recognized by it.
    """

    array: Array
    origin: tuple[str, tuple[Const, ...]] | None = None


# What flows between the nodes: a tensor of either kind, or a list of tensors (TensorList).
Item = Value | Const | list[Any] | None

# Half, bfloat16 and double are read as float32: devices compute in that or in integers.
DTYPES = frozenset(dtype.value for dtype in DType)
_WIDE = {"float16": "float32", "bfloat16": "float32", "float64": "float32"}


def dtype_name(name: str) -> str:
    """The IR's name for a TensorFlow or numpy type name."""
    return _WIDE.get(name, name)


def normal(array: Any) -> Array:
    """A numpy array of a type that the IR has. Raises Refused for strings and the like."""
    data = np.asarray(array)
    wanted = dtype_name(data.dtype.name)
    if wanted not in DTYPES:
        raise Refused(f"the type {data.dtype.name} has no equivalent")
    return data.astype(wanted, copy=False)


@dataclass(slots=True)
class Call(Emitter):
    """A node: operator, inputs in order, attributes as Python values, and the number of outputs."""

    op: str
    inputs: Sequence[Item]
    attrs: Mapping[str, Any]
    constants: dict[int, tuple[Const, Value]]

    def item(self, index: int) -> Item:
        """Input `index`, counted from the end when negative."""
        return self.inputs[index]

    def array(self, index: int) -> Array:
        """Constant input `index`. Raises Refused when it is computed."""
        found = self.inputs[index]
        if not isinstance(found, Const):
            raise Refused(f"input {index} is computed at run time and must be a constant")
        return found.array

    def ints(self, index: int) -> list[int]:
        """Constant input `index` as a list of whole numbers."""
        return [int(i) for i in self.array(index).reshape(-1)]

    def value(self, index: int) -> Value:
        """Input `index` as a value."""
        return self.as_value(self.inputs[index])

    def values(self) -> list[Value]:
        """All inputs as values."""
        return [self.as_value(item) for item in self.inputs]

    def as_value(self, item: Item) -> Value:
        """A tensor as a value; a constant keeps its one value wherever it is read."""
        if isinstance(item, Value):
            return item
        if not isinstance(item, Const):
            raise Refused("a list of tensors stands where a tensor is expected")
        if id(item) not in self.constants:
            value = self.graph.constant(item.array, f"{self.stem}.const")
            self.constants[id(item)] = (item, value)
        return self.constants[id(item)][1]

    def shape_of(self, index: int) -> tuple[int, ...]:
        """Shape of input `index`."""
        found = self.inputs[index]
        return tuple(found.array.shape) if isinstance(found, Const) else self.value(index).shape

    def axis(self, index: int, of: int = 0) -> int:
        """Constant input `index` as a dimension of input `of`, counted from the front."""
        return int(self.array(index).reshape(-1)[0]) % max(len(self.shape_of(of)), 1)

    @property
    def layout(self) -> str:
        """NHWC or NCHW, as `data_format` says."""
        return str(self.attrs.get("data_format") or "NHWC")
