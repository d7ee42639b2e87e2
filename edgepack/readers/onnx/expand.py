"""Operators that ONNX defines by others: their bodies; and ONNX's own evaluation of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Value

# What gives another result at each run has no place in a graph.
_RANDOM = frozenset(
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
     "Bernoulli"]
)  # fmt: skip


def function_body(
    node: Any, inputs: Sequence[Value | None], opsets: Mapping[str, int], *, probe: bool = False
) -> Any:
    """The FunctionProto that defines the node's operator; None when it is a primitive.

    With `probe`, only whether there is one.
    """
    import onnx

    domain = "" if node.domain == "ai.onnx" else node.domain
    version = opsets.get(domain, 1)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError:
        return None
    if node.op_type in _RANDOM:
        return None
    if probe:
        return schema.has_function or schema.has_context_dependent_function
    if schema.has_context_dependent_function:
        return _parse(_context_dependent(schema, node, inputs, version))
    return _plain(schema, version)


def _plain(schema: Any, version: int) -> Any:
    if not schema.has_function:
        return None
    versions = [v for v in schema.all_function_opset_versions if v <= version]
    versions = versions or list(schema.all_function_opset_versions)
    return _parse(schema.get_function_with_opset_version(max(versions)))


def _context_dependent(
    schema: Any, node: Any, inputs: Sequence[Value | None], version: int
) -> bytes:
    types = [_type_proto(v).SerializeToString() for v in inputs]
    versions = list(schema.context_dependent_function_opset_versions)
    best = max([v for v in versions if v <= version] or versions)
    body: bytes = schema.get_context_dependent_function_with_opset_version(
        best, node.SerializeToString(), types
    )
    return body


def _parse(body: Any) -> Any:
    import onnx

    if not isinstance(body, bytes):
        return body
    function = onnx.FunctionProto()
    function.ParseFromString(body)
    return function if function.node else None


def _type_proto(value: Value | None) -> Any:
    import onnx

    if value is None:
        return onnx.TypeProto()
    return onnx.helper.make_tensor_type_proto(_elem_type(value), list(value.shape))


def _elem_type(value: Value) -> int:
    import onnx

    if value.dtype is DType.INT4:
        return int(onnx.TensorProto.INT4)
    return int(onnx.helper.np_dtype_to_tensor_dtype(value.dtype.numpy))


def evaluate(
    node: Any, inputs: Sequence[Value | None], opsets: Mapping[str, int]
) -> list[Array] | None:
    """The node's outputs by ONNX's reference implementation; None when it cannot or must not."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    if node.op_type in _RANDOM or any(a.HasField("g") or a.ref_attr_name for a in node.attribute):
        return None
    names = [n for n in dict.fromkeys(node.input) if n]
    known = {n: v.const for n, v in zip(node.input, inputs, strict=True) if n and v is not None}
    graph = onnx.helper.make_graph(
        [node], "node", [onnx.helper.make_empty_tensor_value_info(n) for n in names],
        [onnx.helper.make_empty_tensor_value_info(n) for n in node.output if n],
    )  # fmt: skip
    imports = [onnx.helper.make_opsetid(d, v) for d, v in opsets.items()]
    try:
        results = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=imports)).run(
            None, known
        )
    except Exception:  # noqa: BLE001 (its own code raises anything; the node is reported instead)
        return None
    arrays = [np.asarray(r) for r in results]
    return arrays if all(map(DType.has, arrays)) else None
