"""Inputs and outputs in another integer type than the model computes in."""

from __future__ import annotations

from typing import Final

from edgepack.ir import DType, Graph, Node, QuantParams, Value

_SHIFT: Final = 128  # between the zero points of int8 and uint8, scales being equal


def unsigned_ends(graph: Graph) -> int:
    """Take and give uint8 in the place of int8, in place; return how many ends changed.

    The same real numbers: zero points and integers move by 128. Names stay with the ends.
    """
    changed = 0
    for index, value in enumerate(graph.inputs):
        if value.dtype is DType.INT8 and value.quant is not None and not graph.is_output(value):
            outer = _twin(value, value.quant)
            _swap_names(graph, value, outer)
            graph.inputs[index] = outer
            graph.add_node(Node("Quantize", [outer], [value], {"to": "int8"}))
            changed += 1
    for index, value in enumerate(graph.outputs):
        if value.dtype is DType.INT8 and value.quant is not None:
            outer = _twin(value, value.quant)
            _swap_names(graph, value, outer)
            graph.outputs[index] = outer
            graph.add_node(Node("Quantize", [value], [outer], {"to": "uint8"}))
            changed += 1
    graph.sort()
    return changed


def _twin(value: Value, quant: QuantParams) -> Value:
    params = QuantParams(quant.scale, quant.zero_point + _SHIFT, quant.axis)
    return Value(value.name, value.shape, DType.UINT8, params)


def _swap_names(graph: Graph, inner: Value, outer: Value) -> None:
    outer.name, inner.name = inner.name, graph.fresh(f"{inner.name}_int8")
