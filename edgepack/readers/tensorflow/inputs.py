"""Static shapes for inputs that declare symbolic ones."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.errors import BadInput
from edgepack.readers.options import ReadOptions


def static_shape(
    name: str, shape: Sequence[int | None] | None, options: ReadOptions, names: Sequence[str]
) -> tuple[int, ...]:
    """The shape of input `name` of those called `names`; an open batch is 1.

    Raises BadInput for other open dimensions that `options` does not fix, and for names in
    `options` that the model does not have.
    """
    unknown = [n for n in options.input_shapes if n and n not in names]
    if unknown:
        raise BadInput(
            f"the model has no input called {', '.join(unknown)}", hint=f"it has {', '.join(names)}"
        )
    given = options.input_shapes.get(name)
    if given is None and len(names) == 1:
        given = options.input_shapes.get("")
    if given is not None:
        return tuple(given)
    if shape is None or any(d is None or d < 0 for d in shape[1:]):
        said = "unknown" if shape is None else str(tuple(shape))
        raise BadInput(f"the shape of input '{name}' is {said}", hint="--input-shape fixes it")
    return tuple(1 if d is None or d < 0 else int(d) for d in shape)
