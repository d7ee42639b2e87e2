"""onnx_ir's Graph, Node and Value as the container of our IR, beside our own three classes.

The same in both: a chain of Conv2d, BatchNorm and Relu in our own operators (NHWC, OHWI), a pass
that folds BatchNorm into the convolution, and a writer that makes the records of a TFLite file.
What both need alike (shape arithmetic, the algebra of the fold, packing) stands here once.
"""

from __future__ import annotations

import ast
import inspect
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks import container_onnx_ir, container_ours
from benchmarks.figures import Figure
from benchmarks.measure import median_peak, median_seconds, paired
from benchmarks.places import OURS

LAYERS = 334  # of three nodes: 1,002
REPEATS = 5
_STEPS = ("build", "fold_batchnorm", "write", "copy")


def container() -> Iterator[Figure]:
    """Import, build, fold, write and copy; lines of code of each."""
    yield from _imports()
    for step in _STEPS:
        times = {who: _median(module, step) for who, module in _MODULES.items()}
        for who, seconds in times.items():
            yield Figure(f"{step}, {3 * LAYERS} nodes", who, 1e3 * seconds, "ms")
    for who, module in _MODULES.items():
        for step in _STEPS:
            yield Figure(f"{step}, lines of code", who, _lines(getattr(module, step)), "")


_MODULES: dict[str, Any] = {"edgepack.ir": container_ours, "onnx_ir": container_onnx_ir}


def _imports() -> Iterator[Figure]:
    argvs = {
        "numpy alone": (OURS, "-c", "import numpy"),
        "edgepack.ir": (OURS, "-c", "import edgepack.ir"),
        "onnx_ir": (OURS, "-c", "import onnx_ir"),
    }
    for who, runs in paired(argvs, REPEATS).items():
        if runs:
            note = f"{median_peak(runs):.0f} MB"
            yield Figure("import, whole process", who, 1e3 * median_seconds(runs), "ms", note)


def _median(module: Any, step: str) -> float:
    times = []
    for _ in range(REPEATS):
        graph = None if step == "build" else module.build(LAYERS)
        if step == "write":  # what is written has been folded
            module.fold_batchnorm(graph)
        job: Callable[[Any], Any] = getattr(module, step)
        start = time.perf_counter()
        result = job(LAYERS if graph is None else graph)
        times.append(time.perf_counter() - start)
        _verify(step, result)
    return statistics.median(times)


def _verify(step: str, result: Any) -> None:
    if step == "fold_batchnorm":
        assert result == LAYERS
    if step == "write":
        assert [r[0] for r in result] == ["CONV_2D", "RELU"] * LAYERS
        assert np.isclose(result[0][2][1].sum(), result[2][2][1].sum())


def _lines(function: Callable[..., Any]) -> int:
    source = inspect.getsource(function)
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree.body[0])  # type: ignore[arg-type]
    blank = sum(not line.strip() for line in source.splitlines())
    return len(source.splitlines()) - blank - (len(docstring.splitlines()) if docstring else 0)
