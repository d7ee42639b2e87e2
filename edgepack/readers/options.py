"""What a user may say about a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a model.

    `input_shapes` replaces the shape of an input by name; the name "" means the only input. It
    fixes symbolic dimensions, which are otherwise 1 for the batch and an error elsewhere.
    `weights` is a state dict for a `file.py:factory`. Code in model files runs only with `trust`.
    """

    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weights: str | None = None
    trust: bool = False
