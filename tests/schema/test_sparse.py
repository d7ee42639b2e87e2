"""Constants without their zeros: what is filled up is what there was, and damage is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.ir import DType, Value
from edgepack.schema import sparse
from edgepack.schema import tflite as fmt


def with_zeros(shape: tuple[int, ...], share: float, dtype: str = "float32", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    data = rng.integers(1, 127, shape).astype(dtype)
    data[rng.random(shape) < share] = 0
    return data


def through_a_file(form: Any, shape: tuple[int, ...]) -> Any:
    """The record as a flatbuffer, read again."""
    import flatbuffers

    builder = flatbuffers.Builder(64)
    builder.Finish(sparse.record_of(form, shape).Pack(builder))
    return fmt.schema().SparsityParametersT.InitFromPackedBuf(bytes(builder.Output()))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    blocks=st.integers(1, 3),
    block=st.sampled_from([1, 2, 4]),
    share=st.floats(0, 1),
    where=st.data(),
    dtype=st.sampled_from(["float32", "float16", "int8"]),
)
def test_filled_up(
    shape: list[int], blocks: int, block: int, share: float, where: Any, dtype: str
) -> None:
    full = (*shape, blocks * block)
    data = with_zeros(full, share, dtype)
    form = sparse.encode(data, where.draw(st.integers(0, len(full) - 1)), block)
    found = sparse.densified(through_a_file(form, full), form.values.reshape(-1), full)
    np.testing.assert_array_equal(found, data)


@pytest.mark.parametrize(
    ("shape", "block", "order"),
    [
        ((8, 64), 1, (0, 1)),
        ((64, 8), 1, (1, 0)),
        ((300, 400), 1, (0, 1)),
        ((256, 400), 1, (1, 0)),
        ((16, 1, 1, 512), 4, (0, 1, 2, 3)),
    ],
)
def test_smallest(shape: tuple[int, ...], block: int, order: tuple[int, ...]) -> None:
    """The longest axis whose indices fit in a byte, blocks where zeros come in blocks."""
    data = np.repeat(with_zeros((*shape[:-1], shape[-1] // block), 0.8), block, axis=-1)
    form = sparse.smallest(data)
    assert (form.order, form.values.shape[1]) == (order, block)
    every = [
        sparse.encode(data, axis, b).nbytes for axis in range(data.ndim) for b in (1, 2, 4, 8)
    ]  # fmt: skip
    assert form.nbytes == min(every)


@pytest.mark.parametrize(
    ("share", "dtype", "gains"),
    [(0.4, "float32", True), (0.1, "float32", False), (0.6, "int8", True), (0.45, "int8", False),
     (1.0, "float32", False)],
)  # fmt: skip
def test_only_where_it_takes_less(share: float, dtype: str, gains: bool) -> None:
    data = with_zeros((64, 128), share, dtype)
    form = sparse.smaller(Value("w", data.shape, DType.of(data), data=data))
    assert (form is not None) == gains


def test_four_bits_stay() -> None:
    data = with_zeros((64, 64), 0.9, "int8")
    assert sparse.smaller(Value("w", data.shape, DType.INT4, data=data)) is None


DAMAGE: dict[str, tuple[Any, str]] = {
    "an order of too few axes": (lambda r: setattr(r, "traversalOrder", [0]), "rank 2"),
    "an axis twice": (lambda r: setattr(r, "traversalOrder", [0, 0, 2]), "rank 2"),
    "blocks before axes": (lambda r: setattr(r, "traversalOrder", [2, 0, 1]), "before axes"),
    "blocks that do not divide": (lambda r: setattr(r.dimMetadata[2], "denseSize", 3), "divide"),
    "blocks of nothing": (lambda r: setattr(r.dimMetadata[2], "denseSize", 0), "divide"),
    "a block of no axis": (lambda r: setattr(r, "blockMap", [7]), "rank|out of range|axis 7"),
    "another size": (lambda r: setattr(r.dimMetadata[0], "denseSize", 7), "7 instead of 6"),
    "too few segments": (
        lambda r: setattr(r.dimMetadata[1].arraySegments, "values", [0, 1]), "too few segments"
    ),
    "segments that fall": (
        lambda r: setattr(r.dimMetadata[1].arraySegments, "values", [0, 3, 2, 3, 4, 5, 6]), "order"
    ),
    "segments beyond": (
        lambda r: setattr(r.dimMetadata[1].arraySegments, "values", [0, 1, 2, 3, 4, 5, 99]), "order"
    ),
    "an index beyond": (
        lambda r: r.dimMetadata[1].arrayIndices.values.__setitem__(0, 250), "beyond 4"
    ),
    "no segments": (lambda r: setattr(r.dimMetadata[1], "arraySegments", None), "segments"),
    "elements that are missing": (
        lambda r: setattr(r.dimMetadata[1].arraySegments, "values", [0] * 7), "reaches 0 elements"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(name: str) -> None:
    change, words = DAMAGE[name]
    data = np.repeat(with_zeros((6, 4), 0.5), 2, axis=1)
    form = sparse.encode(data, 1, 2)
    record = sparse.record_of(form, data.shape)
    np.testing.assert_array_equal(
        sparse.densified(record, form.values.reshape(-1), data.shape), data
    )
    change(record)
    with pytest.raises(ValueError, match=words):
        sparse.densified(record, form.values.reshape(-1), data.shape)


def test_forms_that_we_do_not_write() -> None:
    """Both axes compressed: the rows that are empty are not even listed."""
    s = fmt.schema()
    rows, columns = s.DimensionMetadataT(), s.DimensionMetadataT()
    for level, segments, indices in ((rows, [0, 2], [1, 3]), (columns, [0, 2, 3], [0, 4, 2])):
        level.format = s.DimensionType.SPARSE_CSR
        level.arraySegments, level.arrayIndices = s.Int32VectorT(segments), s.Int32VectorT(indices)
    record = s.SparsityParametersT([0, 1], None, [rows, columns])
    wanted = np.zeros((5, 6), np.float32)
    wanted[1, 0], wanted[1, 4], wanted[3, 2] = 1, 2, 3
    found = sparse.densified(record, np.array([1, 2, 3], np.float32), (5, 6))
    np.testing.assert_array_equal(found, wanted)
