"""The ONNX reader."""

from edgepack.readers.onnx.read import read_onnx

__all__ = ["read_onnx"]
