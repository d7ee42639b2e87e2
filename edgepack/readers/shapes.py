"""The static shapes of a model's inputs: what the file declares, and what `--input-shape` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgepack.errors import BadInput, BadModel
from edgepack.readers.options import ReadOptions

Shape = tuple[int, ...]

# A number, the name of a symbolic dimension, or None for one without a name.
Dim = int | str | None


def input_shapes(
    declared: Mapping[str, Sequence[Dim] | None], options: ReadOptions, *, fixed: bool = False
) -> dict[str, Shape]:
    """The shape of every input by its name; an open batch is 1 unless `options` says more.

    `declared` has None for an input whose rank is unknown. With `fixed`, numbers behind the first
    dimension are part of the model and cannot be changed.

    Raises BadModel for open dimensions that `options` does not fix, BadInput for names in it that
    the model does not have and for shapes that contradict the file.
    """
    asked = asked_shapes(list(declared), options)
    return {
        name: _suiting(name, dims, asked[name], fixed=fixed)
        if name in asked
        else _closed(name, dims)
        for name, dims in declared.items()
    }


def asked_shapes(names: Sequence[str], options: ReadOptions) -> dict[str, Shape]:
    """What `options` says of the inputs with these names; "" stands for the only one.

    Raises BadInput for unknown names and for dimensions below 1.
    """
    asked = {name: tuple(shape) for name, shape in options.input_shapes.items()}
    if "" in asked and len(names) == 1:
        asked[names[0]] = asked.pop("")
    for name, shape in asked.items():
        if name not in names:
            raise BadInput(
                f"--input-shape names {name!r}" if name else "--input-shape names no input",
                hint=f"the model has {', '.join(names) or 'no inputs'}",
            )
        if min(shape, default=1) < 1:
            raise BadInput(f"--input-shape {list(shape)} of input '{name}' has a dimension below 1")
    return asked


def _closed(name: str, dims: Sequence[Dim] | None) -> Shape:
    if dims is None:
        raise BadModel(
            f"input '{name}' has no shape", hint=f"give it: --input-shape {name}:1,3,224,224"
        )
    sizes = [1 if i == 0 and not isinstance(d, int) else d for i, d in enumerate(dims)]
    known = tuple(d for d in sizes if isinstance(d, int))
    if len(known) == len(sizes):
        return known
    unknown = [d or f"number {i}" for i, d in enumerate(sizes) if not isinstance(d, int)]
    raise BadModel(
        f"input '{name}' has unknown dimensions: {', '.join(unknown)}",
        hint=f"fix them: --input-shape {name}:{_text(sizes)} with numbers for the ?",
    )


def _suiting(name: str, dims: Sequence[Dim] | None, asked: Shape, *, fixed: bool) -> Shape:
    if dims is None:
        return asked
    # A batch of one in the file may be changed; any other fixed dimension is part of the model.
    behind = zip(dims[1:], asked[1:], strict=False)
    clash = fixed and any(isinstance(d, int) and d != a for d, a in behind)
    if len(dims) != len(asked) or clash:
        raise BadInput(
            f"--input-shape {list(asked)} does not suit input '{name}', which is [{_text(dims)}]"
        )
    return asked


def _text(dims: Sequence[Dim]) -> str:
    return ",".join(str(d) if isinstance(d, int) else "?" for d in dims)
