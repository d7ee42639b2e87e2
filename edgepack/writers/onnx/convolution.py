"""Convolutions: NCHW values, weights [out, in / groups, *kernel]."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir import Array, DType, Node, QuantParams, Value
from edgepack.writers.onnx.activation import emit_activated
from edgepack.writers.onnx.builder import OnnxBuilder, lowers, need
from edgepack.writers.onnx.integer_convolution import emit_integer_convolution


def need_nchw(node: Node) -> None:
    """Raises InternalError unless the node is in the layout that ONNX has."""
    need(node.attrs["layout"] == "NCHW", node, "is not in NCHW layout")


def window(node: Node) -> dict[str, Any]:
    """The attributes of convolutions and pooling."""
    pads = node.attrs["pad"]
    return {
        "strides": list(node.attrs["stride"]),
        "pads": [before for before, _ in pads] + [after for _, after in pads],
    }


def _convolution(node: Node) -> dict[str, Any]:
    return {**window(node), "dilations": list(node.attrs["dilation"])}


def _inputs(node: Node, out: OnnxBuilder, weights: str) -> list[str]:
    bias = node.optional(2)
    names = [out.real(node.input(0)), weights]
    return names if bias is None else [*names, out.parameter(bias)]


def _turned(out: OnnxBuilder, w: Value, perm: tuple[int, ...]) -> str:
    """The weights transposed, with their scales."""
    if not w.is_const:
        return out.op("Transpose", [out.real(w)], perm=list(perm))
    quant = w.quant
    if quant is not None and quant.axis is not None:
        quant = quant.moved(perm.index(quant.axis % w.rank))
    return out.weights(w.const.transpose(perm), quant, w)


@lowers("Conv2d", "Conv3d")
def conv(node: Node, out: OnnxBuilder) -> None:
    """Conv."""
    need_nchw(node)
    w = node.input(1)
    perm = (0, w.rank - 1, *range(1, w.rank - 1))
    attrs = {**_convolution(node), "kernel_shape": list(w.shape[1:-1])}
    if node.output.dtype is DType.INT32:
        groups = node.attrs["groups"]
        emit_integer_convolution(node, out, w.const.transpose(perm), groups, attrs)
        return
    weights = _turned(out, w, perm)
    emit_activated(
        node, out, "Conv", _inputs(node, out, weights), group=node.attrs["groups"], **attrs
    )


@lowers("DepthwiseConv2d")
def depthwise(node: Node, out: OnnxBuilder) -> None:
    """Conv with a group for each channel."""
    need_nchw(node)
    w = node.input(1)
    attrs = {**_convolution(node), "kernel_shape": list(w.shape[1:3])}
    channels = node.input(0).shape[1]
    if node.output.dtype is DType.INT32:
        emit_integer_convolution(node, out, w.const.transpose(3, 0, 1, 2), channels, attrs)
        return
    weights = _turned(out, w, (3, 0, 1, 2))
    emit_activated(node, out, "Conv", _inputs(node, out, weights), group=channels, **attrs)


@lowers("ConvTranspose2d", "ConvTranspose3d")
def conv_transpose(node: Node, out: OnnxBuilder) -> None:
    """ConvTranspose, whose weights are [in, out / groups, *kernel]."""
    need_nchw(node)
    w, groups = node.input(1), node.attrs["groups"]
    weights = _transposed_weights(out, w, groups)
    attrs = {
        **_convolution(node),
        "kernel_shape": list(w.shape[1:-1]),
        "output_padding": list(node.attrs["output_pad"]),
        "group": groups,
    }
    emit_activated(node, out, "ConvTranspose", _inputs(node, out, weights), **attrs)


def _transposed_weights(out: OnnxBuilder, w: Value, groups: int) -> str:
    perm = (w.rank - 1, 0, *range(1, w.rank - 1))
    if groups == 1:
        return _turned(out, w, perm)
    if not w.is_const:
        raise InternalError("grouped transposed convolution with computed weights", at=w.name)
    # the scales of the groups' output channels fall on one another: real numbers, then
    data, quant = (w.real, None) if _per_channel(w.quant) else (w.const, w.quant)
    return out.weights(_by_group(data, groups, perm), quant, w)


def _per_channel(quant: QuantParams | None) -> bool:
    return quant is not None and not quant.is_per_tensor


def _by_group(data: Array, groups: int, perm: tuple[int, ...]) -> Array:
    return np.concatenate([part.transpose(perm) for part in np.split(data, groups)])
