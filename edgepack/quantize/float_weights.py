"""Schemes whose activations stay real: dynamic-range integer weights, and weights of 16-bit floats.

Both change only constants: the weight of a convolution, dense layer or matrix product becomes an
integer constant with parameters, or a float16 or bfloat16 constant behind a Dequantize node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, Value, row
from edgepack.ir.dtypes import bfloat16_bits
from edgepack.quantize.weights import block_params, quantize_weights, weight_params

_SMALLEST: Final = 1024  # elements: below that, eight bits save less than the records they need

BLOCK: Final = 32  # weights that share a scale where there are blocks; what runtimes have in common

TakesWeights = Callable[[Node, DType], bool]


def quantize_dynamic(
    graph: Graph,
    dtype: DType = DType.INT8,
    *,
    per_channel: bool = True,
    takes: TakesWeights = lambda node, dtype: True,
    blocks: bool = False,
) -> int:
    """Make large weights integers, in place; return how many. Activations become so at run time.

    `takes` says whether the runtime multiplies real activations at a node with weights of a type:
    int4 becomes int8 where it does not, and stays real where it takes neither. With `blocks`, int4
    weights of dense layers have a scale for every 32 inputs, if that divides their number.
    """
    twins: dict[tuple[int, int | None, DType], Value] = {}
    for node in graph.nodes:
        index = row(node.op).quant.weight
        weight = None if index is None else node.optional(index)
        narrow = next((d for d in _narrowest(dtype) if takes(node, d)), None)
        if weight is None or index is None or narrow is None or not _shrinks(weight, narrow):
            continue
        key = (id(weight), _axis(node, narrow, per_channel), narrow)
        if key not in twins:
            if blocks and narrow is DType.INT4 and _has_blocks(node, weight):
                params = block_params(weight.real, BLOCK)
            else:
                params = weight_params(weight.real, narrow, key[1])
            data = quantize_weights(weight.real, params, narrow)
            twins[key] = graph.constant(data, f"{weight.name}_{narrow}", params)
            twins[key].dtype = narrow
        node.set_input(index, twins[key])
    return len(twins)


def widen_weights(graph: Graph, takes: TakesWeights) -> int:
    """Make the source's integer weights real where `takes` says no, in place; return how many.

    The same numbers: without such kernels the weights are what they stand for.
    """
    twins: dict[int, Value] = {}
    for node in graph.nodes:
        for index, value in enumerate(node.inputs):
            if value is None or not _is_narrow(node, value) or takes(node, value.dtype):
                continue
            if id(value) not in twins:
                twins[id(value)] = graph.constant(value.real, f"{value.name}_float32")
            node.set_input(index, twins[id(value)])
    return len(twins)


def _has_blocks(node: Node, weight: Value) -> bool:
    return node.op == "FullyConnected" and weight.shape[-1] % BLOCK == 0


def _narrowest(dtype: DType) -> tuple[DType, ...]:
    return (DType.INT4, DType.INT8) if dtype is DType.INT4 else (dtype,)


def _axis(node: Node, dtype: DType, per_channel: bool) -> int | None:
    """Dense layers in 8 bits have one scale: every runtime's hybrid kernel takes it."""
    one = node.op == "FullyConnected" and dtype is DType.INT8
    return row(node.op).quant.axis if per_channel and not one else None


def _is_narrow(node: Node, value: Value) -> bool:
    """Whether `value` is an integer constant that stands for real numbers in real arithmetic."""
    return (
        value.is_const
        and value.quant is not None
        and node.op != "Dequantize"
        and node.input(0).dtype is DType.FLOAT32
    )


def _shrinks(weight: Value, dtype: DType) -> bool:
    """Whether a constant is large, and stored in more bits than `dtype` has."""
    real = weight.dtype is DType.FLOAT32 or weight.quant is not None
    return weight.is_const and real and weight.size >= _SMALLEST and weight.dtype.bits > dtype.bits


def halve_weights(graph: Graph, dtype: DType = DType.FLOAT16) -> int:
    """Store large real constants in 16 bits behind a Dequantize node, in place; return how many.

    `dtype` is float16 (11 bits of precision, up to 65,504) or bfloat16 (8 bits, float32's range).
    What is too large becomes the largest there is.
    """
    halved = 0
    for value in graph.constants():
        if not _is_large_real(value):
            continue
        small = graph.constant(_to_half(value, dtype), f"{value.name}_{dtype}")
        small.dtype = dtype
        real = Value(graph.fresh(f"{value.name}_float32"), value.shape, DType.FLOAT32)
        graph.replace(value, real)
        graph.add_node(Node("Dequantize", [small], [real], {"to": "float32"}))
        halved += 1
    graph.sort()
    return halved


def _to_half(value: Value, dtype: DType) -> Array:
    if dtype is DType.BFLOAT16:
        return bfloat16_bits(value.const)
    largest = float(np.finfo(np.float16).max)
    return np.clip(value.const, -largest, largest).astype(np.float16)


def _is_large_real(value: Value) -> bool:
    return value.is_const and value.dtype is DType.FLOAT32 and value.size >= _SMALLEST
