"""Elementwise operators and activations."""

from __future__ import annotations

from edgepack.ir import DType, Node
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers
from edgepack.writers.tflite.convolution import activation

# IR operator: (TFLite builtin, its option table or None)
_PLAIN = {
    "Relu": ("RELU", None),
    "Relu6": ("RELU6", None),
    "ReluN1To1": ("RELU_N1_TO_1", None),
    "Sigmoid": ("LOGISTIC", None),
    "Tanh": ("TANH", None),
}
_FUSED = {
    "Add": ("ADD", "AddOptions"),
    "Sub": ("SUB", "SubOptions"),
    "Mul": ("MUL", "MulOptions"),
    "Div": ("DIV", "DivOptions"),
}


@lowers(*_PLAIN)
def plain(node: Node, out: TFLiteBuilder) -> None:
    """Operators without options."""
    builtin, options = _PLAIN[node.op]
    out.emit(builtin, node, options=options)


@lowers(*_FUSED)
def fused(node: Node, out: TFLiteBuilder) -> None:
    """Arithmetic with a fused activation."""
    builtin, options = _FUSED[node.op]
    version = 2 if node.output.dtype is DType.INT8 else 1
    out.emit(
        builtin, node, options=options, version=version, fused_activation_function=activation(node)
    )


@lowers("Softmax")
def softmax(node: Node, out: TFLiteBuilder) -> None:
    """SOFTMAX along the last axis."""
    version = 2 if node.output.dtype is DType.INT8 else 1
    out.emit("SOFTMAX", node, options="SoftmaxOptions", version=version, beta=node.attrs["beta"])
