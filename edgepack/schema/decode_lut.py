"""Tables of values: each element is an index of 1 to 7 bits, most significant bit first.

There is a table for each scale of the tensor's quantization, along its first dimension or its last;
all are equally long. Their distance is a byte of the metadata, which may be 0: then all channels
read one table, which is what pays where channels differ by their scales only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, QuantParams, Value

MOST_BITS: Final = 7

_VERSION: Final = 1
_PER_TENSOR: Final = 15  # what stands for the axis of one table; interpreters ask the quantization
_MOST_ENTRIES: Final = 128
_TYPES: Final = (
    DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32, DType.BOOL
)  # fmt: skip


def pack_lut(
    data: Array, dtype: DType, quant: QuantParams | None
) -> tuple[npt.NDArray[np.uint8], bytes, bytes]:
    """(indices, own metadata, tables), with one table or one per channel, whichever is smaller.

    Raises ValueError when there are more than 128 values, or channels lie in the middle.
    """
    if dtype not in _TYPES:
        raise ValueError(f"tables hold no {dtype}")
    rows = channels_first(data, quant)
    if len(rows) > 1:
        _axis(data, quant)  # which must be one that kernels know, whatever the tables
    forms = [_indexed(data.reshape(1, -1)), _indexed(rows)] if len(rows) > 1 else [_indexed(rows)]
    sized = [form for form in forms if form is not None]
    if not sized:
        raise ValueError(f"it has more than {_MOST_ENTRIES} different values")
    indices, tables = min(sized, key=lambda form: _nbytes(*form))
    bits = bits_for(tables.shape[1])
    if len(tables) > 1:
        axis = _axis(data, quant)
        indices = from_channels_first(indices, data.shape, axis).reshape(-1)
    else:
        axis = _PER_TENSOR
    distance = tables.shape[1] if len(tables) == max(1, len(rows)) else 0
    own = bytes([_VERSION, axis << 4 | bits, distance])
    return pack_bits(indices.reshape(-1), bits), own, tables.tobytes()


def unpack_lut(
    encoded: npt.NDArray[np.uint8],
    own: npt.NDArray[np.uint8],
    tables: npt.NDArray[np.uint8],
    like: Value,
) -> Array:
    """The elements in order. Raises ValueError when indices leave the tables."""
    bits, distance = int(own[1]) & 7, int(own[2])
    if like.dtype not in _TYPES or bits == 0:
        raise ValueError(f"tables of {like.dtype} with indices of {bits} bits do not exist")
    width = like.dtype.numpy.itemsize
    values = np.frombuffer(tables[: tables.size // width * width].tobytes(), like.dtype.numpy)
    index = unpack_bits(encoded, bits, like.size)
    quant = like.quant
    if quant is not None and quant.axis is not None and quant.scale.size > 1:
        axis = _axis(np.empty(like.shape, np.bool_), quant)
        channel = np.arange(like.size) // int(np.prod(like.shape[axis + 1 :], dtype=np.int64))
        index = index + distance * (channel % quant.scale.size)
    if index.size and index.max() >= values.size:
        raise ValueError("an index lies beyond the tables")
    return values[index]


def channels_first(data: Array, quant: QuantParams | None) -> Array:
    """`data` as [channels, elements]: those that have a scale of their own, else one."""
    if quant is None or quant.axis is None or quant.scale.size == 1:
        return data.reshape(1, -1)
    return np.moveaxis(data, quant.axis, 0).reshape(quant.scale.size, -1)


def from_channels_first(rows: Array, shape: tuple[int, ...], axis: int) -> Array:
    """The way back: an array of `shape` whose dimension `axis` is the first of `rows`."""
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.moveaxis(rows.reshape(moved), 0, axis)


def bits_for(entries: int) -> int:
    """Bits of an index into a table."""
    return max(1, (entries - 1).bit_length())


def pack_bits(numbers: Array, bits: int) -> npt.NDArray[np.uint8]:
    """Whole numbers below 2**bits, most significant bit first, filled up with zeros to bytes."""
    shifts = np.arange(bits - 1, -1, -1)
    spread = (numbers.astype(np.int64)[:, None] >> shifts) & 1
    return np.packbits(spread.astype(np.uint8).reshape(-1))


def unpack_bits(encoded: npt.NDArray[np.uint8], bits: int, count: int) -> npt.NDArray[np.int64]:
    """The way back from `pack_bits`. Raises ValueError when there are too few bytes."""
    if encoded.size * 8 < bits * count:
        raise ValueError(f"{count} indices of {bits} bits do not lie in {encoded.size} bytes")
    spread = np.unpackbits(encoded, count=bits * count).reshape(count, bits)
    numbers: npt.NDArray[np.int64] = spread.astype(np.int64) @ (1 << np.arange(bits - 1, -1, -1))
    return numbers


def _axis(data: Array, quant: QuantParams | None) -> int:
    assert quant is not None
    assert quant.axis is not None  # there are channels
    axis = quant.axis % data.ndim
    if axis not in (0, data.ndim - 1):
        raise ValueError(f"its channels lie along dimension {axis}, neither the first nor the last")
    return axis


def _indexed(rows: Array) -> tuple[Array, Array] | None:
    """(indices [rows, n], tables [rows, entries]); None when a row has too many values."""
    found = [np.unique(row, return_inverse=True) for row in rows]
    entries = max(len(values) for values, _ in found)
    if entries > _MOST_ENTRIES:
        return None
    tables = np.zeros((len(rows), entries), rows.dtype)
    for table, (values, _) in zip(tables, found, strict=True):
        table[: len(values)] = values
    return np.stack([index.reshape(-1) for _, index in found]), tables


def _nbytes(indices: Array, tables: Array) -> int:
    return -(-indices.size * bits_for(tables.shape[1]) // 8) + tables.nbytes
