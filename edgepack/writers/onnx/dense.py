"""Dense layers and matrix products."""

from __future__ import annotations

from edgepack.ir import Node
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need


@lowers("FullyConnected")
def fully_connected(node: Node, out: OnnxBuilder) -> None:
    """Gemm; x must be rows."""
    need(node.input(0).rank == 2 and not node.attrs["flatten"], node, "takes more than rows")
    names = [out.real(node.input(0)), *(out.parameter(v) for v in node.present_inputs[1:])]
    emit_activated(node, out, "Gemm", names, transB=1)


@lowers("MatMul")
def matmul(node: Node, out: OnnxBuilder) -> None:
    """MatMul; adjoints must be gone. Only that of real numbers takes a scale for each column."""
    need(not (node.attrs["adj_a"] or node.attrs["adj_b"]), node, "has an adjoint")
    read = out.real if node.output.quant is not None else out.parameter
    out.emit("MatMul", [read(v) for v in node.present_inputs], node.output)
