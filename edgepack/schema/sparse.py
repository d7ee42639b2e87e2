"""Constants that TFLite files hold without their zeros, and that the operator DENSIFY fills up.

A tensor's `sparsity` names the order in which its axes are walked through, blocks that an axis is
cut into (`blockMap`, walked last), and for each level of the walk whether all of it is there
(dense) or only what is listed: segments and indices, as in compressed sparse rows. The buffer holds
the elements that are reached. What is not reached is zero: the integer, whatever the zero point.
Facts: schema.fbs and kernels/internal/utils/sparsity_format_converter.cc of LiteRT.

One level is enough here: the axis that is compressed is the last one walked through, in blocks
along the constant's last axis or without. Of all such forms the smallest is taken. Files of others
are read whatever they have.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, DType, Sparse, Value
from edgepack.schema import tflite as fmt

TYPES: Final = (DType.FLOAT32, DType.FLOAT16, DType.INT8)  # what DENSIFY's kernel fills up
_OPERATOR_BYTES: Final = 256  # of the operator, its tensor and the sparsity's tables in a file
_BLOCKS: Final = (1, 2, 4, 8, 16)
_VECTORS: Final = {1: "Uint8Vector", 2: "Uint16Vector", 4: "Int32Vector"}

_Ints = npt.NDArray[np.int64]


def smaller(value: Value) -> Sparse | None:
    """The smallest form of a constant; None where it takes no less than what is there.

    The operator counts, too. What is nothing but zeros stays: an empty buffer is no constant.
    """
    data = value.const
    if value.dtype not in TYPES or not data.ndim or not data.any():
        return None
    form = smallest(data)
    return form if form.nbytes + _OPERATOR_BYTES < data.nbytes else None


def smallest(data: Array) -> Sparse:
    """The smallest form of a constant of rank 1 or more that has elements; it may be larger."""
    sizes = {}
    for block in _BLOCKS:
        if data.shape[-1] % block == 0:
            kept = int((data.reshape(-1, block) != 0).any(axis=1).sum())
            for axis in range(data.ndim):
                sizes[_bytes(data, axis, block, kept)] = axis, block
    return encode(data, *sizes[min(sizes)])


def _bytes(data: Array, axis: int, block: int, kept: int) -> int:
    """Bytes with `kept` blocks, where `axis` is compressed."""
    along = data.shape[axis] // (block if axis == data.ndim - 1 else 1)
    lines = data.size // block // along
    each = _width(along - 1) + block * data.itemsize
    return int(kept * each + (lines + 1) * _width(kept))


def encode(data: Array, axis: int, block: int = 1) -> Sparse:
    """`data` with `axis` compressed, in blocks along its last axis, which they divide."""
    order = (*(i for i in range(data.ndim) if i != axis), axis)
    blocks = data.reshape(*data.shape[:-1], -1, block).transpose(*order, data.ndim)
    kept = (blocks != 0).any(axis=-1)
    lines = kept.reshape(-1, kept.shape[-1])
    segments = np.concatenate([[0], np.cumsum(lines.sum(axis=1))])
    return Sparse(
        order, _narrow(segments), _narrow(np.nonzero(lines)[1], lines.shape[1] - 1), blocks[kept]
    )


def _narrow(numbers: _Ints, largest: int | None = None) -> Array:
    most = int(numbers.max(initial=0)) if largest is None else largest
    kinds = {1: np.uint8, 2: np.uint16, 4: np.int32}
    found: Array = numbers.astype(kinds[_width(most)])
    return found


def _width(largest: int) -> int:
    """Bytes of the smallest index type that holds numbers up to `largest`."""
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4


# -- as the file has it ----------------------------------------------------------------------------


def record_of(sparse: Sparse, shape: tuple[int, ...]) -> Any:
    """The schema's SparsityParametersT of a constant of this shape."""
    s, block = fmt.schema(), sparse.values.shape[1]
    sizes = (*shape[:-1], shape[-1] // block)
    levels = [_dense(sizes[axis]) for axis in sparse.order[:-1]]
    compressed = s.DimensionMetadataT()
    compressed.format = s.DimensionType.SPARSE_CSR
    compressed.arraySegmentsType, compressed.arraySegments = _vector(sparse.segments)
    compressed.arrayIndicesType, compressed.arrayIndices = _vector(sparse.indices)
    order, blocked = [*sparse.order], block > 1
    record = s.SparsityParametersT()
    record.traversalOrder = np.array([*order, len(order)] if blocked else order, np.int32)
    record.blockMap = np.array([len(order) - 1], np.int32) if blocked else None
    record.dimMetadata = [*levels, compressed, *([_dense(block)] if blocked else [])]
    return record


def _dense(size: int) -> Any:
    level = fmt.schema().DimensionMetadataT()
    level.denseSize = size
    return level


def _vector(numbers: Array) -> tuple[int, Any]:
    s, name = fmt.schema(), _VECTORS[numbers.itemsize]
    vector = getattr(s, f"{name}T")()
    vector.values = numbers
    return getattr(s.SparseIndexVector, name), vector


def densified(record: Any, values: Array, shape: tuple[int, ...]) -> Array:
    """The whole constant, of its SparsityParametersT and the elements in its buffer, flat.

    Raises ValueError when they contradict themselves or the shape.
    """
    order, blocks = _list(record.traversalOrder), _list(record.blockMap)
    levels, rank = record.dimMetadata or [], len(shape)
    if len(levels) != len(order) or sorted(order) != list(range(rank + len(blocks))):
        raise ValueError(f"its sparsity does not suit rank {rank}")
    if sorted(order[:rank]) != list(range(rank)) or sorted(set(blocks)) != blocks:
        raise ValueError("its sparsity walks through blocks before axes, which no runtime reads")
    sizes = [*shape, *(0 for _ in blocks)]
    for number, axis in enumerate(blocks, start=rank):
        sizes[number] = size = int(levels[order.index(number)].denseSize)
        if not 0 <= axis < rank or size < 1 or shape[axis] % size:
            raise ValueError(f"blocks of {size} do not divide axis {axis} of {list(shape)}")
        sizes[axis] //= size
    at = _walk(order, levels, sizes, values.size)
    if len(at[0]) != values.size:
        raise ValueError(
            f"its sparsity reaches {len(at[0])} elements, its buffer has {values.size}"
        )
    for number, axis in enumerate(blocks, start=rank):
        at[axis] = at[axis] * sizes[number] + at[number]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(at[:rank])] = values
    return dense


