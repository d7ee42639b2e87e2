"""Collects constants, parameter structs and calls of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from edgepack.errors import Finding, InternalError, Unsupported
from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.writers.c.ctext import CTYPES, braces, comment, number
from edgepack.writers.registry import Lowerings


class Plan(Protocol):
    """What the writer asks of a memory plan; `edgepack.plan.c_plan.CPlan` is one."""

    @property
    def order(self) -> Sequence[Node]:
        """The nodes in the order in which they run."""

    @property
    def offsets(self) -> Mapping[Value, int]:
        """Bytes from the start of the arena, of inputs and of all computed values."""

    @property
    def scratch(self) -> Mapping[Node, tuple[int, int]]:
        """(offset, bytes) of what a node needs while it runs."""

    @property
    def arena_bytes(self) -> int:
        """Size of the arena."""


@dataclass(frozen=True, slots=True)
class Raw:
    """C text that goes into an initializer as it is (the name of a table)."""

    text: str


@dataclass(slots=True)
class Step:
    """What one node became: statements of model_run."""

    node: Node
    lines: list[str] = field(default_factory=list)


class CBuilder:
    """One model being written.

    `ep_` in the text that lowerings give stands for the prefix and is replaced at the end.
    Without a plan nothing is placed: `scratch_bytes` then says what the nodes need.
    """

    def __init__(self, graph: Graph, plan: Plan | None = None) -> None:
        self.graph = graph
        self.plan = plan
        self.kernels: set[str] = set()
        self.steps: list[Step] = []
        self.params: list[str] = []
        self.tables: dict[str, tuple[Array, str]] = {}
        self.scratch_bytes: dict[Node, int] = {}
        self._alike: dict[tuple[str, bytes], str] = {}
        self._count = 0

    # -- called by lowerings -----------------------------------------------------------------------

    def table(self, array: Array, note: str) -> Raw:
        """The name of a const table with this content; equal ones are stored once."""
        array = np.ascontiguousarray(array)
        key = (str(array.dtype), array.tobytes())
        if key not in self._alike:
            name = f"ep_table{len(self.tables)}"
            self._alike[key] = name
            self.tables[name] = (array, comment(note))
        return Raw(self._alike[key])

    def struct(self, kind: str, **fields: Any) -> str:
        """`&name` of a const struct of the type `kind`, a block of the kernels."""
        self.kernels.add(kind)
        members = ", ".join(f".{key} = {_initializer(v)}" for key, v in fields.items())
        name = f"node{len(self.steps) - 1}"
        name += "" if not self._count else f"_{self._count}"
        self._count += 1
        self.params.append(f"static const {kind} {name} = {{{members}}};")
        return f"&{name}"

    def call(self, kernel: str, *arguments: str | int) -> None:
        """Emit a call of a kernel."""
        self.kernels.add(kernel)
        self.line(f"{kernel}({', '.join(str(a) for a in arguments)});")

    def line(self, text: str) -> None:
        """Emit a statement."""
        self.steps[-1].lines.append(text)

    def at(self, value: Value, byte: int = 0) -> str:
        """A pointer to `value`: in the arena, or its table when it is a constant."""
        if value.data is not None:
            return f"&{self.table(value.data, value.name).text}[{byte // value.data.itemsize}]"
        return "NULL" if self.plan is None else f"EP_AT({self.plan.offsets[value] + byte})"

    def same_place(self, a: Value, b: Value) -> bool:
        """Whether both begin at the same byte of the arena."""
        if self.plan is None or a.is_const or b.is_const:
            return False
        return self.plan.offsets[a] == self.plan.offsets[b]

    def scratch(self, node: Node, nbytes: int) -> str:
        """A pointer to `nbytes` of working memory, aligned to 4 or more."""
        self.scratch_bytes[node] = nbytes
        if self.plan is None:
            return "NULL"
        offset, given = self.plan.scratch.get(node, (0, 0))
        if given < nbytes:
            raise InternalError(f"{node.name} is given {given} B to work in and needs {nbytes}")
        return f"EP_AT({offset})"

    # -- lowering ----------------------------------------------------------------------------------

    def lower(self) -> None:
        """Lower every node. Raises Unsupported with all that have no kernel."""
        findings = list(lowers.missing(self.graph.nodes))
        for node in self.graph.nodes if self.plan is None else self.plan.order:
            if node.op not in lowers.table:
                continue
            self.steps.append(Step(node))
            self._count = 0
            try:
                lowers.table[node.op](node, self)
            except Refused as problem:
                findings.append(Finding(node.name, node.op, str(node.output.dtype), str(problem)))
        if findings:
            raise Unsupported("there is no C kernel for these operators", findings)


class Refused(Exception):
    """A lowering has no kernel for a node; the text says for what."""


lowers: Lowerings[CBuilder] = Lowerings("C")


def refuse_unless(possible: bool, reason: str) -> None:
    """Raise Refused unless `possible`; `reason` says what there is no kernel for."""
    if not possible:
        raise Refused(reason)


def all_of(node: Node, *dtypes: DType) -> bool:
    """Whether activations in and out have one of these types."""
    values = [v for v in (node.input(0), node.output) if v is not None]
    return all(v.dtype in dtypes for v in values)


def ctype(value: Value) -> str:
    """The C type of an element. Raises Refused for types that C kernels do not have."""
    refuse_unless(value.dtype in CTYPES, f"{value.dtype} has no C type")
    return CTYPES[value.dtype]


def _initializer(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, (list, tuple)):
        return braces(value)
    return number(value)
