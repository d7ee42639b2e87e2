"""From a legalized graph to the bytes of an `.onnx` file."""

from __future__ import annotations

from edgepack.ir import Graph
from edgepack.writers.onnx import (  # noqa: F401 (they register their lowerings)
    convolution,
    dense,
    elementwise,
    indexing,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    shape,
)
from edgepack.writers.onnx.builder import OnnxBuilder, lowers


def write_onnx(graph: Graph, opset: int | None = None, description: str = "edgepack") -> bytes:
    """The file for a graph that `edgepack.passes.legalize_onnx` has prepared.

    `opset` is the lowest to write, 13 unless given; operators that came later raise it. Quantized
    values become QuantizeLinear and DequantizeLinear pairs around the operators. Deterministic:
    equal graphs give equal bytes. Raises Unsupported with every node that has no ONNX form.
    """
    out = OnnxBuilder(graph, opset)
    lowers.apply(graph, out)
    return out.finish(description)
