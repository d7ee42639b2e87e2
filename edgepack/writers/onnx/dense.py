"""Dense layers and matrix products."""

from __future__ import annotations

from edgepack.ir import Node, QuantParams, Value
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need


@lowers("FullyConnected")
def fully_connected(node: Node, out: OnnxBuilder) -> None:
    """Gemm; x must be rows."""
    need(node.input(0).rank == 2 and not node.attrs["flatten"], node, "takes more than rows")
    weight = node.input(1)
    if weight.quant is not None and weight.quant.block:
        _by_blocks(node, out, weight, weight.quant)
        return
    names = [out.real(node.input(0)), *(out.parameter(v) for v in node.present_inputs[1:])]
    emit_activated(node, out, "Gemm", names, transB=1)


def _by_blocks(node: Node, out: OnnxBuilder, weight: Value, quant: QuantParams) -> None:
    """MatMul with weights [in, out], of which ONNX Runtime makes one operator, MatMulNBits.

    That quantizes activations to 8 bits, block by block, unless a session is told otherwise.
    """
    units, features = weight.shape
    stored = out.initializer(weight.const.T, weight.name, weight.dtype)
    scale = out.initializer(quant.scale.reshape(units, -1).T, f"{weight.name}/scale")
    real = out.op("DequantizeLinear", [stored, scale], axis=0, block_size=quant.block)
    names, bias = [out.real(node.input(0)), real], node.optional(2)
    if bias is None:
        emit_activated(node, out, "MatMul", names)
    else:
        emit_activated(node, out, "Add", [out.op("MatMul", names), out.parameter(bias)])


@lowers("MatMul")
def matmul(node: Node, out: OnnxBuilder) -> None:
    """MatMul; adjoints must be gone. Only that of real numbers takes a scale for each column."""
    need(not (node.attrs["adj_a"] or node.attrs["adj_b"]), node, "has an adjoint")
    read = out.real if node.output.quant is not None else out.parameter
    out.emit("MatMul", [read(v) for v in node.present_inputs], node.output)
