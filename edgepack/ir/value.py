"""Values and the nodes that make them.

Every shape is static. Spatial values are NHWC and weights OHWI, unless a node's `layout` attribute
says NCHW (which lasts only from a reader to the layout pass, and from the layout pass to the ONNX
writer). A value is made by one node, or is an input, or is a constant. Constants are never changed
in place: they may be shared between nodes and between copies of a graph; make a new one instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir.dtypes import Array, DType
from edgepack.ir.quant import QuantParams

Attr = Any  # bool, int, float, str or a (nested) tuple of these; the op table says which


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A constant as two arrays of uint8 [bytes] that `edgepack.schema.decode` makes and reads."""

    encoded: Array
    ancillary: Array

    @property
    def nbytes(self) -> int:
        """Bytes of both in a file."""
        return int(self.encoded.size + self.ancillary.size)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A constant without most of its zeros, as `edgepack.schema.sparse` makes and reads it.

    Elements are walked through in the `order` of the axes, the last of which is compressed: line
    after line, `segments` [lines + 1] says which of `indices` [blocks] are its own. `values`
    [blocks, block] are neighbours along the constant's last axis.
    """

    order: tuple[int, ...]
    segments: Array
    indices: Array
    values: Array

    @property
    def nbytes(self) -> int:
        """Bytes of all three in a file."""
        return self.segments.nbytes + self.indices.nbytes + self.values.nbytes


@dataclass(slots=True, eq=False)
class Value:
    """A tensor that flows through the graph; compared by identity.

    `data` is its constant content, None when it is computed or fed. `producer` and `users` are kept
    by `Node`: do not write them. A node that reads the value twice stands once in `users`.
    `packed` is the form in which a constant is stored for a runtime that unpacks it by itself:
    TensorFlow Lite Micro takes `Packed`, LiteRT `Sparse`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType = DType.FLOAT32
    quant: QuantParams | None = None
    data: Array | None = field(default=None, repr=False)
    producer: Node | None = field(default=None, repr=False)
    users: dict[Node, None] = field(default_factory=dict, repr=False)
    packed: Packed | Sparse | None = field(default=None, repr=False)

    @property
    def is_const(self) -> bool:
        """Whether the content is known."""
        return self.data is not None

    @property
    def const(self) -> Array:
        """The constant content; raises InternalError when there is none."""
        if self.data is None:
            raise InternalError(f"{self.name} is not a constant")
        return self.data

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes in memory, int4 packed two to a byte."""
        return (self.size * self.dtype.bits + 7) // 8

    @property
    def stored_bytes(self) -> int:
        """Bytes of a constant in a file: those of its packed form where it has one."""
        return (self.packed or self).nbytes

    @property
    def real(self) -> Array:
        """The constant content as real numbers: dequantized where quantized."""
        return self.quant.dequantize(self.const) if self.quant else self.const


class Node:
    """One operation: `op` is a row of the table in `edgepack.ir.ops`; compared by identity.

    `inputs` may hold None for an optional input that is left out. Inputs are changed only through
    `set_input` and `set_inputs`, so that `Value.users` stays right.
    """

    __slots__ = ("attrs", "inputs", "name", "op", "outputs")

    def __init__(
        self,
        op: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        attrs: Mapping[str, Attr] | None = None,
        name: str = "",
    ) -> None:
        self.op = op
        self.inputs: tuple[Value | None, ...] = ()
        self.outputs = tuple(outputs)
        self.attrs: dict[str, Attr] = dict(attrs or {})
        self.name = name or (self.outputs[0].name if self.outputs else op)
        for value in self.outputs:
            value.producer = self
        self.set_inputs(inputs)

    def __repr__(self) -> str:
        return f"Node({self.op} {self.name})"

    @property
    def output(self) -> Value:
        """The first output."""
        return self.outputs[0]

    def input(self, index: int) -> Value:
        """Input `index`, which must be present; raises InternalError when it is left out."""
        value = self.optional(index)
        if value is None:
            raise InternalError(f"{self.op} {self.name} has no input {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """Input `index`, or None when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def present_inputs(self) -> tuple[Value, ...]:
        """The inputs that are not left out."""
        return tuple(v for v in self.inputs if v is not None)

    @property
    def constant_bytes(self) -> int:
        """Bytes of the constants that it reads, as they are stored."""
        return sum(v.stored_bytes for v in self.present_inputs if v.is_const)

    def set_inputs(self, inputs: Sequence[Value | None]) -> None:
        """Replace all inputs."""
        for old in self.present_inputs:
            old.users.pop(self, None)
        self.inputs = tuple(inputs)
        for new in self.present_inputs:
            new.users[self] = None

    def set_input(self, index: int, value: Value | None) -> None:
        """Replace one input; appends when `index` is the next one."""
        inputs = list(self.inputs)
        inputs[index : index + 1] = [value]
        self.set_inputs(inputs)
