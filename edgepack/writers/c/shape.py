"""Operators that only move elements."""

from __future__ import annotations

from edgepack.ir import Node
from edgepack.writers.c.builder import CBuilder, lowers


@lowers("Reshape")
def reshape(node: Node, out: CBuilder) -> None:
    """Nothing where the plan has both at one place, else a copy."""
    x, y = node.input(0), node.output
    if not out.same_place(x, y):
        out.line(f"memcpy({out.at(y)}, {out.at(x)}, {x.nbytes}U);")
