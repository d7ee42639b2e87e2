"""The TFLite writer: one builtin operator for each node of a graph legalized for TFLite."""

from edgepack.writers.tflite.write import write_tflite

__all__ = ["write_tflite"]
