"""Reading functions by operator family."""

from edgepack.readers.onnx.families import (
    activation,
    contrib,
    convolution,
    dense,
    elementwise,
    indexing,
    integer,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resize,
    sampling,
    shape,
)

__all__ = [
    "activation",
    "contrib",
    "convolution",
    "dense",
    "elementwise",
    "indexing",
    "integer",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "reduction",
    "resize",
    "sampling",
    "shape",
]
