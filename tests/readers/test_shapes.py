"""The shapes of inputs, by what files declare and users ask for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgepack.errors import BadInput
from edgepack.readers.options import ReadOptions
from edgepack.readers.shapes import Dim, Shape, input_shapes

Declared = dict[str, Sequence[Dim] | None]

CLOSED: dict[str, tuple[Declared, dict[str, Shape], dict[str, Shape]]] = {
    "numbers": ({"x": (2, 3)}, {}, {"x": (2, 3)}),
    "a scalar": ({"x": ()}, {}, {"x": ()}),
    "an open batch": ({"x": (None, 3)}, {}, {"x": (1, 3)}),
    "a named batch": ({"x": ("N", 3)}, {}, {"x": (1, 3)}),
    "by name": ({"x": ("N", "h"), "y": (4,)}, {"x": (5, 6)}, {"x": (5, 6), "y": (4,)}),
    "the only one": ({"x": ("N", "h")}, {"": (5, 6)}, {"x": (5, 6)}),
    "no rank": ({"x": None}, {"x": (5, 6)}, {"x": (5, 6)}),
    "another batch": ({"x": (1, 3)}, {"x": (5, 3)}, {"x": (5, 3)}),
    "none": ({}, {}, {}),
}

REFUSED: dict[str, tuple[Declared, dict[str, Shape], str]] = {
    "no rank": ({"x": None}, {}, "input 'x' has no shape"),
    "open": ({"x": (2, "h", None)}, {}, "unknown dimensions: h, number 2"),
    "unknown name": ({"x": (2,), "y": (2,)}, {"z": (3,)}, "names 'z'"),
    "which of two": ({"x": (2,), "y": (2,)}, {"": (3,)}, "names no input"),
    "no inputs": ({}, {"z": (3,)}, "the model has no inputs"),
    "nothing": ({"x": (2, 3)}, {"x": (0, 3)}, "dimension below 1"),
    "rank": ({"x": ("N", 3)}, {"x": (1, 3, 3)}, r"input 'x', which is \[\?,3\]"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_it_is_closed(name: str) -> None:
    declared, asked, expected = CLOSED[name]
    assert input_shapes(declared, ReadOptions(asked)) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name: str) -> None:
    declared, asked, message = REFUSED[name]
    with pytest.raises(BadInput) as caught:
        input_shapes(declared, ReadOptions(asked))
    caught.match(message)


def test_numbers_of_the_file_may_be_part_of_the_model() -> None:
    asked = ReadOptions({"x": (1, 4)})
    assert input_shapes({"x": (1, 3)}, asked) == {"x": (1, 4)}
    with pytest.raises(BadInput, match="does not suit"):
        input_shapes({"x": (1, 3)}, asked, fixed=True)
