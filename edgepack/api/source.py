"""Whatever the user calls a model, read into a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.api.options import ExportOptions
from edgepack.errors import BadInput
from edgepack.ir import Graph
from edgepack.readers.load import load_graph


def read_source(model: Any, options: ExportOptions) -> Graph:
    """The graph of a path, a `file.py:factory`, an nn.Module, a Keras model or a Graph.

    Raises BadInput, BadModel or Unsupported with what to do about it.
    """
    if isinstance(model, Graph):
        return model.copy()
    if isinstance(model, str | Path):
        return load_graph(model, options.read_options())
    module = type(model).__module__.partition(".")[0]
    kinds = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if "torch" in kinds:
        from edgepack.readers.torch import read_torch

        return read_torch(model, options.read_options())
    if kinds & {"keras", "tensorflow"}:
        from edgepack.readers.tensorflow import read_keras

        return read_keras(model, options.read_options())
    raise BadInput(
        f"cannot read a model from {module}.{type(model).__name__}",
        hint="give a path, 'file.py:factory', an nn.Module or a Keras model",
    )


def load(model: Any, **options: Any) -> Graph:
    """Read `model` into a graph as it is written, before any pass."""
    return read_source(model, ExportOptions.of(options))