def _walk(order: list[int], levels: list[Any], sizes: list[int], elements: int) -> list[_Ints]:
    """Where the elements lie that are reached, one array for each axis and block."""
    most = max(
        [
            elements,
            *(
                len(_list(level.arraySegments.values))
                for level in levels
                if level.arraySegments is not None
            ),
        ]
    )
    at: dict[int, _Ints] = {}
    line = np.zeros(1, np.int64)  # the number, at the level before, of what was reached
    for axis, level in zip(order, levels, strict=True):
        if level.format == fmt.schema().DimensionType.DENSE:
            if level.denseSize != sizes[axis]:
                raise ValueError(f"its sparsity has {level.denseSize} instead of {sizes[axis]}")
            if line.size * sizes[axis] > most:  # a damaged file might ask for any amount of memory
                raise ValueError("its sparsity reaches more than there is")
            counts = np.full(line.size, sizes[axis])
            index = np.tile(np.arange(sizes[axis]), line.size)
            found = np.repeat(line * sizes[axis], sizes[axis]) + index
        else:
            segments, indices = _numbers(level.arraySegments), _numbers(level.arrayIndices)
            _check(segments, indices, line, sizes[axis])
            counts = segments[line + 1] - segments[line]
            before = np.repeat(np.cumsum(counts) - counts, counts)
            found = np.repeat(segments[line], counts) + np.arange(counts.sum()) - before
            index = indices[found]
        at = {known: np.repeat(where, counts) for known, where in at.items()}
        at[axis], line = index, found
    return [at[axis] for axis in sorted(at)]


def _check(segments: _Ints, indices: _Ints, line: _Ints, size: int) -> None:
    """Raise ValueError for segments and indices that lead nowhere."""
    if line.size and line.max() + 1 >= segments.size:
        raise ValueError("its sparsity has too few segments")
    if (np.diff(segments) < 0).any() or (segments < 0).any() or (segments > indices.size).any():
        raise ValueError("its sparsity has segments that are not in order")
    if ((indices < 0) | (indices >= size)).any():
        raise ValueError(f"its sparsity has an index beyond {size}")


def _numbers(vector: Any) -> _Ints:
    return np.array(_list(vector.values if vector is not None else None), np.int64)


def _list(numbers: Any) -> list[int]:
    return [] if numbers is None else [int(n) for n in numbers]
