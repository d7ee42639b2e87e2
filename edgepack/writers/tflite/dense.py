"""Dense layers and matrix products."""

from __future__ import annotations

from edgepack.ir import DType, Node
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers
from edgepack.writers.tflite.convolution import activation


@lowers("FullyConnected")
def fully_connected(node: Node, out: TFLiteBuilder) -> None:
    """FULLY_CONNECTED; leading dimensions are kept."""
    out.emit(
        "FULLY_CONNECTED",
        node,
        options="FullyConnectedOptions",
        version=4 if node.output.dtype is DType.INT8 else 1,
        fused_activation_function=activation(node),
        keep_num_dims=node.output.rank != 2,
    )


@lowers("MatMul")
def matmul(node: Node, out: TFLiteBuilder) -> None:
    """BATCH_MATMUL."""
    out.emit(
        "BATCH_MATMUL",
        node,
        options="BatchMatMulOptions",
        adj_x=node.attrs["adj_a"],
        adj_y=node.attrs["adj_b"],
    )
