"""Schemes whose activations stay real: dynamic-range int8 weights, and float16 weights.

Both change only constants: the weight of a convolution, dense layer or matrix product becomes an
integer constant with parameters, or a float16 constant behind a Dequantize node.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value, row
from edgepack.quantize.weights import quantize_weights, weight_params

_SMALLEST: Final = 1024  # elements: below that, eight bits save less than the records they need


def quantize_dynamic(graph: Graph, *, per_channel: bool = True) -> int:
    """Make large weights int8, in place; return how many. Activations are quantized at run time."""
    twins: dict[tuple[int, int | None], Value] = {}
    for node in graph.nodes:
        index = row(node.op).quant.weight
        weight = None if index is None else node.optional(index)
        if weight is None or index is None or not _is_large_real(weight):
            continue
        # one scale for dense layers: every runtime's hybrid kernel takes it
        axis = row(node.op).quant.axis if per_channel and node.op != "FullyConnected" else None
        key = (id(weight), axis)
        if key not in twins:
            params = weight_params(weight.const, DType.INT8, axis)
            data = quantize_weights(weight.const, params, DType.INT8)
            twins[key] = graph.constant(data, f"{weight.name}_int8", params)
        node.set_input(index, twins[key])
    return len(twins)


def halve_weights(graph: Graph) -> int:
    """Store large real constants as float16 behind a Dequantize node, in place; return how many."""
    halved = 0
    for value in graph.constants():
        if not _is_large_real(value):
            continue
        small = graph.constant(_to_half(value), f"{value.name}_fp16")
        real = Value(graph.fresh(f"{value.name}_fp32"), value.shape, DType.FLOAT32)
        graph.replace(value, real)
        graph.add_node(Node("Dequantize", [small], [real], {"to": "float32"}))
        halved += 1
    graph.sort()
    return halved


def _to_half(value: Value) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    largest = float(np.finfo(np.float16).max)
    return np.clip(value.const, -largest, largest).astype(np.float16)


def _is_large_real(value: Value) -> bool:
    return value.is_const and value.dtype is DType.FLOAT32 and value.size >= _SMALLEST
