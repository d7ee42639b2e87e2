"""The container benchmark in onnx_ir, with our own operator domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from benchmarks.container_algebra import CONV, EPSILON, SHAPE, Array, Record, folded, parameters

DOMAIN = "edgepack"


def value(name: str, shape: Sequence[int]) -> ir.Value:
    """A float32 value."""
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))


def constant(array: Array, name: str) -> ir.Value:
    """A float32 constant; it becomes an initializer of the graph that takes it."""
    made = value(name, array.shape)
    made.const_value = ir.tensor(array, name=name)
    return made


def add(
    nodes: list[ir.Node], op: str, inputs: Sequence[ir.Value], attrs: Mapping[str, Any]
) -> ir.Value:
    """A node whose output has its first input's shape, as all three operators here."""
    shape = inputs[0].shape
    assert shape is not None
    out = value(f"{op.lower()}_{len(nodes)}", shape.numpy())
    nodes.append(ir.node(op, inputs, attrs, domain=DOMAIN, outputs=[out]))
    return out


def build(layers: int) -> ir.Graph:
    """A chain of `layers` times Conv2d, BatchNorm, Relu; nested attributes are flattened."""
    nodes: list[ir.Node] = []
    constants: list[ir.Value] = []
    source, arrays = value("x", SHAPE), parameters()
    attrs = {**CONV, "pad": [n for pair in CONV["pad"] for n in pair]}  # type: ignore[misc]
    x = source
    for index in range(layers):
        w, *vectors = (constant(array, f"{name}_{index}") for name, array in arrays.items())
        constants += [w, *vectors]
        x = add(nodes, "Conv2d", [x, w], attrs)
        x = add(nodes, "BatchNorm", [x, *vectors], {"eps": EPSILON})
        x = add(nodes, "Relu", [x], {})
    return ir.Graph(
        [source], [x], nodes=nodes, initializers=constants, opset_imports={DOMAIN: 1}, name="chain"
    )


def fold_batchnorm(graph: ir.Graph) -> int:
    """Fold each BatchNorm into the only convolution before it; return how many."""
    count = 0
    for norm in graph:
        conv = norm.inputs[0].producer() if norm.op_type == "BatchNorm" else None
        if conv is None or conv.op_type != "Conv2d":
            continue
        out = conv.outputs[0]
        if len(out.uses()) != 1 or out.is_graph_output():
            continue
        old = [v.const_value.numpy() for v in (conv.inputs[1], *norm.inputs[1:])]
        made = [
            constant(a, f"{n}_{conv.outputs[0].name}")
            for a, n in zip(folded(*old), "wb", strict=True)
        ]
        for new in made:
            graph.register_initializer(new)
        conv.resize_inputs(3)
        for index, new in enumerate(made, 1):
            conv.replace_input_with(index, new)
        norm.outputs[0].replace_all_uses_with(out, replace_graph_outputs=True)
        graph.remove(norm, safe=True)
        count += 1
    return count


def write(graph: ir.Graph) -> list[Record]:
    """One record for each node, as a TFLite file has it."""
    records: list[Record] = []
    for node in graph:
        inputs = [v for v in node.inputs if v is not None]
        names = [v.name or "" for v in inputs]
        constants = [v.const_value.numpy() for v in inputs if v.const_value is not None]
        if node.op_type == "Conv2d":
            stride_h, stride_w = node.attributes["stride"].as_ints()
            same = any(node.attributes["pad"].as_ints())
            options = {"stride_h": stride_h, "stride_w": stride_w, "same": same}
            records.append(("CONV_2D", names, [None, *constants], options))
        elif node.op_type == "Relu":
            records.append(("RELU", names, constants, {}))
    return records


def copy(graph: ir.Graph) -> ir.Graph:
    """A graph of its own that shares the constants' tensors."""
    return graph.clone()
