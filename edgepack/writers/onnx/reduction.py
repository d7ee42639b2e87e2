"""Reductions, running sums and searches along axes."""

from __future__ import annotations

from typing import Any, Final

from edgepack.ir import DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers
from edgepack.writers.onnx.integers import store_widened, wide_dtype, widened

_REDUCE: Final = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
_BOOLS: Final = {"ReduceAny": "ReduceMax", "ReduceAll": "ReduceMin"}
_BYTES: Final = (DType.INT8, DType.UINT8)


@lowers(*_REDUCE)
def reduce(node: Node, out: OnnxBuilder) -> None:
    """Reductions; the mean over a picture is a GlobalAveragePool."""
    x, y = node.input(0), node.output
    if node.op == "ReduceMean" and x.rank == 4 and _axes(node) == [2, 3] and _is_real(node):
        _global_average(node, out)
    elif y.quant is None and wide_dtype(y) is None:
        _reduce(out, node.op, out.real(x), node, y.name)
    else:
        store_widened(out, _reduce(out, node.op, widened(out, x), node), y)


def _is_real(node: Node) -> bool:
    return node.input(0).quant is not None or node.input(0).dtype.is_float


def _axes(node: Node) -> list[int]:
    return sorted(a % node.input(0).rank for a in node.attrs["axes"])


def _global_average(node: Node, out: OnnxBuilder) -> None:
    x, y = node.input(0), node.output
    if node.attrs["keepdims"]:
        out.emit("GlobalAveragePool", [out.real(x)], y)
        return
    pooled = out.op("GlobalAveragePool", [out.real(x)])
    if y.quant is not None:
        stored = out.quantize(pooled, y.quant, y.dtype)
        pooled = out.dequantize(stored, y.quant, y.dtype)
    out.emit("Flatten", [pooled], y)


def _reduce(out: OnnxBuilder, op: str, x: str, node: Node, output: str = "") -> str:
    axes, keep = _axes(node), int(node.attrs["keepdims"])
    if not axes:
        return out.op("Identity", [x], output)
    if op == "ReduceSum" or out.opset >= 18:
        return out.op(op, [x, out.constant(axes, name="axes")], output, keepdims=keep)
    return out.op(op, [x], output, axes=axes, keepdims=keep)


@lowers(*_BOOLS)
def reduce_bools(node: Node, out: OnnxBuilder) -> None:
    """Any and all, as maximum and minimum of 0 and 1."""
    x = out.cast(out.raw(node.input(0)), DType.INT32)
    out.cast(_reduce(out, _BOOLS[node.op], x, node), DType.BOOL, node.output.name)


@lowers("ArgMax", "ArgMin")
def arg_reduce(node: Node, out: OnnxBuilder) -> None:
    """ArgMax and ArgMin, on stored integers: their order is that of the real numbers."""
    x, y = node.input(0), node.output
    kind = x.dtype if x.dtype in _BYTES else _searched(x.dtype)
    name = out.raw(x) if kind is x.dtype else out.cast(out.raw(x), kind)
    attrs: dict[str, Any] = {"axis": node.attrs["axis"], "keepdims": 0}
    if y.dtype is DType.INT64:
        out.op(node.op, [name], y.name, **attrs)
    else:
        out.cast(out.op(node.op, [name], **attrs), y.dtype, y.name)


def _searched(dtype: DType) -> DType:
    """The type in which runtimes search and sort all numbers of `dtype`."""
    if not dtype.is_integer:
        return dtype
    return DType.INT32 if dtype.limits[1] <= DType.INT32.limits[1] else DType.INT64


@lowers("CumSum")
def cum_sum(node: Node, out: OnnxBuilder) -> None:
    """CumSum."""
    axis = out.constant(node.attrs["axis"], name="axis")
    flags = {key: int(node.attrs[key]) or None for key in ("exclusive", "reverse")}
    x = widened(out, node.input(0))
    store_widened_or_emit(node, out, [x, axis], flags)


def store_widened_or_emit(
    node: Node, out: OnnxBuilder, inputs: list[str], attrs: dict[str, Any]
) -> None:
    """The ONNX operator of the same name."""
    if wide_dtype(node.output) is None:
        out.emit(node.op, inputs, node.output, **attrs)
    else:
        store_widened(out, out.op(node.op, inputs, **attrs), node.output)


@lowers("TopK")
def top_k(node: Node, out: OnnxBuilder) -> None:
    """TopK along the last axis; indices become int32. Quantized: by their integers."""
    x, (values, indices) = node.input(0), node.outputs
    kind = _searched(x.dtype)
    wide = kind is not x.dtype
    name = out.cast(out.raw(x), kind) if wide else out.raw(x)
    k = out.constant([node.attrs["k"]], name="k")
    top = values.name if not wide else out.fresh(f"{values.name}/wide")
    _, places = out.op_multi("TopK", [name, k], [top, out.fresh(f"{indices.name}/int64")])
    if wide:
        out.cast(top, values.dtype, values.name)
    out.cast(places, DType.INT32, indices.name)
