"""Operators on integers: which stay integers, and which are computed wider."""

from __future__ import annotations

from typing import Final

from edgepack.ir import DType, Node, Value
from edgepack.writers.onnx.builder import OnnxBuilder

_COMPUTED: Final = (DType.INT32, DType.INT64)  # what runtimes have arithmetic for


def keeps_integers(node: Node, *dtypes: DType) -> bool:
    """Whether a node may work on stored integers: one set of parameters, one of these dtypes.

    Without `dtypes` any will do.
    """
    values = [v for v in (*node.present_inputs, *node.outputs) if v.quant is not None]
    first = node.input(0)
    if first.quant is None or (dtypes and first.dtype not in dtypes):
        return False
    return all(v.quant == first.quant and v.dtype is first.dtype for v in values)


def widened(out: OnnxBuilder, value: Value) -> str:
    """The tensor to compute with: integers that are only integers, at least 32 bits wide."""
    wide = wide_dtype(value)
    return out.real(value) if wide is None else out.cast(out.raw(value), wide)


def wide_dtype(value: Value) -> DType | None:
    """What an integer value is cast to before arithmetic; None when it need not be."""
    if value.quant is not None or not value.dtype.is_integer or value.dtype in _COMPUTED:
        return None
    return DType.INT32 if value.dtype.bits < 32 else DType.INT64


def emit_widened(out: OnnxBuilder, op: str, inputs: list[Value], value: Value) -> None:
    """`op` on the inputs, computed wide where need be; the result has the dtype of `value`."""
    store_widened(out, out.op(op, [widened(out, v) for v in inputs]), value)


def store_widened(out: OnnxBuilder, name: str, value: Value) -> None:
    """Let `name`, which was computed wide, be `value`."""
    if wide_dtype(value) is None:
        out.store(name, value)
    else:
        out.cast(name, value.dtype, value.name)
