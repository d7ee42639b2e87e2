"""Which version of a builtin an operator needs: the lowest whose kernel takes its tensors.

A runtime refuses a file that asks for a higher version than it knows, so no operator may ask for
more than it uses. The figures are those of TensorFlow's op_version.cc (GetBuiltinOperatorVersion).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgepack.ir import DType, Value

_INT8, _INT16, _UINT8, _BOOL = DType.INT8, DType.INT16, DType.UINT8, DType.BOOL
_HALF, _INT4 = DType.FLOAT16, DType.INT4


@dataclass(frozen=True, slots=True)
class Signature:
    """An operator as it will stand in the file: inputs in the builtin's order, options by name."""

    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    fields: Mapping[str, Any]

    def dtype(self, index: int) -> DType | None:
        """The dtype of input `index`; None when it is left out."""
        value = self.inputs[index] if index < len(self.inputs) else None
        return None if value is None else value.dtype

    @property
    def rank(self) -> int:
        """The highest rank among the inputs."""
        return max((v.rank for v in self.inputs if v is not None), default=0)

    @property
    def broadcasts(self) -> bool:
        """Whether the first two inputs differ in shape."""
        first, second = self.inputs[:2]
        return first is not None and second is not None and first.shape != second.shape

    @property
    def is_quantized(self) -> bool:
        """Whether the first input stands for real numbers."""
        return self.inputs[0] is not None and self.inputs[0].quant is not None

    @property
    def is_hybrid(self) -> bool:
        """Whether real numbers meet 8-bit weights."""
        return self.dtype(0) is DType.FLOAT32 and self.dtype(1) is _INT8

    @property
    def has_per_channel_weights(self) -> bool:
        """Whether input 1 has one scale per channel."""
        weights = self.inputs[1]
        return weights is not None and weights.quant is not None and weights.quant.axis is not None


Rule = Callable[[Signature], int]


def version_of(builtin: str, signature: Signature) -> int:
    """The version to write for `builtin` with these tensors and options."""
    if builtin in _RULES:
        return _RULES[builtin](signature)
    table = _BY_DTYPE.get(builtin, {})
    dtype = signature.dtype(_TYPED_INPUT.get(builtin, 0))
    by_dtype = 1 if dtype is None else table.get(dtype, 1)
    rank_table = _BY_RANK.get(builtin, ())
    return max([by_dtype, *(version for rank, version in rank_table if signature.rank >= rank)])


_TYPED_INPUT: Final = {"SPLIT": 1}  # which input decides, where not the first
_EIGHT: Final = {_INT8: 2}
_EIGHT_SIXTEEN: Final = {_INT8: 2, _INT16: 3}

_BY_DTYPE: Final[Mapping[str, Mapping[DType, int]]] = {
    "SIGN": {DType.INT32: 2},
    **dict.fromkeys(
        [
            "MAX_POOL_2D", "AVERAGE_POOL_2D", "SOFTMAX", "MEAN", "MIRROR_PAD", "REDUCE_MAX",
            "REDUCE_MIN", "RELU6", "RSQRT", "TANH", "LOGISTIC", "LESS", "GREATER_EQUAL", "TOPK_V2",
        ],
        _EIGHT_SIXTEEN,
    ),
    **dict.fromkeys(
        [
            "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPLIT_V", "SUM", "LOG_SOFTMAX", "GREATER",
            "LESS_EQUAL", "SQUARED_DIFFERENCE", "L2_NORMALIZATION",
        ],
        _EIGHT,
    ),
    **dict.fromkeys(["EXP", "LOG", "SQRT", "REDUCE_PROD"], {_INT8: 2, _INT16: 2}),
    "RELU": {_INT8: 2, _UINT8: 2, _INT16: 3},
    "GELU": {_INT8: 2, _UINT8: 2},
    "LEAKY_RELU": {_INT16: 2},
    "FLOOR_DIV": {_INT8: 3, _INT16: 3, DType.FLOAT32: 2},
    "FLOOR_MOD": {_INT8: 2, _INT16: 2},
    "EQUAL": {_INT8: 2, _INT16: 5},
    "NOT_EQUAL": {_INT8: 2, _INT16: 4},
    "ARG_MAX": {_INT8: 2, _BOOL: 3},
    "ARG_MIN": {_INT8: 2, _BOOL: 3},
    "TRANSPOSE": {_INT8: 2, _BOOL: 3, _INT16: 5, _INT4: 7},
    "CONCATENATION": {_INT8: 2, _INT16: 3, DType.UINT32: 4, _INT4: 5},
    "SPLIT": {_INT8: 2, DType.INT32: 3, _INT16: 4},
    "SLICE": {_INT8: 2, _INT16: 4, DType.UINT32: 6, _INT4: 7},
    "STRIDED_SLICE": {_INT8: 2, _BOOL: 3, DType.UINT32: 7},
    "PAD": {_INT8: 2, _INT16: 3, _BOOL: 5},
    "PADV2": {_INT8: 2, _INT16: 3, _BOOL: 5},
    "TILE": {_INT8: 3},
    "REVERSE_V2": {_BOOL: 2, _INT8: 3},
    "SELECT_V2": {DType.UINT32: 2},
}  # fmt: skip

