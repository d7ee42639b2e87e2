"""The TFLite reader: one table row per builtin operator, the inverse of the writer's lowerings."""

from edgepack.readers.tflite.read import read_tflite

__all__ = ["read_tflite"]
