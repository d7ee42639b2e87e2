"""Normalizations."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Node
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need
from edgepack.writers.onnx.convolution import need_nchw


@lowers("BatchNorm")
def batch_norm(node: Node, out: OnnxBuilder) -> None:
    """BatchNormalization; channels must be the second dimension."""
    need(node.attrs["axis"] % node.output.rank == 1, node, "is not of the second dimension")
    names = [out.real(v) for v in node.present_inputs]
    out.emit("BatchNormalization", names, node.output, epsilon=float(node.attrs["eps"]))


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


@lowers("Lrn")
def lrn(node: Node, out: OnnxBuilder) -> None:
    """LRN, which divides alpha by the size of the window.

    A window that reaches over all channels to both sides is as wide as that.
    """
    need_nchw(node)
    attrs = node.attrs
    size = 2 * attrs["radius"] + 1
    out.emit(
        "LRN", [out.real(node.input(0))], node.output, size=size,
        alpha=float(attrs["alpha"] * size), beta=float(attrs["beta"]), bias=float(attrs["bias"]),
    )  # fmt: skip
