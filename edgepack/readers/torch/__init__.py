"""Reads PyTorch models by their ATen graph; `@reads("aten.conv2d")` in the family modules."""

from edgepack.readers.torch import (  # noqa: F401 (register)
    activation,
    convolution,
    dense,
    elementwise,
    indexing,
    normalization,
    pooling,
    recurrent,
    reduction,
    resample,
    shape,
)
from edgepack.readers.torch.load import load_weights, read_torch

__all__ = ["load_weights", "read_torch"]
