"""From a legalized graph to the bytes of a `.tflite` file."""

from __future__ import annotations

from edgepack.ir import Graph
from edgepack.writers.tflite import (  # noqa: F401  (importing registers)
    convolution,
    dense,
    elementwise,
    pooling,
    recurrent,
    shape,
)
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers


def write_tflite(graph: Graph, description: str = "edgepack", *, packed: bool = False) -> bytes:
    """The file for a graph that `edgepack.passes.legalize_tflite` has prepared.

    With `packed`, constants that have a form which TensorFlow Lite Micro unpacks are stored in it:
    no other runtime takes such a file. Deterministic: equal graphs give equal bytes. Raises
    Unsupported with every node that has no TFLite operator.
    """
    out = TFLiteBuilder(graph, packed=packed)
    lowers.apply(graph, out)
    return out.finish(description)
