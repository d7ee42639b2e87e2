"""Graphs legalized for TFLite on this machine, also those that LiteRT lacks a kernel for."""

from __future__ import annotations

from edgepack.ir import DType, Graph
from edgepack.run.base import Runtime
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite


def host_runtime(graph: Graph, *, threads: int = 2) -> Runtime:
    """LiteRT; for graphs that only TensorFlow Lite Micro runs, the reference executor.

    That has the same bits, for whatever operators. Such graphs have LSTMs of 16-bit activations.
    """
    if any(node.input(0).dtype is DType.INT16 for node in graph.nodes_of("Lstm")):
        return ReferenceRuntime(graph)
    return LiteRTRuntime(write_tflite(graph), threads=threads)
