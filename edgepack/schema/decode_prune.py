"""Pruned constants: a bit for each element, and the elements whose bit is set, in order.

Where a bit is clear stands the zero point, so the real number is zero.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, QuantParams, Value
from edgepack.schema.decode_lut import channels_first, from_channels_first

_VERSION: Final = 1
_TYPES: Final = (
    DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32, DType.BOOL
)  # fmt: skip


def pack_prune(
    data: Array, dtype: DType, quant: QuantParams | None
) -> tuple[npt.NDArray[np.uint8], bytes, bytes]:
    """(bits, own metadata, elements). Raises ValueError for types that kernels do not fill in."""
    zeros = _zeros(data.shape, dtype, quant)
    kept = data.reshape(-1) != zeros
    return np.packbits(kept), bytes([_VERSION]), data.reshape(-1)[kept].tobytes()


def unpack_prune(
    encoded: npt.NDArray[np.uint8],
    own: npt.NDArray[np.uint8],
    tables: npt.NDArray[np.uint8],
    like: Value,
) -> Array:
    """The elements in order. Raises ValueError when there are fewer than bits set."""
    flat = _zeros(like.shape, like.dtype, like.quant).copy()
    if encoded.size * 8 < flat.size:
        raise ValueError(f"{flat.size} bits do not lie in {encoded.size} bytes")
    kept = np.unpackbits(encoded, count=flat.size).astype(bool)
    width = flat.itemsize
    values = np.frombuffer(tables[: tables.size // width * width].tobytes(), flat.dtype)
    if kept.sum() > values.size:
        raise ValueError(f"{values.size} elements are fewer than the bits that are set")
    flat[kept] = values[: kept.sum()]
    return flat


def _zeros(shape: tuple[int, ...], dtype: DType, quant: QuantParams | None) -> Array:
    """What stands where a bit is clear, flat."""
    if dtype not in _TYPES:
        raise ValueError(f"no {dtype} is stored pruned")
    size = int(np.prod(shape, dtype=np.int64))
    if quant is None or not quant.zero_point.any():
        return np.zeros(size, dtype.numpy)
    if dtype is not DType.INT8:
        raise ValueError(f"zero points of {dtype} must be 0")
    if quant.axis is None:
        return np.full(size, quant.zero_point[0], dtype.numpy)
    rows = channels_first(np.zeros(shape, dtype.numpy), quant)
    rows = rows + quant.zero_point.astype(dtype.numpy)[:, None]
    return from_channels_first(rows, shape, quant.axis % len(shape)).reshape(-1)
