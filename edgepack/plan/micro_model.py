"""A model as TensorFlow Lite Micro sees it: tensors by index, operators in order, nothing else.

`micro_file.py` makes it from a .tflite file, `tflm.py` plans from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from edgepack.ir.dtypes import DType

Option = int | bool


@dataclass(frozen=True, slots=True)
class MicroTensor:
    """One entry of the tensor table.

    `scales` counts the quantization scales that come with zero points (0 when not quantized).
    `offline_offset` is where an offline planner (Vela) already put it, in bytes, or None.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    constant: bool = False
    variable: bool = False
    scales: int = 0
    offline_offset: int | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element in the arena; int4 is unpacked to a byte there."""
        return self.dtype.numpy.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes in the arena."""
        return self.size * self.item_bytes


@dataclass(frozen=True, slots=True)
class MicroOp:
    """One operator: `kind` is the name in TFLite's BuiltinOperator, or a custom operator's own.

    `inputs` and `outputs` are tensor indices, -1 for an input that is left out. `options` holds
    what memory depends on: stride_h/w, dilation_h/w, pad_h/w (leading), adj_x, adj_y.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MicroModel:
    """The main subgraph; `inputs` and `outputs` are tensor indices."""

    tensors: tuple[MicroTensor, ...]
    ops: tuple[MicroOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
