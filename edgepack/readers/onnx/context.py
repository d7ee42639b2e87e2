"""What a reading function sees: its ONNX node (`Call`) and what adds nodes for it (`Context`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgepack.errors import BadModel
from edgepack.ir import Array, Value
from edgepack.readers.emitter import Emitter, Refused


@dataclass(frozen=True, slots=True)
class Call:
    """One ONNX node with its inputs resolved; `opset` is the version of its operator's domain.

    `consumers` lists, per output, the operators that read it ("" stands for a graph output).
    """

    op: str
    domain: str
    opset: int
    name: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    foreign_users: frozenset[str] = frozenset()

    def input(self, index: int) -> Value:
        """Input `index`; raises BadModel when it is left out."""
        value = self.optional(index)
        if value is None:
            raise BadModel(f"{self.op} {self.name} lacks its input {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """Input `index`, or None when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def present(self) -> tuple[Value, ...]:
        """The inputs that are not left out."""
        return tuple(v for v in self.inputs if v is not None)

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, or `default`."""
        return self.attrs.get(name, default)

    def required(self, name: str) -> Any:
        """An attribute that must be there; raises BadModel."""
        if name not in self.attrs:
            raise BadModel(f"{self.op} {self.name} lacks its attribute {name}")
        return self.attrs[name]

    def wants(self, index: int) -> bool:
        """Whether output `index` is named, so that somebody may read it."""
        return index < len(self.outputs) and bool(self.outputs[index])

    def known(self, index: int, what: str) -> Array:
        """The content of input `index`, which must be a constant; declines otherwise."""
        value = self.input(index)
        if value.data is None:
            raise Refused(
                f"its {what} ({value.name}) is computed from the model's input",
                "run the model through a simplifier with fixed input shapes first",
            )
        return value.data

    def known_ints(self, index: int, what: str) -> list[int]:
        """Like `known`, as a flat list of whole numbers."""
        return [int(v) for v in self.known(index, what).reshape(-1)]

    def ints(self, name: str, index: int, since: int) -> list[int] | None:
        """Whole numbers that are an attribute before opset `since` and input `index` from it on.

        None when left out.
        """
        if self.opset >= since:
            return None if self.optional(index) is None else self.known_ints(index, name)
        value = self.attr(name)
        return None if value is None else [int(v) for v in value]


@dataclass(slots=True)
class Context(Emitter):
    """Adds nodes for ONNX nodes; the walker sets `stem` to the name of each.

    `narrow` has the limits of integers that are stored wider than the file has them.
    """

    narrow: dict[Value, tuple[int, int]] = field(default_factory=dict)

    @property
    def layout(self) -> str:
        """ONNX is NCHW throughout."""
        return "NCHW"


def normal_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front; raises ValueError when out of range."""
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis % max(rank, 1)
