"""Any supported model as a graph: the format is told by the path."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

from edgepack.errors import BadInput
from edgepack.ir import Graph
from edgepack.readers.options import ReadOptions

Read = Callable[[str, ReadOptions], Graph]

# Suffix -> module and function; imported only when such a file is read.
_BY_SUFFIX = {
    ".onnx": ("edgepack.readers.onnx", "read_onnx"),
    ".tflite": ("edgepack.readers.tflite", "read_tflite"),
    ".h5": ("edgepack.readers.tensorflow", "read_keras"),
    ".hdf5": ("edgepack.readers.tensorflow", "read_keras"),
    ".keras": ("edgepack.readers.tensorflow", "read_keras"),
    ".pt2": ("edgepack.readers.torch", "read_pt2"),
}
_SAVED_MODEL = ("edgepack.readers.tensorflow", "read_saved_model")
_FACTORY = ("edgepack.readers.torch", "read_factory")

FORMATS = (
    ".onnx, .tflite, .h5, .keras, .pt2, a SavedModel folder, file.py:factory or package:factory"
)


def load_graph(path: str | os.PathLike[str], options: ReadOptions) -> Graph:
    """The graph of a model.

    `path` is a file, a SavedModel folder, or `file.py:factory` / `package.module:factory`.
    Raises BadInput when there is no such file or its format is unknown, and what readers raise.
    """
    text = os.fspath(path)
    module, function = _reader_of(text)
    read: Read = getattr(importlib.import_module(module), function)
    return read(text, options)


def _reader_of(text: str) -> tuple[str, str]:
    path = Path(text)
    if path.is_dir():
        return _folder_reader(path)
    if path.suffix.lower() in _BY_SUFFIX and (path.exists() or not _is_factory(text)):
        if not path.exists():
            raise BadInput(f"there is no file {text}")
        return _BY_SUFFIX[path.suffix.lower()]
    if _is_factory(text):
        return _FACTORY
    if not path.exists():
        raise BadInput(f"there is no file {text}", hint=f"a model is one of: {FORMATS}")
    raise BadInput(f"{text} has an unknown format", hint=f"a model is one of: {FORMATS}")


def _folder_reader(path: Path) -> tuple[str, str]:
    if (path / "saved_model.pb").exists():
        return _SAVED_MODEL
    raise BadInput(f"{path} holds no saved_model.pb", hint=f"a model is one of: {FORMATS}")


def _is_factory(text: str) -> bool:
    module, colon, name = text.rpartition(":")
    return bool(colon and module) and name.isidentifier()
