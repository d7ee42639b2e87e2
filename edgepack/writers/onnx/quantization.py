"""Quantize and Dequantize as nodes of the graph."""

from __future__ import annotations

from edgepack.ir import Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers


@lowers("Quantize")
def quantize(node: Node, out: OnnxBuilder) -> None:
    """QuantizeLinear; of integers after the DequantizeLinear that they have."""
    out.store(out.real(node.input(0)), node.output)


@lowers("Dequantize")
def dequantize(node: Node, out: OnnxBuilder) -> None:
    """DequantizeLinear; float16 and bfloat16 constants are widened by a Cast."""
    x, y = node.input(0), node.output
    if x.quant is None:
        out.cast(out.raw(x), y.dtype, y.name)
    elif (name := out.real(x, y.name)) != y.name:  # made already, for another reader
        out.emit_raw("Identity", [name], y)
