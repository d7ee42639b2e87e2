"""Weights and biases: symmetric integers, per channel where the kernel takes it.

TFLite 8-bit quantization specification: weights int8 in [-127, 127], zero point 0; bias int32
(int64 with int16 activations), zero point 0, scale = input scale * weight scale.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, QuantParams

_BITS: Final = 8  # of precision in bfloat16
_LEAST_SCALE, _LARGEST_SCALE = 2.0**-14, 2.0**15  # what float16 holds in full precision
_BIAS_ROOM: Final = 2.0**30  # a bias may take half of int32, the accumulator needs the rest


def weight_params(
    w: Array,
    dtype: DType,
    axis: int | None,
    *,
    bias: Array | None = None,
    input_scale: float = 1.0,
) -> QuantParams:
    """Symmetric parameters of `w`, per channel along `axis` or per tensor when that is None.

    A channel of zeros gets the scale its bias needs: never zero, and never so small that the bias
    [channels] overflows int32.
    """
    other = None if axis is None else tuple(i for i in range(w.ndim) if i != axis % w.ndim)
    largest = np.abs(w.astype(np.float64)).max(axis=other).reshape(-1)
    top = dtype.limits[1]
    scale = largest / top
    if bias is not None:
        needed = np.abs(bias.astype(np.float64)) / (input_scale * _BIAS_ROOM)
        scale = np.maximum(scale, needed if axis is not None else needed.max())
    scale = np.where(scale > 0, scale, 1.0 / top)
    scale = np.maximum(scale, np.finfo(np.float32).tiny / min(input_scale, 1.0))
    if axis is None:
        return QuantParams.per_tensor(float(scale[0]))
    return QuantParams.per_channel(scale, axis % w.ndim)


def block_params(w: Array, block: int) -> QuantParams:
    """Symmetric int4 parameters for each `block` neighbours of `w` in its last dimension.

    Scales are rounded up to numbers that float16 and bfloat16 both hold: TFLite files have the
    former, XNNPACK computes with the latter. None is larger than float16's largest, nor zero.
    """
    blocks = w.reshape(-1, block).astype(np.float64)
    wanted = np.abs(blocks).max(axis=1) / DType.INT4.limits[1]
    scale = np.clip(np.where(wanted > 0, wanted, 1.0), _LEAST_SCALE, _LARGEST_SCALE)
    fraction, power = np.frexp(scale)
    return QuantParams.per_block(np.ldexp(np.ceil(fraction * 2**_BITS) / 2**_BITS, power), block)


def quantize_weights(w: Array, params: QuantParams, dtype: DType) -> Array:
    """Nearest integers, symmetric: the lowest one is left out."""
    top = dtype.limits[1]
    return np.clip(params.quantize(w, dtype), -top, top)


def bias_params(input_scale: float, weights: QuantParams) -> QuantParams:
    """Input scale times weight scale, per channel of the bias where the weights are."""
    scale: npt.NDArray[np.float64] = weights.scale.astype(np.float64) * input_scale
    if weights.axis is None:
        return QuantParams.per_tensor(float(scale[0]))
    return QuantParams.per_channel(scale, 0)
