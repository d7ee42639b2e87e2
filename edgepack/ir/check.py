"""The checker: what must hold of a graph between passes; names the node and the rule it breaks."""

from __future__ import annotations

from edgepack.errors import EdgepackError, InternalError
from edgepack.ir.dtypes import DType
from edgepack.ir.graph import Graph
from edgepack.ir.ops import OPS, complete_attrs, infer
from edgepack.ir.value import Node, Value


def check(graph: Graph, after: str = "") -> None:
    """Raise InternalError unless the graph is well formed; `after` names the pass that just ran.

    Checked: known operators with complete attributes; shapes and dtypes equal to what the table
    infers; topological order; use-lists that agree with inputs; unique value names; constants whose
    array has the shape and type they declare; per-channel parameters as long as their dimension.
    """
    when = f" after {after}" if after else ""
    try:
        _check_nodes(graph)
        _check_values(graph)
    except InternalError as problem:
        raise InternalError(f"{problem.message}{when}", at=problem.at) from problem


def _check_nodes(graph: Graph) -> None:
    made = set(graph.inputs)
    for node in graph.nodes:
        where = f"{node.op} {node.name}"
        if node.op not in OPS:
            raise InternalError("unknown operator", at=where)
        for value in node.present_inputs:
            if node not in value.users:
                raise InternalError(f"{value.name} does not know its user", at=where)
            if not value.is_const and value not in made:
                raise InternalError(f"{value.name} is read before it is made", at=where)
        _check_inference(node, where)
        made.update(node.outputs)
    for value in graph.outputs:
        if value not in made and not value.is_const:
            raise InternalError(f"output {value.name} is made by no node")


def _check_inference(node: Node, where: str) -> None:
    try:
        attrs = complete_attrs(node.op, node.attrs)
        specs = infer(node.op, node.inputs, attrs)
    except EdgepackError as problem:
        raise InternalError(f"shape rule: {problem.message}", at=where) from problem
    if attrs != node.attrs:
        raise InternalError("attributes are incomplete or not plain tuples", at=where)
    for value, (shape, dtype) in zip(node.outputs, specs, strict=True):
        if value.shape != shape:
            raise InternalError(f"{value.name} is {value.shape}, the table says {shape}", at=where)
        if value.dtype is not dtype:
            raise InternalError(f"{value.name} is {value.dtype}, the table says {dtype}", at=where)


def _check_values(graph: Graph) -> None:
    names: set[str] = set()
    nodes = set(graph.nodes)
    for value in graph.values():
        if value.name in names:
            raise InternalError(f"two values are called {value.name}")
        names.add(value.name)
        stray = [user for user in value.users if user not in nodes]
        if stray:
            raise InternalError(f"{value.name} has users outside the graph: {stray}")
        _check_value(value)


def _check_value(value: Value) -> None:
    if value.data is not None and value.data.shape != value.shape:
        raise InternalError(f"{value.name} holds {value.data.shape}, declares {value.shape}")
    if value.data is not None and value.data.dtype != value.dtype.numpy:
        raise InternalError(f"{value.name} holds {value.data.dtype}, declares {value.dtype}")
    if value.quant is None:
        return
    if value.dtype.is_float or value.dtype is DType.BOOL:
        raise InternalError(f"{value.name} is {value.dtype} but has quantization parameters")
    axis = value.quant.axis
    if axis is not None and not 0 <= axis < value.rank:
        raise InternalError(f"{value.name} has scales along axis {axis}, its rank is {value.rank}")
    if axis is not None and value.quant.scale.size != value.shape[axis]:
        raise InternalError(
            f"{value.name} has {value.quant.scale.size} scales for {value.shape[axis]} channels"
        )
