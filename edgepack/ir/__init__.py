"""The intermediate representation: one small graph, filled by readers, emptied by writers."""

from edgepack.ir.dtypes import Array, DType
from edgepack.ir.graph import Graph, Source
from edgepack.ir.ops import ACTIVATIONS, OPS, Op, QuantRule, node_macs, row
from edgepack.ir.quant import QuantParams
from edgepack.ir.value import Node, Packed, Sparse, Value

__all__ = [
    "ACTIVATIONS",
    "OPS",
    "Array",
    "DType",
    "Graph",
    "Node",
    "Op",
    "Packed",
    "QuantParams",
    "QuantRule",
    "Source",
    "Sparse",
    "Value",
    "node_macs",
    "row",
]
