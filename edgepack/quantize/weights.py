"""Weights and biases: symmetric integers, per channel where the kernel takes it.

TFLite 8-bit quantization specification: weights int8 in [-127, 127], zero point 0; bias int32
(int64 with int16 activations), zero point 0, scale = input scale * weight scale.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, QuantParams

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
