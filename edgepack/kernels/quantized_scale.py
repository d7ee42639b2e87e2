"""What quantized kernels ask of a node: scales, zero points, limits, and the way back to integers.

TFLite computes its multipliers partly in float32 and partly in float64; which, is part of the bits,
so scales come out as numpy float32 scalars and each kernel says where it widens them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.errors import Finding, InternalError, Unsupported
from edgepack.ir import Array, DType, Node, QuantParams, Value
from edgepack.kernels import fixed_point as fp

_FUSED = {"none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}


def params(value: Value) -> QuantParams:
    """The parameters of a value that must have them."""
    if value.quant is None:
        raise InternalError(f"{value.name} has no quantization parameters")
    return value.quant


def scale(value: Value) -> np.float32:
    """The scale of a per-tensor value."""
    return np.float32(params(value).scale[0])


def zero(value: Value) -> int:
    """The zero point of a per-tensor value."""
    return int(params(value).zero_point[0])


def double(x: Any) -> np.float64:
    """A float32 scalar as float64."""
    return np.float64(x)


def offset(value: Value, array: Array) -> fp.Ints:
    """Integers less their zero point, int64; per channel where the parameters are."""
    quant = params(value)
    if quant.axis is None:
        return array.astype(np.int64) - int(quant.zero_point[0])
    shape = [1] * array.ndim
    shape[quant.axis] = -1
    return array.astype(np.int64) - quant.zero_point.reshape(shape)


def limits(node: Node) -> tuple[int, int]:
    """The integers between which the fused activation keeps the output."""
    low, high = node.output.dtype.limits
    below, above = _FUSED[node.attrs.get("activation", "none")]
    return (
        low if below is None else max(low, quantized_limit(node.output, below)),
        high if above is None else min(high, quantized_limit(node.output, above)),
    )


def quantized_limit(value: Value, real: float) -> int:
    """The integer that stands for `real` in `value`, not saturated; divided in float32."""
    return zero(value) + int(fp.round_half_away(np.float32(real) / scale(value)))


def finish(node: Node, x: Any) -> Array:
    """Integers less the output's zero point, as the output: shifted, clamped, cast."""
    y: Array = np.clip(x + zero(node.output), *limits(node))
    return y.astype(node.output.dtype.numpy)


def saturate(value: Value, x: Any) -> Array:
    """Integers as elements of `value`, saturated to its type."""
    y: Array = np.clip(x, *value.dtype.limits)
    return y.astype(value.dtype.numpy)


def refuse(node: Node, reason: str) -> Unsupported:
    """The error for a combination that TFLite has no integer kernel for."""
    finding = Finding(node.name, node.op, str(node.output.dtype), reason)
    return Unsupported("there is no reference kernel", [finding])


def wide(node: Node, bias: Value | None) -> bool:
    """Whether sums are kept in 64 bits: 16-bit activations, with a 64-bit bias or without one."""
    return node.input(0).dtype is DType.INT16 and (bias is None or bias.dtype is DType.INT64)


def exact_matmul(a: Array, b: Array) -> fp.Ints:
    """The integer product of whole numbers [..., M, K] and [..., K, N], by way of BLAS.

    Floating point is exact while every partial sum fits the mantissa: float32 up to 2**24, which
    most layers of int8 stay below, float64 up to 2**53.
    """
    largest = float(np.abs(a).max(initial=0))
    bound = largest * float(np.abs(b).sum(axis=-2, dtype=np.float64).max(initial=0))
    kind = np.float32 if bound < 2**24 else np.float64 if bound < 2**53 else np.int64
    product: Array = np.matmul(a.astype(kind), b.astype(kind))
    return product.astype(np.int64)
