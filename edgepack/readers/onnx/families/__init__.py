"""Reading functions by operator family."""

from edgepack.readers.onnx.families import (  # noqa: F401 (register)
    activation,
    convolution,
    dense,
    elementwise,
    indexing,
    normalization,
    pooling,
    quantization,
    reduction,
    resize,
    shape,
)
