"""The routes that a node test's model takes through edgepack, from ONNX to results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgepack.ir import Graph
from edgepack.passes.layout import to_layout
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.pipeline import optimize
from edgepack.readers.onnx import read_onnx
from edgepack.readers.options import ReadOptions
from edgepack.run.base import Runtime
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite


def by_reference(model: Any, feeds: Sequence[Any]) -> list[Any]:
    """Read, NHWC, the reference executor."""
    graph = read_onnx(model, ReadOptions())
    to_layout(graph, "NHWC")
    return run(graph, ReferenceRuntime(graph), feeds)


def by_tflite(model: Any, feeds: Sequence[Any]) -> list[Any]:
    """Read, optimize, write TFLite, LiteRT."""
    graph = read_onnx(model, ReadOptions())
    to_layout(graph, "NHWC")
    optimize(graph)
    legalize_tflite(graph)
    return run(graph, LiteRTRuntime(write_tflite(graph)), feeds)


def by_onnx(model: Any, feeds: Sequence[Any]) -> list[Any]:
    """Read, optimize, write ONNX, ONNX Runtime."""
    graph = read_onnx(model, ReadOptions())
    to_layout(graph, "NHWC")
    optimize(graph)
    legalize_onnx(graph)
    return run(graph, OrtRuntime(write_onnx(graph), exact=True), feeds)


ROUTES: dict[str, Callable[[Any, Sequence[Any]], list[Any]]] = {
    "reference": by_reference,
    "tflite": by_tflite,
    "onnx": by_onnx,
}


def run(graph: Graph, runtime: Runtime, feeds: Sequence[Any]) -> list[Any]:
    """Feed what the file declares, return what it would; the graph says what was transposed."""
    arrays = []
    for value, info, array in zip(graph.inputs, runtime.inputs, feeds, strict=True):
        perm = graph.source.input_perms.get(value.name)
        turned = array if perm is None else array.transpose(perm)
        arrays.append(np.ascontiguousarray(turned.astype(info.dtype.numpy)).reshape(turned.shape))
    results = runtime.run(arrays)
    perms = [graph.source.output_perms.get(value.name) for value in graph.outputs]
    return [
        array if perm is None else array.transpose(np.argsort(perm))
        for array, perm in zip(results, perms, strict=True)
    ]
