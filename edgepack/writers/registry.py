"""One lowering per IR operator and format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Graph, Node
from edgepack.registry import Function, Registry

Builder = TypeVar("Builder")
Lower = Callable[[Node, Builder], None]


class Lowerings(Generic[Builder]):
    """The table of a format's lowerings; fill it with `@lowers("Conv2d", …)`."""

    def __init__(self, format_name: str) -> None:
        self.format_name = format_name
        self.table: Registry[Lower[Builder]] = Registry(f"{format_name} lowerings")

    def __call__(self, *ops: str) -> Callable[[Function], Function]:
        """Decorator: this function lowers these operators."""
        return self.table(*ops)

    def apply(self, graph: Graph, out: Builder) -> None:
        """Lower every node in order. Raises Unsupported listing all that have no lowering."""
        missing = self.missing(graph.nodes)
        if missing:
            raise Unsupported(f"no {self.format_name} form for these operators", missing)
        for node in graph.nodes:
            self.table[node.op](node, out)

    def missing(self, nodes: Sequence[Node]) -> list[Finding]:
        """A finding for each node whose operator has no lowering."""
        return [
            Finding(node.name, node.op, str(node.output.dtype), f"not in {self.format_name}")
            for node in nodes
            if node.op not in self.table
        ]
