"""Dense layers and matrix products."""

from __future__ import annotations

from edgepack.ir import DType, Node
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers
from edgepack.writers.tflite.convolution import activation


def _is_hybrid(node: Node) -> bool:
    return node.input(0).dtype is DType.FLOAT32 and node.input(1).dtype in (DType.INT8, DType.INT4)


@lowers("FullyConnected")
def fully_connected(node: Node, out: TFLiteBuilder) -> None:
    """FULLY_CONNECTED; leading dimensions are kept. Hybrid inputs are quantized with offset."""
    out.emit(
        "FULLY_CONNECTED",
        node,
        options="FullyConnectedOptions",
        fused_activation_function=activation(node),
        keep_num_dims=node.output.rank != 2,
        asymmetric_quantize_inputs=_is_hybrid(node),
    )


@lowers("MatMul")
def matmul(node: Node, out: TFLiteBuilder) -> None:
    """BATCH_MATMUL. Legal form: both of rank 2 to 5."""
    out.emit(
        "BATCH_MATMUL",
        node,
        options="BatchMatMulOptions",
        adj_x=node.attrs["adj_a"],
        adj_y=node.attrs["adj_b"],
        asymmetric_quantize_inputs=_is_hybrid(node),
    )
