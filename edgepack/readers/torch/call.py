"""One ATen call while it is read: its arguments by name, and the building of IR nodes for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Value
from edgepack.readers.emitter import Emitter, Refused

# Half, bfloat16 and double are read as float32: devices compute in that or in integers.
_DTYPES = {
    "torch.float32": DType.FLOAT32, "torch.float16": DType.FLOAT32,
    "torch.bfloat16": DType.FLOAT32, "torch.float64": DType.FLOAT32,
    "torch.int64": DType.INT64, "torch.int32": DType.INT32, "torch.int16": DType.INT16,
    "torch.int8": DType.INT8, "torch.uint8": DType.UINT8, "torch.bool": DType.BOOL,
}  # fmt: skip


def dtype_of(torch_dtype: Any) -> DType:
    """The IR's type for a torch type. Raises Refused for complex and quantized ones."""
    if str(torch_dtype) not in _DTYPES:
        raise Refused(f"the type {torch_dtype} has no equivalent")
    return _DTYPES[str(torch_dtype)]


def to_numpy(tensor: Any) -> Array:
    """A torch tensor as an array of the IR's type; a copy, for a module may be trained on."""
    dtype = dtype_of(tensor.dtype)
    if dtype is DType.FLOAT32:
        tensor = tensor.float()
    array: Array = tensor.detach().cpu().numpy().copy()
    return array


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and type of one result, as torch's tracing found them."""

    shape: tuple[int, ...]
    dtype: DType

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(slots=True)
class Call(Emitter):
    """An ATen call: `arguments` by their names in the operator's schema, defaults filled in.

    Tensors among the arguments are IR values, or torch tensors where they are constant; `specs`
    are the results torch announced, `used` the positions of those that something reads.
    """

    target: str
    arguments: Mapping[str, Any]
    specs: Sequence[Spec]
    constants: dict[int, tuple[Any, Value]]
    used: frozenset[int] = frozenset()

    @property
    def layout(self) -> str:
        """torch is NCHW throughout."""
        return "NCHW"

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Argument `name`, or `default` when the operator has none or it is None."""
        found = self.arguments.get(name)
        return default if found is None else found

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first result."""
        return self.specs[0].shape

    @property
    def dtype(self) -> DType:
        """Type of the first result."""
        return self.specs[0].dtype

    def is_const(self, name: str) -> bool:
        """Whether tensor argument `name` is a constant."""
        return not isinstance(self.arguments[name], Value)

    def array(self, name: str) -> Array:
        """Constant tensor argument `name`. Raises Refused when it is computed."""
        found = self.arguments[name]
        if isinstance(found, Value):
            raise Refused(f"'{name}' is computed at run time and must be a constant")
        return to_numpy(found)

    def value(self, name: str, dtype: DType | None = None) -> Value:
        """Tensor (or number) argument `name` as a value, cast to `dtype` if given."""
        return self.as_value(self.arguments[name], dtype)

    def optional(self, name: str) -> Value | None:
        """Like `value`; None when the argument is left out."""
        return None if self.arguments.get(name) is None else self.value(name)

    def values(self, name: str) -> list[Value]:
        """A list of tensors."""
        return [self.as_value(item, self.dtype) for item in self.arguments[name]]

    def as_value(self, item: Any, dtype: DType | None = None) -> Value:
        """Anything tensor-like (a value, a torch tensor, a number) as a value."""
        if isinstance(item, Value):
            return item if dtype in (None, item.dtype) else self.cast(item, DType(dtype))
        if isinstance(item, bool | int | float):
            kind = DType.FLOAT32 if isinstance(item, float) else DType.INT64
            return self.const(item, dtype or kind)
        array = self._shared(item)
        return array if dtype in (None, array.dtype) else self.const(array.const, DType(dtype))

    def _shared(self, tensor: Any) -> Value:
        """The one value of a constant tensor: weights that are shared stay shared."""
        # The tensor is kept beside it: an id may be given out again once its owner is gone.
        if id(tensor) not in self.constants:
            value = self.graph.constant(to_numpy(tensor), f"{self.stem}.const")
            self.constants[id(tensor)] = (tensor, value)
        return self.constants[id(tensor)][1]

    def reshaped(self, name: str, shape: Sequence[int]) -> Value:
        """Tensor argument `name` in another shape."""
        x = self.value(name)
        rest = x.size // max(int(np.prod([d for d in shape if d != -1])), 1)
        return self.reshape(x, [rest if d == -1 else d for d in shape])

    def axis(self, name: str = "dim", of: str = "self") -> int:
        """Dimension `name`, counted from the front of tensor argument `of`."""
        return int(self[name]) % max(self.value(of).rank, 1)

    def axes(self, name: str = "dim", of: str = "self") -> tuple[int, ...]:
        """Dimensions `name` counted from the front; all of them when left out or empty."""
        rank = self.value(of).rank
        dims = self.get(name, ())
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        return tuple(sorted(d % max(rank, 1) for d in dims)) or tuple(range(rank))
