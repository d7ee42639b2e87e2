"""Operators that move integers or choose among them: they do so with plain integers as well.

What they fill with is the integer that stands for the number. Where runtimes lack an operator for
16 bits, it moves wider numbers that hold the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.kernels.quantized_scale import params, zero

# of 16-bit integers: what ONNX Runtime has the operator for
_THROUGH: Final = {
    "Pad": DType.INT32, "DepthToSpace": DType.FLOAT32, "SpaceToDepth": DType.FLOAT32,
}  # fmt: skip


def plain_fill(graph: Graph, node: Node) -> None:
    """Let a Pad or SpaceToBatch of quantized values fill with the stored integer, in place."""
    x = node.input(0)
    if node.op == "Pad" and node.attrs["mode"] == "constant":
        fill = params(x).quantize(np.asarray(node.attrs["value"], np.float32), x.dtype)
        node.attrs = {**node.attrs, "value": float(fill)}
    elif node.op == "SpaceToBatch" and any(map(any, node.attrs["pad"])):
        pad = node.attrs["pad"]
        rest = ((0, 0),) * (x.rank - 1 - len(pad))
        attrs = {"pads": ((0, 0), *pad, *rest), "value": float(zero(x))}
        padded = graph.add("Pad", [x], attrs)
        node.set_input(0, padded)
        node.attrs = {**node.attrs, "pad": ((0, 0),) * len(pad)}
        _widen(graph, _maker(padded))


def widen(graph: Graph, node: Node) -> None:
    """Put a 16-bit operator that runtimes lack between Casts."""
    _widen(graph, node)


def _maker(value: Value) -> Node:
    assert value.producer is not None
    return value.producer


def _widen(graph: Graph, node: Node) -> None:
    kind = _THROUGH.get(node.op)
    if kind is None or node.output.dtype is not DType.INT16:
        return
    wide = graph.add("Cast", [node.input(0)], {"to": str(kind)})
    moved = graph.add(node.op, [wide], node.attrs)
    narrow = graph.add("Cast", [moved], {"to": "int16"})
    graph.replace(node.output, narrow)
    graph.remove(node)
