"""What a user may say about quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgepack.ir import DType

SCHEMES: Final = ("auto", "none", "int8", "dynamic", "fp16")
METHODS: Final = ("auto", "min-max", "percentile", "mse")


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """How to quantize to integers.

    `activations` and `weights` are storage types; `per_channel` holds for convolutions,
    `per_channel_dense` for fully connected layers (older runtimes take one scale there);
    `method` chooses the ranges of activations; `correct_bias` puts back the mean output that
    rounding the weights shifts; `io_dtype` is the type of the model's real inputs and outputs,
    FLOAT32 to keep them real.
    """

    activations: DType = DType.INT8
    weights: DType = DType.INT8
    per_channel: bool = True
    per_channel_dense: bool = False
    method: str = "auto"
    correct_bias: bool = True
    io_dtype: DType = DType.INT8
