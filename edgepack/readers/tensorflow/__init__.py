"""Reads Keras files and SavedModels by their GraphDef; `@reads("Conv2D")` in the family modules."""

from edgepack.readers.tensorflow import (  # noqa: F401 (register)
    convolution,
    dense,
    elementwise,
    normalization,
    reduction,
    shape,
)
from edgepack.readers.tensorflow.load import (
    read_keras,
    read_keras_model,
    read_saved_model,
)

__all__ = ["read_keras", "read_keras_model", "read_saved_model"]
