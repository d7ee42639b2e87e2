"""What may be said about quantization: schemes, and the precision of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edgepack.ir import DType

METHODS: Final = ("auto", "min-max", "percentile", "kl", "mse", "octav")


@dataclass(frozen=True, slots=True)
class Precision:
    """What a node computes with: the types of its activations and of its weights."""

    activations: DType = DType.INT8
    weights: DType = DType.INT8


# Full-integer schemes: the precision that every node gets that has such a kernel.
INTEGER_SCHEMES: Final[Mapping[str, Precision]] = {
    "int8": Precision(),
    "int16x8": Precision(DType.INT16, DType.INT8),
    "w4a8": Precision(DType.INT8, DType.INT4),
    "mixed": Precision(),  # and by layer what `quantize.mixed` chooses
}
# What `--layer NAME=` takes; None is float.
LAYER_PRECISIONS: Final[Mapping[str, Precision | None]] = {
    "int8": Precision(),
    "w4a8": Precision(DType.INT8, DType.INT4),
    "int16x8": Precision(DType.INT16, DType.INT8),
    "float": None,
}
SCHEMES: Final = (
    "auto", "none", *INTEGER_SCHEMES, "dynamic", "dynamic4", "blockwise4", "fp16", "bf16",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """How to quantize to integers.

    `precision` is every node's but for those named in `layers`, where None keeps a node in float;
    `per_channel` holds for convolutions; fully connected layers, which often take one scale only,
    have one per channel for weights of the types in `per_channel_dense`; `method` chooses the
    ranges of activations; `correct_bias` puts back the mean output that rounding the weights
    shifts; `integer_io`: the model takes and gives integers, not real numbers.
    """

    precision: Precision = Precision()
    layers: Mapping[str, Precision | None] = field(default_factory=dict)
    per_channel: bool = True
    per_channel_dense: frozenset[DType] = frozenset()
    method: str = "auto"
    correct_bias: bool = True
    integer_io: bool = True

    def precision_of(self, node: str) -> Precision | None:
        """The precision asked for at the node of this name; None for float."""
        return self.layers.get(node, self.precision)
