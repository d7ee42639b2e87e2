"""Rules that bring single nodes into the form that a file format has, and what they share.

A rule takes the graph and a node of its operator; it returns whether it replaced the node (or
changed it), and leaves legal forms alone. Rules run again on what other rules made, until all rest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.passes.match import supersede, unquantized

Rule = Callable[[Graph, Node], bool]


class Rules(dict[str, list[Rule]]):
    """One format's rules by operator; `@rules("Name", …)` enters one under each name."""

    def __call__(self, *ops: str) -> Callable[[Rule], Rule]:
        """Decorator: this rule brings these operators into a legal form."""

        def register(rule: Rule) -> Rule:
            for op in ops:
                self.setdefault(op, []).append(rule)
            return rule

        return register

    def legalize(self, graph: Graph, node: Node) -> bool:
        """Apply the first of the node's rules that finds something; return whether one did."""
        return any(rule(graph, node) for rule in self.get(node.op, ()) if node in graph)


def on_reals(rule: Rule) -> Rule:
    """Decorator: quantized nodes are put between Dequantize and Quantize first.

    For rules whose steps in between have no integers to be stored in.
    """

    @functools.wraps(rule)
    def applied(graph: Graph, node: Node) -> bool:
        return rule(graph, node) if unquantized(node) else compute_in_reals(graph, node)

    return applied


def compute_in_reals(graph: Graph, node: Node) -> bool:
    """Dequantize, the operator on real numbers, Quantize."""
    make, out = Maker(graph, node), node.output
    quantized = dict.fromkeys(v for v in node.present_inputs if v.quant is not None)
    reals = {v: make("Dequantize", v) for v in quantized}
    inputs = [v if v is None else reals.get(v, v) for v in node.inputs]
    real = make(node.op, *inputs, attrs=node.attrs)
    supersede(graph, out, "Quantize", [real], {"to": str(out.dtype)})
    return True


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
