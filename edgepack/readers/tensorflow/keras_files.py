"""Keras files: `.keras`, and `.h5` of the Keras-2 age, without running code they may hold."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepack.errors import BadInput, BadModel
from edgepack.readers.tensorflow.legacy_layers import legacy_layers
from edgepack.readers.tensorflow.legacy_nodes import has_function_layers, modern_nodes

# Layers whose configuration is Python code, as marshalled bytes.
_CODE_LAYERS = frozenset({"Lambda"})
_LARGEST_CONFIG = 1 << 26  # bytes; some thousand layers take a few millions


def load_keras(path: Path, trust: bool) -> Any:
    """The Keras model in a file, not compiled.

    Raises BadModel when it is damaged, has layers of the user's own, or needs code while `trust`
    is off.
    """
    if not path.is_file():
        raise BadInput(f"there is no file {path}")
    config = _config(path)
    if not trust:
        _refuse_code(path, config)
    import keras

    try:
        with _modern_file(path, config) as file:
            return keras.models.load_model(
                file, compile=False, safe_mode=not trust, custom_objects=legacy_layers()
            )
    except Exception as problem:
        raise _explained(path, problem) from problem


def _config(path: Path) -> Any:
    """The model's configuration as plain data; reading it runs nothing."""
    try:
        return _archive_config(path) if _is_archive(path) else _h5_config(path)
    except BadModel:
        raise
    except Exception as problem:
        raise BadModel(
            f"{path} is no readable Keras file: {type(problem).__name__}: {problem}"
        ) from problem


def _is_archive(path: Path) -> bool:
    """As Keras decides: a file can be an archive and HDF5 at once, with two models in it."""
    return path.suffix == ".keras"


def _archive_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("config.json")
        if entry.file_size > _LARGEST_CONFIG:
            raise BadModel(f"config.json in {path} has {entry.file_size} bytes, too many to read")
        return json.loads(archive.read(entry))


def _h5_config(path: Path) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    if text is None:
        raise BadModel(
            f"{path} holds weights only, no model",
            hint="save the whole model, or give file.py:factory",
        )
    return json.loads(text)


@contextlib.contextmanager
def _modern_file(path: Path, config: Any) -> Iterator[Path]:
    """The file itself, or where Keras 3 needs another configuration, a copy that has it."""
    if _is_archive(path) or not has_function_layers(config):
        yield path
        return
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(modern_nodes(config))
        yield copy


def _refuse_code(path: Path, config: Any) -> None:
    found = sorted({name for kind, name in _layers(config) if kind in _CODE_LAYERS})
    if found:
        raise BadModel(
            f"{path} holds Python code, in the Lambda layer {', '.join(found)}",
            hint="use built-in layers instead, or pass --trust if you know where the file is from",
        )


def _layers(config: Any) -> Iterator[tuple[str, str]]:
    if isinstance(config, dict):
        kind, inner = config.get("class_name"), config.get("config")
        if isinstance(kind, str) and isinstance(inner, dict):
            yield kind.rpartition(">")[2], str(inner.get("name") or config.get("name") or kind)
        for item in config.values():
            yield from _layers(item)
    elif isinstance(config, list):
        for item in config:
            yield from _layers(item)


def _explained(path: Path, problem: Exception) -> BadModel:
    text = " ".join(str(problem).split())
    for words in ("Could not locate class", "Unknown layer", "Unknown object"):
        if words in text:
            name = text.partition(words)[2].strip(" :'").split("'")[0].split(".")[0]
            return BadModel(
                f"{path} has a layer of the user's own: {name}",
                hint="give file.py:factory that builds the model and loads its weights; "
                "--trust runs code in the file but cannot know classes outside it",
            )
    return BadModel(f"Keras cannot load {path}: {type(problem).__name__}: {text[:300]}")
