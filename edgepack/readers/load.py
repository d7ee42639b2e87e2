"""Any supported model as a graph: the format is told by the path."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import BadInput, BadModel
from edgepack.ir import Graph, row
from edgepack.readers.factory import call_factory, is_factory
from edgepack.readers.options import ReadOptions

Read = Callable[[Any, ReadOptions], Graph]

# Module and function of each reader; imported only when such a model is read.
_ONNX = ("edgepack.readers.onnx", "read_onnx")
_TFLITE = ("edgepack.readers.tflite", "read_tflite")
_KERAS_FILE = ("edgepack.readers.tensorflow", "read_keras")
_KERAS_MODEL = ("edgepack.readers.tensorflow", "read_keras_model")
_SAVED_MODEL = ("edgepack.readers.tensorflow", "read_saved_model")
_TORCH = ("edgepack.readers.torch", "read_torch")
_BY_SUFFIX = {
    ".onnx": _ONNX,
    ".tflite": _TFLITE,
    ".h5": _KERAS_FILE,
    ".hdf5": _KERAS_FILE,
    ".keras": _KERAS_FILE,
    ".pt2": _TORCH,
}
_CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors")
_BY_PACKAGE = {"torch": _TORCH, "keras": _KERAS_MODEL, "tf_keras": _KERAS_MODEL, "onnx": _ONNX}

FORMATS = (
    ".onnx, .tflite, .h5, .keras, .pt2, a SavedModel folder, file.py:factory or package:factory"
)


def load_graph(path: str | os.PathLike[str], options: ReadOptions) -> Graph:
    """The graph of a model.

    `path` is a file, a SavedModel folder, or `file.py:factory` / `package.module:factory`.
    Raises BadInput when there is no such file or its format is unknown, and what readers raise.
    """
    text = os.fspath(path)
    if is_factory(text) and not Path(text).exists():
        return _read_made(text, options)
    reader = _reader_of(Path(text))
    if options.weights is not None:
        raise BadInput(
            f"--weights goes with file.py:factory; {text} has weights of its own",
            hint="leave --weights out, or name the function that makes the network",
        )
    return _checked(_function(reader)(text, options))


def _checked(graph: Graph) -> Graph:
    """The graph. Raises BadModel for NaN in constants, and for infinite weights."""
    for value in graph.constants():
        if value.dtype.is_float and not np.isfinite(value.const).all():
            weighs = any(row(node.op).quant.weight is not None for node in value.users)
            if weighs or np.isnan(value.const).any():  # infinity is fine in masks and bounds
                raise BadModel(
                    f"tensor {value.name} has NaN or infinite values",
                    hint="the training may have diverged; export a healthy checkpoint",
                )
    return graph


def _function(reader: tuple[str, str]) -> Read:
    module, name = reader
    function: Read = getattr(importlib.import_module(module), name)
    return function


def _reader_of(path: Path) -> tuple[str, str]:
    hint = f"a model is one of: {FORMATS}"
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            return _SAVED_MODEL
        raise BadInput(f"{path} holds no saved_model.pb", hint=hint)
    if not path.exists():
        raise BadInput(f"there is no file {path}", hint=hint)
    if not path.is_file():
        raise BadInput(f"{path} is no regular file", hint=hint)
    if path.suffix.lower() in _CHECKPOINTS:
        raise BadInput(
            f"{path} is a PyTorch checkpoint: weights without the network",
            hint="give the function that makes the network, file.py:factory, and this as --weights",
        )
    if path.suffix.lower() == ".py":
        raise BadInput(
            f"{path} is Python code, which may make several models",
            hint=f"name the function: {path}:make",
        )
    if path.suffix.lower() not in _BY_SUFFIX:
        raise BadInput(f"{path} has an unknown format", hint=hint)
    return _BY_SUFFIX[path.suffix.lower()]


def load_object(model: object, options: ReadOptions) -> Graph:
    """The graph of an nn.Module, a torch ExportedProgram, a Keras model or an onnx ModelProto.

    Raises BadInput for anything else, and what readers raise.
    """
    packages = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    for package, reader in _BY_PACKAGE.items():
        if package in packages:
            return _checked(_function(reader)(model, options))
    raise BadInput(
        f"cannot read a model from {type(model).__module__}.{type(model).__name__}",
        hint="give a path, 'file.py:factory', an nn.Module or a Keras model",
    )


def _read_made(spec: str, options: ReadOptions) -> Graph:
    """The graph of what a factory returns; its digest is that of the weights, else of the code."""
    graph = load_object(call_factory(spec), options)
    file = Path(options.weights or spec.rpartition(":")[0])
    graph.source.path = spec
    graph.source.sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    return graph
