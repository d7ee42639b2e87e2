"""The user's layer names out of the scopes that Keras and TensorFlow make of them.

Keras 3 opens a layer's scope twice, for building and for calling, and TensorFlow makes the second
one unique: the layer `conv2d` is called under `model_1/conv2d_1`, and a layer of that very name
under another one. The numbering is repeated here to find the names again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Names:
    """Unique names as TensorFlow hands them out within one scope."""

    used: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        count = self.used.get(name, 0)
        self.used[name] = count + 1
        if count == 0:
            return name
        candidate = f"{name}_{count}"
        while candidate in self.used:
            count += 1
            candidate = f"{name}_{count}"
        self.used[candidate] = 1
        return candidate


@dataclass(frozen=True, slots=True)
class Scopes:
    """The layers of a model by the scope that each is called under, nested models within."""

    layers: dict[str, tuple[str, Scopes | None]]

    def readable(self, path: str) -> str:
        """`conv2d/convolution` for `model_1/conv2d_1/convolution`; what is not known stays."""
        first, _, rest = path.partition("/")
        if first not in self.layers:
            return path
        name, inner = self.layers[first]
        rest = inner.readable(rest) if inner is not None and rest else rest
        return "/".join(part for part in (name, rest) if part)


def scopes_of(model: Any, root: str) -> Scopes:
    """The scopes of a model whose own is called `root`."""
    twice = root != model.name
    return Scopes({root: ("", _inside(model, twice))})


def _inside(model: Any, twice: bool) -> Scopes:
    names, layers = _Names(), {}
    operations: Any = getattr(model, "operations", None) or getattr(model, "layers", ())
    for operation in operations:
        if type(operation).__name__ == "InputLayer":
            continue
        if twice:
            names.unique(operation.name)
        inner = _inside(operation, twice) if hasattr(operation, "layers") else None
        layers[names.unique(operation.name)] = (operation.name, inner)
    return Scopes(layers)
