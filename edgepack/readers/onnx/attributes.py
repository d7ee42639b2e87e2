"""Attributes and types of ONNX protobuf messages as plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edgepack.errors import BadModel
from edgepack.ir import Array


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


def static_shape(type_proto: Any) -> tuple[int, ...] | None:
    """The shape of a declared tensor when every dimension is a number."""
    tensor = type_proto.tensor_type
    if not tensor.HasField("shape"):
        return None
    if not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    return tuple(d.dim_value for d in tensor.shape.dim)


def input_shape(info: Any, asked: tuple[int, ...] | None) -> tuple[int, ...]:
    """The static shape of a graph input: the asked one, or the declared one with batch 1.

    Raises BadModel when dimensions remain unknown or the asked shape contradicts the file.
    """
    tensor = info.type.tensor_type
    declared = list(tensor.shape.dim) if tensor.HasField("shape") else None
    if asked is not None:
        return _asked_shape(info.name, declared, asked)
    if declared is None:
        raise BadModel(
            f"input '{info.name}' has no shape",
            hint=f"give it: --input-shape {info.name}:1,3,224,224",
        )
    sizes = [
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in declared
    ]
    if sizes and sizes[0] is None:
        sizes[0] = 1
    if any(s is None for s in sizes):
        unknown = [
            d.dim_param or f"number {i}"
            for i, (d, s) in enumerate(zip(declared, sizes, strict=True))
            if s is None
        ]
        example = ",".join("?" if s is None else str(s) for s in sizes)
        raise BadModel(
            f"input '{info.name}' has unknown dimensions: {', '.join(unknown)}",
            hint=f"fix them: --input-shape {info.name}:{example} with numbers for the ?",
        )
    return tuple(s for s in sizes if s is not None)


def _asked_shape(name: str, declared: list[Any] | None, asked: tuple[int, ...]) -> tuple[int, ...]:
    if min(asked, default=1) < 1:
        raise BadModel(f"--input-shape {list(asked)} of input '{name}' has a dimension below 1")
    if declared is None:
        return tuple(asked)
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in declared]
    # A batch of one in the file may be changed; any other fixed dimension is part of the model.
    clash = any(
        s is not None and s != a and i > 0
        for i, (s, a) in enumerate(zip(sizes, asked, strict=False))
    )
    if len(sizes) != len(asked) or clash:
        shape = ",".join("?" if s is None else str(s) for s in sizes)
        raise BadModel(
            f"--input-shape {list(asked)} does not suit input '{name}', which is [{shape}]"
        )
    return tuple(asked)


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
