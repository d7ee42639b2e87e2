"""Operators of one input: the kernel's answer to each of the 2**8 or 2**16 integers, in a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import Graph, Node
from edgepack.kernels.registry import QUANTIZED
from edgepack.passes.onnx_exact.ints import Ints
from edgepack.passes.onnx_exact.spelling import spells, stored


@spells(
    "Relu", "Relu6", "ReluN1To1", "Relu0To1", "Clip", "LeakyRelu", "Abs", "Rsqrt", "Sigmoid",
    "Tanh", "HardSwish", "Exp", "Log", "Elu", "Gelu", "Sqrt",
)  # fmt: skip
def by_table(graph: Graph, node: Node) -> Ints:
    """Gather."""
    kernel, kind = QUANTIZED[node.op], node.input(0).dtype.numpy

    def answer(numbers: Any) -> Any:
        with np.errstate(all="ignore"):
            return kernel(node, numbers.astype(kind))

    return stored(graph, node, 0).mapped(answer)
