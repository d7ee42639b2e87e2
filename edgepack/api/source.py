"""Whatever the user calls a model, read into a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.api.options import ExportOptions
from edgepack.ir import Graph
from edgepack.readers.load import load_graph, load_object


def read_source(model: Any, options: ExportOptions) -> Graph:
    """The graph of a path, a `file.py:factory`, an nn.Module, a Keras model or a Graph.

    Raises BadInput, BadModel or Unsupported with what to do about it.
    """
    if isinstance(model, Graph):
        return model.copy()
    if isinstance(model, str | Path):
        return load_graph(model, options.read_options())
    return load_object(model, options.read_options())


def load(model: Any, **options: Any) -> Graph:
    """Read `model` into a graph as it is written, before any pass."""
    return read_source(model, ExportOptions.of(options))
