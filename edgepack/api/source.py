"""Whatever the user calls a model, read into a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.api.options import ExportOptions
from edgepack.errors import BadInput, BadModel
from edgepack.ir import Graph
from edgepack.readers.load import load_graph, load_object


def read_source(model: Any, options: ExportOptions) -> Graph:
    """The graph of a path, a `file.py:factory`, an nn.Module, a Keras model or a Graph.

    Raises BadInput, BadModel or Unsupported with what to do about it.
    """
    if isinstance(model, Graph):
        return model.copy()
    if isinstance(model, str | Path):
        _refuse_mistaken_path(str(model))
        graph = load_graph(model, options.read_options())
    else:
        graph = load_object(model, options.read_options())
    _refuse_nothing(graph)
    return graph


def _refuse_mistaken_path(model: str) -> None:
    if not model:
        raise BadInput("the model's name is empty", hint="a variable that is not set?")
    if "://" in model:
        raise BadInput(f"{model} is an address", hint="download the model and give the file")
    if (Path(model) / "report.json").is_file():
        raise BadInput(
            f"{model} is what `edgepack export` wrote",
            hint=f"give a model in it ({model}/model.tflite), or `edgepack validate {model}`",
        )


def _refuse_nothing(graph: Graph) -> None:
    """Samples have a batch dimension and elements, so what goes in and out must have them too."""
    if not graph.inputs:
        raise BadModel("the model has no inputs", hint="its outputs are constants: nothing to run")
    for value in graph.inputs:
        if not value.rank:
            raise BadModel(
                f"input '{value.name}' is a single number without dimensions",
                hint="give it a batch dimension, shape [1], or make it a constant of the model",
            )
    for value in (*graph.inputs, *graph.outputs):
        if not value.size:
            raise BadModel(
                f"{value.name} is {list(value.shape)}: it has no elements",
                hint="give the sizes of the inputs with --input-shape",
            )


def load(model: Any, **options: Any) -> Graph:
    """Read `model` into a graph as it is written, before any pass.

    Options: input_shape, weights, trust.
    """
    return read_source(model, ExportOptions.of("load", options))