# (rank from which on, version), where that alone decides
_BY_RANK: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "TRANSPOSE": ((5, 4), (6, 6), (7, 8)),
    "SLICE": ((5, 5),),
    "STRIDED_SLICE": ((5, 4),),
    "PAD": ((5, 4),),
    "PADV2": ((5, 4),),
}


def _conv(op: Signature) -> int:
    x, weights = op.inputs[0], op.inputs[1]
    if x is not None and weights is not None and x.shape[-1] != weights.shape[-1]:
        return 6  # grouped
    if op.is_hybrid:
        return 5 if op.has_per_channel_weights else 2
    if op.dtype(0) is _INT8:
        return 7 if op.dtype(1) is _INT4 else 3
    return 4 if op.dtype(0) is op.dtype(1) is _INT16 else 1


def _depthwise(op: Signature) -> int:
    if op.is_hybrid:
        return 6 if op.has_per_channel_weights else 4
    if op.dtype(0) is _INT8:
        return 7 if op.dtype(1) is _INT4 else 3
    if op.dtype(0) is op.dtype(1) is _INT16:
        return 5
    dilated = op.fields["dilation_h_factor"] != 1 or op.fields["dilation_w_factor"] != 1
    return 2 if dilated else 1


def _fully_connected(op: Signature) -> int:
    if op.is_hybrid and op.has_per_channel_weights:
        return 12
    weights = op.inputs[1]
    if weights is not None and weights.quant is not None and weights.quant.block:
        return 12
    if op.dtype(0) is _INT16:
        if op.dtype(1) is _INT4:
            return 13
        if op.dtype(1) is _INT16:
            return 7
    if op.dtype(0) is _INT8 and op.dtype(1) is _INT4:
        return 10
    if op.is_hybrid and op.fields["asymmetric_quantize_inputs"]:
        return 9
    if len(op.inputs) == 2:
        return 6
    if op.fields["keep_num_dims"]:
        return 5
    return 4 if op.dtype(0) is _INT8 else 3 if op.is_hybrid else 1


def _transpose_conv(op: Signature) -> int:
    if op.fields["fused_activation_function"]:
        return 4
    if len(op.inputs) == 4:
        return 3
    return 2 if op.dtype(1) is _INT8 else 1


def _lstm(op: Signature) -> int:
    weights = op.dtype(2)
    if op.dtype(0) is _INT16 and weights is _INT8:
        return 5
    return 2 if op.dtype(0) is DType.FLOAT32 and weights is _INT8 else 1


def _batch_matmul(op: Signature) -> int:
    if op.is_hybrid and op.fields["asymmetric_quantize_inputs"]:
        return 4
    return {_INT8: 2, _INT16: 3}.get(op.dtype(0) or DType.FLOAT32, 1)


def _add(op: Signature) -> int:
    if op.dtype(0) is _INT16:
        return 3 if op.is_quantized else 5
    return {_HALF: 6, DType.INT64: 4, _INT8: 2}.get(op.dtype(0) or DType.FLOAT32, 1)


def _sub(op: Signature) -> int:
    if op.dtype(0) is _INT16:
        return 5
    if op.dtype(0) is DType.INT64:
        return 4
    if op.broadcasts and op.rank > 4:
        return 3
    return 2 if op.dtype(0) is _INT8 else 1


