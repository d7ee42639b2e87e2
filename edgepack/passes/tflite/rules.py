"""The table of legalization rules and what they share.

A rule takes the graph and a node of its operator; it returns whether it replaced the node (or
changed it), and leaves legal forms alone. Rules run again on what other rules made, until all rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.registry import Registry

Rule = Callable[[Graph, Node], bool]

RULES: Final[dict[str, list[Rule]]] = {}
ALTERNATIVES: Final[Registry[Rule]] = Registry("alternatives")


def legalizes(*ops: str) -> Callable[[Rule], Rule]:
    """Decorator: this rule brings these operators into a legal form."""

    def register(rule: Rule) -> Rule:
        for op in ops:
            RULES.setdefault(op, []).append(rule)
        return rule

    return register


spells_out = ALTERNATIVES  # rules for runtimes that lack the operator's builtin


class Maker:
    """Adds nodes around one node, with names that begin with its name."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.stem = node.name

    def __call__(
        self, op: str, *inputs: Value | None, attrs: Mapping[str, Any] | None = None
    ) -> Value:
        """The output of a new node."""
        return self.graph.add(op, inputs, attrs, name=self._name(op))

    def parts(self, op: str, *inputs: Value, attrs: Mapping[str, Any]) -> tuple[Value, ...]:
        """The outputs of a new node with several."""
        return self.graph.add_multi(op, inputs, attrs, name=self._name(op))

    def constant(self, data: Array | float | Sequence[Any], like: DType | Value) -> Value:
        """A constant of a dtype, or of the dtype (and parameters) of another value."""
        quant = like.quant if isinstance(like, Value) else None
        dtype = like.dtype if isinstance(like, Value) else like
        array = np.asarray(data)
        if quant is not None:
            array = quant.quantize(array, dtype)
        elif dtype.is_integer:
            low, high = dtype.limits
            array = np.clip(array, low, high)
        return self.graph.constant(array.astype(dtype.numpy), f"{self.stem}/const", quant)

    def same(self, op: str, x: Value, attrs: Mapping[str, Any]) -> Value:
        """An operator that moves elements of `x`: its output has the parameters of its input."""
        y = self(op, x, attrs=attrs)
        y.quant = x.quant
        return y

    def _name(self, op: str) -> str:
        return self.graph.fresh(f"{self.stem}/{op.lower()}")
