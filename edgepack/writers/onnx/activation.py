"""Activations: fused ones, clamps and smooth functions."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from edgepack.ir import DType, Node, Value
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need

_FUSED: Final = {
    "relu": (0.0, math.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0),
}  # fmt: skip
_CLAMPS: Final = {
    "Relu": (0.0, math.inf), "Relu6": (0.0, 6.0), "ReluN1To1": (-1.0, 1.0), "Relu0To1": (0.0, 1.0),
}  # fmt: skip


def emit_activated(node: Node, out: OnnxBuilder, op: str, inputs: list[str], **attrs: Any) -> None:
    """`op` and the node's fused activation after it, where the node has one."""
    y, name = node.output, node.attrs["activation"]
    if name == "none":
        out.emit(op, inputs, y, **attrs)
    else:
        store_clamped(out, out.op(op, inputs, **attrs), y, *_FUSED[name])


def store_clamped(out: OnnxBuilder, name: str, y: Value, low: float, high: float) -> None:
    """Let y be the real numbers `name`, limited.

    A quantized y whose integers end at the limits needs no more than the saturation of its
    QuantizeLinear. Where they do not, they are clamped after it, so that what comes before stays
    next to its QuantizeLinear and becomes an integer kernel.
    """
    if y.quant is None:
        _clamp(out, name, low, high, y)
        return
    limits = quantized_limits(y, low, high)
    if limits == y.dtype.limits:
        out.store(name, y)
        return
    stored = out.quantize(name, y.quant, y.dtype)
    again = out.dequantize(stored, y.quant, y.dtype)
    bounds = y.quant.dequantize(np.array(limits, y.dtype.numpy))
    names = [out.constant(b, DType.FLOAT32, "bound") for b in bounds]
    out.store(out.op("Clip", [again, *names]), y)


def quantized_limits(y: Value, low: float, high: float) -> tuple[int, int]:
    """The integers of `y` that stand for the limits, inside its dtype."""
    assert y.quant is not None
    least, most = y.dtype.limits
    scale, zero = float(y.quant.scale[0]), int(y.quant.zero_point[0])

    def place(x: float, default: int) -> int:
        return default if math.isinf(x) else min(max(round(x / scale) + zero, least), most)

    return place(low, least), place(high, most)


def _clamp(out: OnnxBuilder, name: str, low: float, high: float, y: Value) -> None:
    if (low, high) == (0.0, math.inf) and y.dtype.is_float:
        out.emit("Relu", [name], y)
        return
    kind = y.dtype if y.dtype.is_float or y.dtype.bits >= 32 else DType.INT32
    least, most = kind.limits if kind.is_integer else (-math.inf, math.inf)
    bounds = [
        out.constant(min(max(b, least), most), kind, "bound") if math.isfinite(b) else ""
        for b in (low, high)
    ]
    while bounds and not bounds[-1]:
        bounds.pop()
    if kind is y.dtype:
        out.emit("Clip", [name, *bounds], y)
    else:
        out.cast(out.op("Clip", [out.cast(name, kind), *bounds]), y.dtype, y.name)


@lowers(*_CLAMPS, "Clip")
def clamp(node: Node, out: OnnxBuilder) -> None:
    """Relu, or Clip."""
    low, high = _CLAMPS.get(node.op) or (node.attrs["min"], node.attrs["max"])
    store_clamped(out, out.real(node.input(0)), node.output, low, high)


@lowers("LeakyRelu")
def leaky_relu(node: Node, out: OnnxBuilder) -> None:
    """LeakyRelu."""
    out.emit("LeakyRelu", [out.real(node.input(0))], node.output, alpha=float(node.attrs["alpha"]))


@lowers("PRelu")
def prelu(node: Node, out: OnnxBuilder) -> None:
    """PRelu; x must have the output's shape."""
    need(node.input(0).shape == node.output.shape, node, "broadcasts its input")
    out.emit("PRelu", [out.real(v) for v in node.present_inputs], node.output)


@lowers("Softmax", "LogSoftmax")
def softmax(node: Node, out: OnnxBuilder) -> None:
    """Softmax and LogSoftmax; beta must be 1."""
    need(node.attrs.get("beta", 1.0) == 1.0, node, "has a beta")
    out.emit(node.op, [out.real(node.input(0))], node.output, axis=node.attrs["axis"])
