"""Importing this module fills the table of rows."""

from edgepack.readers.tflite import (
    convolution,
    dense,
    elementwise,
    indexing,
    recurrent,
    shape,
    variables,
)

__all__ = ["convolution", "dense", "elementwise", "indexing", "recurrent", "shape", "variables"]
