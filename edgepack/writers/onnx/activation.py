"""Activations: fused ones, clamps and smooth functions."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from edgepack.ir import DType, Node, Value
from edgepack.writers.onnx.builder import OnnxBuilder, lowers

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
    again = out.dequantize(stored, y.quant, y.dtype, f"{y.name}/unlimited")
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
    """PRelu; spelled out where x is broadcast to alpha, which PRelu does not do."""
    x, alpha = node.input(0), node.input(1)
    a, b = out.real(x), out.real(alpha)
    if x.shape == node.output.shape:
        out.emit("PRelu", [a, b], node.output)
        return
    zero = out.constant(0, x.dtype if x.quant is None else DType.FLOAT32, "zero")
    negative = out.op("Mul", [a, b])
    out.emit("Where", [out.op("Less", [a, zero]), negative, a], node.output)


@lowers("Gelu")
def gelu(node: Node, out: OnnxBuilder) -> None:
    """Gelu from operator set 20 on, before that by Erf or Tanh; runtimes fuse that."""
    x, y, approximate = out.real(node.input(0)), node.output, node.attrs["approximate"]
    if out.opset >= 20:
        out.emit("Gelu", [x], y, approximate="tanh" if approximate else "none")
        return
    kind = y.dtype if y.dtype.is_float else DType.FLOAT32

    def number(value: float) -> str:
        return out.constant(value, kind, "gelu")

    if approximate:
        cube = out.op("Mul", [out.op("Mul", [x, x]), x])
        inner = out.op("Add", [x, out.op("Mul", [cube, number(0.044715)])])
        share = out.op("Tanh", [out.op("Mul", [inner, number(math.sqrt(2 / math.pi))])])
    else:
        share = out.op("Erf", [out.op("Div", [x, number(math.sqrt(2))])])
    scaled = out.op("Mul", [x, out.op("Add", [share, number(1)])])
    out.emit("Mul", [scaled, number(0.5)], y)


@lowers("Softmax", "LogSoftmax")
def softmax(node: Node, out: OnnxBuilder) -> None:
    """Softmax and LogSoftmax; a beta other than 1 is a Mul before it."""
    x, y = out.real(node.input(0)), node.output
    beta = node.attrs.get("beta", 1.0)
    if beta != 1.0:
        kind = y.dtype if y.dtype.is_float else DType.FLOAT32
        x = out.op("Mul", [x, out.constant(np.asarray(beta), kind, "beta")])
    out.emit(node.op, [x], y, axis=node.attrs["axis"])
