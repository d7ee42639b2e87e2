"""Attributes of TensorFlow nodes as plain Python values."""

from __future__ import annotations

from typing import Any


def python_attrs(node: Any) -> dict[str, Any]:
    """Types as names, tensors as arrays, functions as their names, the rest as it reads."""
    return {name: _value(attr) for name, attr in node.attr.items() if not name.startswith("_")}


def _value(attr: Any) -> Any:
    import tensorflow as tf

    kind = attr.WhichOneof("value")
    if kind == "s":
        return attr.s.decode("utf-8", "replace")
    if kind == "type":
        return type_name(attr.type)
    if kind == "tensor":
        return tf.make_ndarray(attr.tensor)
    if kind == "func":
        return attr.func.name
    if kind == "shape":
        return None if attr.shape.unknown_rank else [d.size for d in attr.shape.dim]
    if kind == "list":
        return _list(attr.list)
    return getattr(attr, kind) if kind else None


def type_name(number: int) -> str:
    """`float32` for TensorFlow's DT_FLOAT."""
    import tensorflow as tf

    return str(tf.as_dtype(number).name)


def _list(values: Any) -> list[Any]:
    if values.s:
        return [item.decode("utf-8", "replace") for item in values.s]
    if values.type:
        return [type_name(item) for item in values.type]
    return [*values.i, *values.f, *values.b]
