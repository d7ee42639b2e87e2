"""Inputs and outputs as TFLite wants them: each output made by an operator of its own."""

from __future__ import annotations

from edgepack.ir import Graph, Value


def copy_outputs(graph: Graph) -> int:
    """Give an output that is an input, a constant or another output a copy; count the copies.

    A Reshape to the same shape is the copy: every runtime has it. The first keeps its name.
    """
    seen = set(graph.inputs)
    outputs: list[Value] = []
    for value in graph.outputs:
        taken = value in seen or value.is_const
        outputs.append(_copy(graph, value) if taken else value)
        seen.add(value)
    count = sum(new is not old for new, old in zip(outputs, graph.outputs, strict=True))
    graph.outputs = outputs
    return count


def _copy(graph: Graph, value: Value) -> Value:
    if value.size:
        copy = graph.add("Reshape", [value], {"shape": value.shape}, name=f"{value.name}/copy")
    else:  # LiteRT's RESHAPE hands out no tensor of no elements
        order = tuple(range(value.rank))
        copy = graph.add("Transpose", [value], {"perm": order}, name=f"{value.name}/copy")
    copy.quant = value.quant
    if value.is_const:  # the user knows the output by its name, the constant by none
        value.name, copy.name = copy.name, value.name
    return copy
