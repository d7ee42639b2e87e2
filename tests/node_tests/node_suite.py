"""The ONNX backend node tests: where their data is, and each as a model with one input.

The data ships inside onnx's wheel, up to 1.20. It is fetched once into a cache folder outside of
the project: EDGEPACK_NODE_TESTS, or edgepack-node-tests in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

WHEEL = "onnx==1.20.1"
INSIDE = "onnx/backend/test/data/node/"


class NoData(Exception):
    """The node tests' data is not here and cannot be fetched."""


def cache_dir() -> Path:
    asked = os.environ.get("EDGEPACK_NODE_TESTS")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(asked) if asked else home / "edgepack-node-tests"


@cache
def data_dir() -> Path:
    """The folder with one folder per case; fetched when it is missing."""
    root = cache_dir() / INSIDE
    if not root.is_dir():
        _fetch(cache_dir())
    return root


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", WHEEL, "--no-deps", "-q", "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    wheels = sorted(folder.glob("onnx-*.whl"))
    if done.returncode or not wheels:
        raise NoData(f"{WHEEL} cannot be downloaded; set EDGEPACK_NODE_TESTS to a folder with it")
    aside = folder / "unpacking"
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = [n for n in wheel.namelist() if n.startswith(INSIDE)]
        wheel.extractall(aside, names)
    (folder / INSIDE).parent.mkdir(parents=True, exist_ok=True)
    (aside / INSIDE).rename(folder / INSIDE)
    shutil.rmtree(aside)
    wheels[0].unlink()


def all_names() -> list[str]:
    return sorted(p.name for p in data_dir().iterdir())


def load_case(name: str) -> tuple[Any, list[Any], list[Any]]:
    """The model with every input but the first baked in, what is fed, what is expected."""
    folder = data_dir() / name
    model = onnx.load(folder / "model.onnx")
    arrays = _tensors(folder, "input")
    free = [i for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
    for info, tensor in list(zip(free, arrays, strict=False))[1:]:
        tensor.name = info.name
        model.graph.initializer.append(tensor)
    feeds = [_array(t) for t in arrays[:1]]
    return model, feeds, [_array(t) for t in _tensors(folder, "output")]


def _tensors(folder: Path, kind: str) -> list[Any]:
    data = folder / "test_data_set_0"
    return [_tensor(data / f"{kind}_{i}.pb") for i in range(len(list(data.glob(f"{kind}_*.pb"))))]


def _tensor(path: Path) -> Any:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return tensor


def _array(tensor: Any) -> Any:
    """The content in a type that numpy computes with."""
    array = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def first_mismatch(outputs: list[Any], expected: list[Any]) -> str | None:
    """What is wrong: each expected output needs an equal-shaped one within rtol 1e-3, atol 1e-4."""
    for i, want in enumerate(expected):
        alike = [got for got in outputs if got.shape == want.shape]
        if not alike:
            shapes = [got.shape for got in outputs]
            return f"output {i} should have the shape {want.shape}, there are {shapes}"
        if not any(_close(got, want) for got in alike):
            return f"output {i} has wrong values"
    return None


def _close(got: Any, want: Any) -> bool:
    if want.dtype.kind not in "fiub":
        return bool(np.array_equal(got, want))
    return np.allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=1e-3, atol=1e-4, equal_nan=True
    )
