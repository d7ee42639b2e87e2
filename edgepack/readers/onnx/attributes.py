"""Attributes and types of ONNX protobuf messages as plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edgepack.ir import Array
from edgepack.readers.shapes import Dim


def decode(node: Any, outer: Mapping[str, Any], array_of: Callable[[Any], Array]) -> dict[str, Any]:
    """The attributes of a node; those that refer to its function's are looked up in `outer`."""
    return decode_all(node.attribute, outer, array_of)


def decode_all(
    protos: Iterable[Any], outer: Mapping[str, Any], array_of: Callable[[Any], Array]
) -> dict[str, Any]:
    """AttributeProtos by name: int, float, str, tuples of these, arrays, or a GraphProto."""
    attrs = {}
    for proto in protos:
        if proto.ref_attr_name:
            if proto.ref_attr_name in outer:
                attrs[proto.name] = outer[proto.ref_attr_name]
        else:
            attrs[proto.name] = _decode(proto, array_of)
    return attrs


def _decode(proto: Any, array_of: Callable[[Any], Array]) -> Any:
    from onnx import AttributeProto as A

    plain: dict[int, Callable[[], Any]] = {
        A.INT: lambda: int(proto.i), A.FLOAT: lambda: float(proto.f),
        A.INTS: lambda: tuple(proto.ints), A.FLOATS: lambda: tuple(proto.floats),
        A.STRING: lambda: proto.s.decode("utf-8", "replace"),
        A.STRINGS: lambda: tuple(s.decode("utf-8", "replace") for s in proto.strings),
        A.TENSOR: lambda: array_of(proto.t), A.GRAPH: lambda: proto.g,
    }  # fmt: skip
    return plain[proto.type]() if proto.type in plain else None


def declared_dims(type_proto: Any) -> list[Dim] | None:
    """The dimensions of a declared tensor as numbers, names or None; None without a shape."""
    tensor = type_proto.tensor_type
    return [_dim(d) for d in tensor.shape.dim] if tensor.HasField("shape") else None


def _dim(dim: Any) -> Dim:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return int(dim.dim_value)
    return dim.dim_param or None


def type_name(type_proto: Any) -> str:
    """A type in a word, for messages."""
    from onnx import TensorProto as T

    kind = type_proto.WhichOneof("value") or "unknown type"
    if kind != "tensor_type":
        return str(kind).removesuffix("_type")
    number = type_proto.tensor_type.elem_type
    if number not in T.DataType.values():
        return f"element type {number}"
    return str(T.DataType.Name(number)).lower()
