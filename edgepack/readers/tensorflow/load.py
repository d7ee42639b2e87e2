"""Keras models and SavedModels, to IR by way of their TensorFlow graph."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgepack.errors import BadInput, BadModel
from edgepack.ir import DType, Graph
from edgepack.readers.options import ReadOptions
from edgepack.readers.shapes import input_shapes
from edgepack.readers.tensorflow.call import Const, Item, dtype_name, normal
from edgepack.readers.tensorflow.graphdef import Interpreter
from edgepack.readers.tensorflow.keras_files import load_keras
from edgepack.readers.tensorflow.layer_names import scopes_of
from edgepack.readers.tensorflow.recurrent import marked_layers
from edgepack.readers.tensorflow.saved_model import check_folder, saved_model_graph
from edgepack.readers.tensorflow.session import quiet_tensorflow

# What reading a graph runs into whose names, attributes and shapes contradict one another.
_NONSENSE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def read_keras(path: str | Path, options: ReadOptions | None = None) -> Graph:
    """The IR of a `.keras` file, or of an `.h5` file of any age.

    Raises BadModel for damaged files and for those that need code (unless `options.trust`),
    Unsupported with every operator that has no equivalent, MissingDependency without TensorFlow.
    """
    options, file = options or ReadOptions(), Path(path)
    with quiet_tensorflow():
        graph = _model_graph(load_keras(file, options.trust), options, file.stem)
    graph.source.path, graph.source.format = str(path), "keras"
    graph.source.sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return graph


def read_saved_model(path: str | Path, options: ReadOptions | None = None) -> Graph:
    """The IR of a SavedModel folder's serving signature; raises as `read_keras` does."""
    options, folder = options or ReadOptions(), Path(path)
    check_folder(folder)
    try:
        with quiet_tensorflow():
            graph = saved_model_graph(folder, options)
    except _NONSENSE as problem:
        reason = f"{type(problem).__name__}: {problem}"
        raise BadModel(f"{path}/saved_model.pb contradicts itself: {reason}") from problem
    graph.remove_dead()
    graph.source.path, graph.source.format = str(path), "saved_model"
    content = (folder / "saved_model.pb").read_bytes()
    graph.source.sha256 = hashlib.sha256(content).hexdigest()
    return graph


def read_keras_model(model: Any, options: ReadOptions | None = None) -> Graph:
    """The IR of a Keras model in memory, with `options.weights` loaded into it if given.

    Raises as `read_keras` does, and BadModel for weights that do not suit the model.
    """
    options = options or ReadOptions()
    with quiet_tensorflow():
        if options.weights is not None:
            _load_weights(model, options.weights)
        graph = _model_graph(model, options, str(model.name))
    graph.source.format = "keras"
    return graph


def _load_weights(model: Any, path: str) -> None:
    if not Path(path).is_file():
        raise BadInput(f"there is no file {path}")
    try:
        model.load_weights(path)
    except Exception as problem:
        reason = " ".join(str(problem).split())[:300]
        raise BadModel(f"{path} does not suit the model: {reason}") from problem


def _model_graph(model: Any, options: ReadOptions, name: str) -> Graph:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise BadInput(
            f"the Keras model {name} has no inputs yet",
            hint="build it: call it once, or begin with keras.Input(shape)",
        )
    names = [str(x.name).split(":")[0] for x in inputs]
    declared = {n: x.shape for n, x in zip(names, inputs, strict=True)}
    shapes = input_shapes(declared, options)
    concrete = _traced(model, [shapes[n] for n in names], [x.dtype for x in inputs])
    graph = Graph(name)
    feeds: dict[str, Item] = _captures(concrete)
    placeholders = [t.name.split(":")[0] for t in concrete.inputs[: len(inputs)]]
    for place, label, x in zip(placeholders, names, inputs, strict=True):
        feeds[place] = graph.add_input(label, shapes[label], DType(dtype_name(str(x.dtype))))
    definition = concrete.graph.as_graph_def()
    readable = _readable(model, definition)
    interpreter = Interpreter(graph, list(definition.library.function), _no_variable, readable)
    refs = [t.name for t in concrete.outputs]
    results = interpreter.run(list(definition.node), feeds, refs)
    interpreter.finish()
    graph.outputs = [interpreter.as_value(item, "output") for item in results]
    graph.remove_dead()
    _name_outputs(graph, [x._keras_history[0].name for x in model.outputs])
    return graph


def _readable(model: Any, definition: Any) -> Callable[[str], str]:
    """Layer names for scopes; the model's own scope bears its name or that name with a number."""
    roots = {node.name.partition("/")[0] for node in definition.node if "/" in node.name}
    own = re.compile(re.escape(model.name) + r"(_\d+)?")
    found = [root for root in roots if own.fullmatch(root)]
    return scopes_of(model, found[0]).readable if len(found) == 1 else str


def _name_outputs(graph: Graph, names: list[str]) -> None:
    if len(names) == len(graph.outputs):
        for value, name in zip(graph.outputs, names, strict=True):
            if value.producer is not None:
                value.name = graph.fresh(name)


def _no_variable(name: str) -> Item:
    raise BadModel(f"the model uses variable {name} without holding it")


def _traced(model: Any, shapes: list[tuple[int, ...]], dtypes: list[Any]) -> Any:
    """The model as one TensorFlow function, for inference."""
    import keras
    import tensorflow as tf

    specs = [tf.TensorSpec(s, d) for s, d in zip(shapes, dtypes, strict=True)]

    def infer(*tensors: Any) -> Any:
        structure = getattr(model, "_inputs_struct", None)
        if structure is not None:
            arguments = keras.tree.pack_sequence_as(structure, list(tensors))
        else:
            arguments = list(tensors) if len(tensors) > 1 else tensors[0]
        return model(arguments, training=False)

    try:
        with marked_layers(model):
            return tf.function(infer, autograph=False).get_concrete_function(*specs)
    except Exception as problem:
        reason = " ".join(str(problem).split())[:300]
        raise BadModel(
            f"TensorFlow cannot trace the model: {type(problem).__name__}: {reason}",
            hint="another input shape? --input-shape sets it",
        ) from problem


def _captures(concrete: Any) -> dict[str, Item]:
    """What the function's captured placeholders stand for: variables and constants."""
    held = {id(v.handle): v for v in concrete.graph.variables}
    found: dict[str, Item] = {}
    for outside, inside in concrete.graph.captures:
        tensor = held.get(id(outside), outside)
        if hasattr(tensor, "numpy"):
            found[inside.name.split(":")[0]] = Const(normal(tensor.numpy()))
    return found
