"""The ONNX writer: standard operators for float graphs, QDQ form for quantized ones."""

from edgepack.writers.onnx.write import write_onnx

__all__ = ["write_onnx"]