def _mul(op: Signature) -> int:
    dtype = op.dtype(0)
    if dtype is _INT16:
        return 4 if op.is_quantized else 7
    by_dtype = {_HALF: 8, DType.UINT32: 7, DType.INT64: 5}.get(dtype or DType.FLOAT32, 0)
    if by_dtype:
        return by_dtype
    if op.is_quantized and _product_scale(op) >= 1:
        return 3
    return 2 if dtype is _INT8 else 1


def _product_scale(op: Signature) -> float:
    a, b = (v.quant.scale[0] for v in op.inputs if v is not None and v.quant is not None)
    quant = op.outputs[0].quant
    return 0.0 if quant is None else float(a) * float(b) / float(quant.scale[0])


def _div(op: Signature) -> int:
    return 2 if op.broadcasts and op.rank > 4 else 1


def _extremum(op: Signature) -> int:
    if op.dtype(0) is _INT16:
        return 4
    if op.broadcasts and op.rank > 4:
        return 3
    return 2 if op.dtype(0) is _INT8 else 1


def _abs(op: Signature) -> int:
    if op.dtype(0) is _INT16:
        return 3 if op.is_quantized else 4
    return {DType.INT32: 5, _INT8: 2, _UINT8: 2}.get(op.dtype(0) or DType.FLOAT32, 1)


def _resize(op: Signature) -> int:
    if op.dtype(0) is _INT16:
        return 4
    return 3 if op.fields["half_pixel_centers"] else 2 if op.dtype(0) is _INT8 else 1


def _resize_nearest(op: Signature) -> int:
    return max(_resize(op), 3 if op.fields["align_corners"] else 1)


def _space_to_batch(op: Signature) -> int:
    if op.dtype(0) is _INT16:
        return 4
    first = op.inputs[0]
    return 3 if first is not None and first.rank != 4 else 2 if op.dtype(0) is _INT8 else 1


def _gather(op: Signature) -> int:
    if op.dtype(0) is _INT4:
        return 7
    if op.dtype(1) is _INT16:
        return 6
    if op.fields["batch_dims"]:
        return 5
    return {_INT16: 4, _BOOL: 3, _INT8: 2}.get(op.dtype(0) or DType.FLOAT32, 1)


def _gather_nd(op: Signature) -> int:
    if op.dtype(0) is _BOOL:
        return 5
    return 4 if op.dtype(1) is _INT16 else 3 if op.dtype(0) is _INT16 else 1


def _dequantize(op: Signature) -> int:
    first = op.inputs[0]
    if first is not None and first.dtype is _INT8:
        return 5 if first.quant is not None and first.quant.axis is not None else 2
    return {_INT4: 6, _INT16: 3, _HALF: 3}.get(op.dtype(0) or DType.FLOAT32, 1)


def _quantize(op: Signature) -> int:
    out = op.outputs[0]
    if _INT4 in (op.dtype(0), out.dtype):
        return 4
    if out.quant is not None and out.quant.axis is not None:
        return 3
    return 2 if out.dtype is _INT16 else 1


def _cast(op: Signature) -> int:
    both = {op.dtype(0), op.outputs[0].dtype}
    if DType.BFLOAT16 in both:
        return 7
    if op.dtype(0) is _INT4:
        return 6
    if both & {DType.FLOAT64, _HALF}:
        return 5
    if DType.UINT16 in both:
        return 4
    if _INT8 in both:
        return 3
    return 2 if DType.UINT32 in both else 1


def _broadcast_to(op: Signature) -> int:
    return 3 if op.dtype(0) in (_INT8, _INT16) else 2  # version 1 was withdrawn


def _dynamic_update_slice(op: Signature) -> int:
    by_dtype = {_INT4: 5, _INT16: 4, _HALF: 3}.get(op.dtype(0) or DType.FLOAT32, 0)
    return by_dtype or (2 if op.dtype(2) is DType.INT64 else 1)


_RULES: Final[Mapping[str, Rule]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "BATCH_MATMUL": _batch_matmul,
    "ADD": _add,
    "SUB": _sub,
    "MUL": _mul,
    "DIV": _div,
    "MAXIMUM": _extremum,
    "MINIMUM": _extremum,
    "ABS": _abs,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _space_to_batch,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "DEQUANTIZE": _dequantize,
    "QUANTIZE": _quantize,
    "CAST": _cast,
    "BROADCAST_TO": _broadcast_to,
    "DYNAMIC_UPDATE_SLICE": _dynamic_update_slice,
}
