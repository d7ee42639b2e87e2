"""The real model that a quantized TFLite file stands for, where nothing else is left of it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.places import cache


def real_twin(path: Path) -> Path:
    """A float TFLite file of the same layers, weights as stored, into the cache."""
    from edgepack.ir import DType
    from edgepack.readers.load import load_graph
    from edgepack.readers.options import ReadOptions
    from edgepack.writers.tflite import write_tflite

    graph = load_graph(path, ReadOptions())
    for node in graph.nodes:
        for index, value in enumerate(node.inputs):
            if value is not None and value.is_const and value.quant is not None:
                node.set_input(index, graph.constant(value.real, f"{value.name}_real"))
        if node.op == "Lstm":
            node.attrs["intermediates"] = ()
    for value in graph.values():
        if value.quant is not None and not value.is_const:
            value.dtype, value.quant = DType.FLOAT32, None
    graph.remove_dead()
    twin = cache("twins", path.name)
    twin.write_bytes(write_tflite(graph))
    return twin
