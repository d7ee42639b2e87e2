"""Signed 8-bit integers written as unsigned ones: the same steps of the same scale, counted from 0.

    real = scale * (q - z) = scale * ((q + 128) - (z + 128))

ONNX Runtime multiplies uint8 activations by int8 weights with instructions that saturate in 16 bits
on x86 processors without VNNI, and leaves int8 activations unfused in places; uint8 on both sides
is exact and fused everywhere. On EfficientNet-Lite0 that is 23 dB against 8 dB at the output.
"""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Graph, Node, QuantParams, Value

_OFFSET = 128


def store_unsigned(graph: Graph) -> int:
    """Make every quantized int8 value inside the graph uint8; return how many.

    Inputs and outputs stay int8, with a Quantize node that shifts them; constants get new values.
    """
    signed = [v for v in graph.values() if v.dtype is DType.INT8 and v.quant is not None]
    for value in graph.inputs:
        if value in signed:
            _shift_input(graph, value)
    for value in dict.fromkeys(graph.outputs):
        if value in signed and value.producer is not None:
            _shift_output(graph, value)
    for value in signed:
        if value.is_const:
            _replace_constant(graph, value)
        elif value.producer is not None and not graph.is_output(value):
            value.dtype, value.quant = DType.UINT8, _shifted(value.quant)
            _retarget(value)
    return len(signed)


def _shifted(quant: QuantParams | None) -> QuantParams | None:
    if quant is None:
        return None
    return QuantParams(quant.scale, quant.zero_point + _OFFSET, quant.axis)


def _shift_input(graph: Graph, value: Value) -> None:
    twin = _unsigned_twin(graph, value)
    for node in list(value.users):
        node.set_inputs([twin if v is value else v for v in node.inputs])
    graph.add_node(Node("Quantize", [value], [twin], {"to": "uint8"}))


def _shift_output(graph: Graph, value: Value) -> None:
    """`value` keeps its name and users; what made it now makes an unsigned twin."""
    producer = value.producer
    assert producer is not None
    twin = _unsigned_twin(graph, value)
    producer.outputs = tuple(twin if v is value else v for v in producer.outputs)
    twin.producer = producer
    _retarget(twin)
    for node in list(value.users):
        node.set_inputs([twin if v is value else v for v in node.inputs])
    graph.add_node(Node("Quantize", [twin], [value], {"to": "int8"}))


def _unsigned_twin(graph: Graph, value: Value) -> Value:
    name = graph.fresh(f"{value.name}_uint8")
    return Value(name, value.shape, DType.UINT8, _shifted(value.quant))


def _replace_constant(graph: Graph, value: Value) -> None:
    data = (value.const.astype(np.int16) + _OFFSET).astype(np.uint8)
    graph.replace(value, graph.constant(data, f"{value.name}_uint8", _shifted(value.quant)))


def _retarget(value: Value) -> None:
    """Operators that name the dtype of their result name the new one."""
    node = value.producer
    if node is not None and "to" in node.attrs:
        node.attrs = {**node.attrs, "to": "uint8"}
