"""Operator sets: which one a graph needs, and the file version that goes with it."""

from __future__ import annotations

from typing import Final

from edgepack.ir import DType, Graph, Node

LOWEST_OPSET: Final = 13  # per-channel DequantizeLinear, and int8 in most operators

# The file format's version when the operator set came out: old runtimes refuse newer ones.
IR_VERSIONS: Final = {
    13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 11,
}  # fmt: skip

_SINCE: Final = {
    "HardSwish": 14,
    "ScatterNd": 16,  # reduction
    "LayerNorm": 17,
    "BitwiseXor": 18,
}


def lowest_opset(graph: Graph) -> int:
    """The lowest operator set that has all that the graph needs."""
    return max((_needs(node) for node in graph.nodes), default=LOWEST_OPSET)


def _needs(node: Node) -> int:
    values = [*node.present_inputs, *node.outputs]
    wide = (DType.INT16, DType.UINT16)
    if any(v.quant and v.dtype in wide and not v.is_const for v in values):
        return 21  # 16-bit QuantizeLinear
    if any(v.quant and v.dtype is DType.INT4 for v in values):
        return 21  # 4-bit DequantizeLinear
    if node.op == "BitwiseXor" and node.output.dtype is DType.BOOL:
        return LOWEST_OPSET  # Xor
    return _SINCE.get(node.op, LOWEST_OPSET)
