"""Collects constants, parameter structs and calls of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.errors import Finding, InternalError, Unsupported
from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.plan.c_plan import CPlan
from edgepack.writers.c.ctext import CTYPES, braces, comment, number
from edgepack.writers.c.variants import laid_out
from edgepack.writers.registry import Lowerings


@dataclass(frozen=True, slots=True)
class Raw:
    """C text that goes into an initializer as it is (the name of a table)."""

    text: str


@dataclass(slots=True)
class Step:
    """What one node became: statements of the run function."""

    node: Node
    lines: list[str] = field(default_factory=list)


class CBuilder:
    """One model being written.

    `ep_` at the beginning of a word stands for the prefix in all that lowerings give.
    """

    def __init__(self, graph: Graph, plan: CPlan, variant: str = "portable") -> None:
        self.graph = graph
        self.plan = plan
        self.variant = variant
        self.kernels: set[str] = set()
        self.steps: list[Step] = []
        self.params: list[str] = []
        self.tables: dict[str, tuple[Array, str]] = {}
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
        name = f"ep_node{len(self.steps) - 1}"
        name += "" if not self._count else f"_{self._count}"
        self._count += 1
        self.params.append(f"static const {kind} {name} = {_initializer(fields)};")
        return f"&{name}"

    def laid_out(self, kernel: str, rows: Array) -> Array:
        """Weights as `kernel` wants them in this variant."""
        return laid_out(kernel, self.variant, rows)

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
        return f"EP_AT({self.plan.offsets[value] + byte})"

    def distance(self, a: Value, b: Value) -> int | None:
        """Bytes in the arena from the start of `b` to that of `a`; None for constants."""
        if a.is_const or b.is_const:
            return None
        return self.plan.offsets[a] - self.plan.offsets[b]

    def scratch(self, node: Node, unit: int, most: int = 1) -> tuple[str, int]:
        """(a pointer to working memory, how many blocks of `unit` bytes it has).

        At least one and at most `most`; the plan decides. Aligned to 4 bytes.
        """
        offset, given = self.plan.scratch.get(node, (0, 0))
        if given < unit:
            raise InternalError(f"{node.name} is given {given} B to work in and needs {unit}")
        return f"EP_AT({offset})", min(most, given // unit)

    # -- lowering ----------------------------------------------------------------------------------

    def lower(self) -> None:
        """Lower every node. Raises Unsupported with all that have no kernel."""
        findings = list(lowers.missing(self.graph.nodes))
        for node in self.plan.order:
            self.steps.append(Step(node))
            self._count = 0
            if node.op not in lowers.table or self.plan.is_free(node):
                continue
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
    """Whether the activations in and out have one of these types."""
    return all(v.dtype in dtypes for v in (*node.present_inputs, *node.outputs))


def ctype(value: Value) -> str:
    """The C type of an element. Raises Refused for types that C kernels do not have."""
    refuse_unless(value.dtype in CTYPES, f"{value.dtype} has no C type")
    return CTYPES[value.dtype]


def _initializer(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Mapping):
        return "{" + ", ".join(f".{key} = {_initializer(v)}" for key, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return braces(value)
    return number(value)
