"""Importing this module fills the table of rows."""

from edgepack.readers.tflite import (
    convolution,
    decode,
    dense,
    densify,
    elementwise,
    indexing,
    recurrent,
    shape,
    variables,
)

__all__ = [
    "convolution",
    "decode",
    "dense",
    "densify",
    "elementwise",
    "indexing",
    "recurrent",
    "shape",
    "variables",
]
