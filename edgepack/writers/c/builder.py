"""Collects constants, parameter structs and calls of one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.errors import Finding, InternalError, Unsupported
from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.plan.c_plan import CPlan
from edgepack.writers.c.ctext import CTYPES, comment, number, real
from edgepack.writers.c.variants import laid_out
from edgepack.writers.registry import Lower, Lowerings


@dataclass(frozen=True, slots=True)
class Raw:
    """C text that goes into an initializer as it is (the name of a table)."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A const array, the C type of its elements, and what it is."""

    content: Array
    kind: str
    note: str


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
        self.tables: dict[str, Table] = {}
        self.states: dict[str, Table] = {}
        self._alike: dict[tuple[str, bytes], str] = {}
        self._count = 0

    # -- called by lowerings -----------------------------------------------------------------------

    def table(self, array: Array, note: str, kind: str = "") -> Raw:
        """The name of a const table with this content; equal ones are stored once.

        `kind` is the C type of an element, by default the array's.
        """
        array = np.ascontiguousarray(array)
        kind = kind or CTYPES[DType.of(array)]
        key = (kind, array.tobytes())
        if key not in self._alike:
            name = f"ep_table{len(self.tables)}"
            self._alike[key] = name
            self.tables[name] = Table(array, kind, comment(note))
        return Raw(self._alike[key])

    def scales(self, kind: str, pairs: Array, name: str) -> Raw:
        """A table of (multiplier, shift), int [n, 2], as structs of the type `kind`."""
        self.kernels.add(kind)
        record = np.dtype([("multiplier", np.int32), ("shift", np.int32)])
        table = np.ascontiguousarray(pairs, np.int32).view(record)[:, 0]
        return self.table(table, f"{name}: scales", kind)

    def struct(self, kind: str, **fields: Any) -> str:
        """`&name` of a const struct of the type `kind`, a block of the kernels."""
        self.kernels.add(kind)
        name = f"ep_node{len(self.steps) - 1}"
        name += "" if not self._count else f"_{self._count}"
        self._count += 1
        self.params.append(f"static const {kind} {name} = {_initializer(fields)};")
        return f"&{name}"

    def state(self, value: Value) -> str:
        """The name of memory outside the arena that begins as the constant `value`."""
        name = f"ep_state{len(self.states)}"
        self.states[name] = Table(value.const, ctype(value), comment(value.name))
        return name

    def laid_out(self, kernel: str, rows: Array) -> Array:
        """Weights as `kernel` wants them in this variant."""
        return laid_out(kernel, self.variant, rows)

    def weights(self, node: Node, kernel: str, rows: Array) -> Raw:
        """Where `kernel` finds int8 weights [out, depth]: in a table, or expanded from codes."""
        laid = np.ascontiguousarray(self.laid_out(kernel, rows)).reshape(-1)
        note, room = f"{node.name}: weights", self.plan.expanded.get(node, 0)
        if not room:
            return self.table(laid, note)
        if laid.size > room:
            raise InternalError(f"{node.name} has {room} B for {laid.size} weights")
        levels, codes = np.unique(laid, return_inverse=True)
        bits = next(bits for bits in (1, 2, 4) if len(levels) <= 1 << bits)
        each = 8 // bits
        parts = np.pad(codes, (0, -codes.size % each)).reshape(-1, each) << bits * np.arange(each)
        offset, given = self.plan.scratch[node]
        place = f"EP_AT({offset + given - room})"
        stored = self.table(parts.sum(axis=1).astype(np.uint8), f"{note}, {bits} bits each")
        values = self.table(np.pad(levels, (0, (1 << bits) - len(levels))), f"{note}: values")
        self.call("ep_expand_s8", values.text, stored.text, laid.size, bits, place)
        return Raw(place)

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
            table = self.table(value.data, value.name).text
            return f"(const void *)&{table}[{byte // value.data.itemsize}]"
        return f"EP_AT({self.plan.offsets[value] + byte})"

    def at_step(self, value: Value, steps: Mapping[str, int], first: int = 0) -> str:
        """A pointer to the element of `value` that loop variables choose, `steps` apart."""
        table = value.data is not None
        width = 1 if table else value.dtype.numpy.itemsize
        terms = [f"{name} * {step * width}" for name, step in steps.items() if step]
        if table:
            place = " + ".join([*([str(first)] if first or not terms else []), *terms])
            return f"(const void *)&{self.table(value.const, value.name).text}[{place}]"
        return f"EP_AT({' + '.join([str(self.plan.offsets[value] + first * width), *terms])})"

    @contextmanager
    def loops(self, counts: Mapping[str, int]) -> Iterator[None]:
        """What is emitted inside stands in nested loops, outer first."""
        inside = self.steps[-1]
        before, inside.lines = inside.lines, []
        yield
        body = inside.lines
        for name, count in reversed(list(counts.items())):
            head = f"for (int32_t {name} = 0; {name} < {count}; {name}++) {{"
            body = [head, *(f"    {line}" for line in body), "}"]
        inside.lines = [*before, *body]

    def real(self, value: float) -> str:
        """A float constant."""
        return real(value)

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
        given -= self.plan.expanded.get(node, 0)
        if given < unit:
            raise InternalError(f"{node.name} is given {given} B to work in and needs {unit}")
        return f"EP_AT({offset})", min(most, given // unit)

    # -- lowering ----------------------------------------------------------------------------------

    def lower(self) -> None:
        """Lower every node. Raises Unsupported with all that have no kernel."""
        findings = []
        for node in self.plan.order:
            self.steps.append(Step(node))
            self._count = 0
            if self._is_free(node):
                continue
            try:
                refuse_unless(
                    all(v.size for v in (*node.present_inputs, *node.outputs)),
                    "values of no elements",
                )
                lowering(node)(node, self)
            except Refused as problem:
                findings.append(Finding(node.name, node.op, str(node.output.dtype), str(problem)))
        if findings:
            raise Unsupported("there is no C kernel for these operators", findings)

    def _is_free(self, node: Node) -> bool:
        """Whether the plan has every output where its bytes are; joins may still rescale them."""
        return node.op != "Concat" and self.plan.is_free(node)


class Refused(Exception):
    """A lowering has no kernel for a node; the text says for what."""


lowers: Lowerings[CBuilder] = Lowerings("C")  # integers, and what any element type does
lowers_real: Lowerings[CBuilder] = Lowerings("C for real numbers")


def lowering(node: Node) -> Lower[CBuilder]:
    """The function that lowers a node. Raises Refused when there is none."""
    real = all(v.dtype is DType.FLOAT32 for v in (node.output, *node.present_inputs[:1]))
    found = (lowers_real.table.get(node.op) if real else None) or lowers.table.get(node.op)
    if found is None:
        known = node.op in lowers_real.table
        raise Refused(f"{node.output.dtype} values" if known else "not in C")
    return found


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
        return "{" + ", ".join(_initializer(v) for v in value) + "}"
    return number(value)
