"""Dense layers and matrix products."""

from __future__ import annotations

from edgepack.errors import InternalError
from edgepack.ir import Node, Value
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers


@lowers("FullyConnected")
def fully_connected(node: Node, out: OnnxBuilder) -> None:
    """Gemm for two dimensions; MatMul and Add for others, or a Gemm between Reshapes."""
    x, y = node.input(0), node.output
    if x.rank == 2:
        names = [out.real(x), *(out.parameter(v) for v in node.present_inputs[1:])]
        emit_activated(node, out, "Gemm", names, transB=1)
    elif y.quant is None:
        _matmul(node, out)
    else:
        _reshaped_gemm(node, out)


def _matmul(node: Node, out: OnnxBuilder) -> None:
    w, bias = node.input(1), node.optional(2)
    names = [out.real(node.input(0)), _swapped(out, w)]
    if bias is None:
        emit_activated(node, out, "MatMul", names)
    else:
        emit_activated(node, out, "Add", [out.op("MatMul", names), out.real(bias)])


def _swapped(out: OnnxBuilder, w: Value) -> str:
    if not w.is_const:
        return out.op("Transpose", [out.real(w)], perm=[1, 0])
    quant = w.quant
    if quant is not None and quant.axis is not None:
        quant = quant.moved(1 - quant.axis % 2)
    return out.weights(w.const.T, quant, w)


def _reshaped_gemm(node: Node, out: OnnxBuilder) -> None:
    """Runtimes have an integer Gemm with a bias, but no such MatMul: a Gemm between Reshapes."""
    x, y = node.input(0), node.output
    flat = Value(out.fresh(f"{x.name}/flat"), (x.size // x.shape[-1], x.shape[-1]), x.dtype,
                 x.quant)  # fmt: skip
    product = Value(out.fresh(f"{y.name}/flat"), (y.size // y.shape[-1], y.shape[-1]), y.dtype,
                    y.quant)  # fmt: skip
    out.emit("Reshape", [out.real(x), out.constant(flat.shape, name="shape")], flat)
    inner = Node(node.op, (), [product], node.attrs, node.name)
    names = [out.real(flat), *(out.parameter(v) for v in node.present_inputs[1:])]
    emit_activated(inner, out, "Gemm", names, transB=1)
    out.emit("Reshape", [out.real(product), out.constant(y.shape, name="shape")], y)


@lowers("MatMul")
def matmul(node: Node, out: OnnxBuilder) -> None:
    """MatMul; adjoints must be gone."""
    if node.attrs["adj_a"] or node.attrs["adj_b"]:
        raise InternalError("an adjoint is not legal in ONNX", at=node.name)
    out.emit("MatMul", [out.real(v) for v in node.present_inputs], node.output)
