"""Normalizations."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers
from edgepack.writers.onnx.elementwise import number

_L2_FLOOR = 1e-6  # the length that L2_NORMALIZATION divides by is at least this


@lowers("BatchNorm")
def batch_norm(node: Node, out: OnnxBuilder) -> None:
    """BatchNormalization of channels in the second dimension, else spelled out."""
    x, y = node.input(0), node.output
    if node.attrs["axis"] % x.rank == 1:
        names = [out.real(v) for v in node.present_inputs]
        out.emit("BatchNormalization", names, y, epsilon=float(node.attrs["eps"]))
        return
    shape = [1] * x.rank
    shape[node.attrs["axis"]] = -1
    target = out.constant(shape, name="shape")
    gamma, beta, mean, var = (
        out.op("Reshape", [out.real(v), target]) for v in node.present_inputs[1:]
    )
    deviation = out.op("Sqrt", [out.op("Add", [var, number(out, node.attrs["eps"], y)])])
    centred = out.op("Sub", [out.real(x), mean])
    scaled = out.op("Mul", [centred, out.op("Div", [gamma, deviation])])
    out.emit("Add", [scaled, beta], y)


@lowers("LayerNorm")
def layer_norm(node: Node, out: OnnxBuilder) -> None:
    """LayerNormalization, which must have a gamma."""
    x, gamma, beta = node.input(0), node.optional(1), node.optional(2)
    axis = node.attrs["axis"] % x.rank
    if gamma is None:
        kind = x.dtype if x.dtype.is_float else DType.FLOAT32
        scale = out.initializer(np.ones(x.shape[axis:], kind.numpy), "ones")
    else:
        scale = out.real(gamma)
    names = [out.real(x), scale, *([] if beta is None else [out.real(beta)])]
    attrs = {"axis": axis - x.rank, "epsilon": float(node.attrs["eps"])}
    out.emit("LayerNormalization", names, node.output, **attrs)


@lowers("RmsNorm")
def rms_norm(node: Node, out: OnnxBuilder) -> None:
    """RMSNormalization from operator set 23 on, before that spelled out."""
    x, gamma, y = node.input(0), node.optional(1), node.output
    axis, name = node.attrs["axis"] % x.rank, out.real(x)
    if out.opset >= 23 and gamma is not None:
        attrs = {"axis": axis - x.rank, "epsilon": float(node.attrs["eps"])}
        out.emit("RMSNormalization", [name, out.real(gamma)], y, **attrs)
        return
    power = _mean(out, out.op("Mul", [name, name]), list(range(axis, x.rank)))
    root = out.op("Sqrt", [out.op("Add", [power, number(out, node.attrs["eps"], y)])])
    if gamma is None:
        out.emit("Div", [name, root], y)
    else:
        out.emit("Mul", [out.op("Div", [name, root]), out.real(gamma)], y)


def _mean(out: OnnxBuilder, name: str, axes: list[int]) -> str:
    if out.opset >= 18:
        return out.op("ReduceMean", [name, out.constant(axes, name="axes")], keepdims=1)
    return out.op("ReduceMean", [name], axes=axes, keepdims=1)


@lowers("L2Norm")
def l2_norm(node: Node, out: OnnxBuilder) -> None:
    """X over its length along the last axis, which counts as 1e-6 at least."""
    x, y = out.real(node.input(0)), node.output
    axes = out.constant([-1], name="axes")
    squares = out.op("ReduceSum", [out.op("Mul", [x, x]), axes], keepdims=1)
    length = out.op("Max", [out.op("Sqrt", [squares]), number(out, _L2_FLOOR, y)])
    out.emit("Div", [x, length], y)


@lowers("Lrn")
def lrn(node: Node, out: OnnxBuilder) -> None:
    """LRN, which divides alpha by the size of the window; channels last are turned there and back.

    A window that reaches over all channels to both sides is as wide as that.
    """
    attrs, x = node.attrs, node.input(0)
    size = 2 * attrs["radius"] + 1
    turned = out.op("Transpose", [out.real(x)], perm=[0, 3, 1, 2])
    normal = out.op(
        "LRN", [turned], size=size, alpha=float(attrs["alpha"] * size), beta=float(attrs["beta"]),
        bias=float(attrs["bias"]),
    )  # fmt: skip
    out.emit("Transpose", [normal], node.output, perm=[0, 2, 3, 1])
