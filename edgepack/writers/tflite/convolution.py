"""Convolutions. Legal forms: layout NHWC, padding that SAME or VALID stands for.

Weights may be int8 constants with parameters while the activations are float32: that is TFLite's
hybrid ("dynamic range") form of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, whose kernels
quantize the activations on the fly. 16-bit weights are such constants behind a Dequantize node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.ir import DType, Node, QuantParams, Value
from edgepack.schema import tflite as fmt
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers, require

_DIMS = {2: ("h", "w"), 3: ("d", "h", "w")}


def activation(node: Node) -> int:
    """The schema's code of the fused activation."""
    name = fmt.ACTIVATIONS[node.attrs["activation"]]
    return int(getattr(fmt.schema().ActivationFunctionType, name))


def window_fields(node: Node, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Padding and strides of a convolution or pooling; InternalError when not legal in TFLite."""
    attrs = node.attrs
    dilation = attrs.get("dilation", (1,) * len(kernel))
    sizes = node.input(0).shape[1:-1]
    name = fmt.padding_name(sizes, kernel, attrs["stride"], dilation, attrs["pad"])
    return {"padding": _padding_code(node, name), **_per_dim("stride_{}", attrs["stride"])}


def _padding_code(node: Node, name: str | None) -> int:
    require(node, node.attrs["layout"] == "NHWC", "channels first")
    require(node, name is not None, f"padding {node.attrs['pad']}")
    return int(getattr(fmt.schema().Padding, str(name)))


def _per_dim(pattern: str, numbers: tuple[int, ...]) -> dict[str, int]:
    return {pattern.format(d): n for d, n in zip(_DIMS[len(numbers)], numbers, strict=True)}


def _conv_fields(node: Node) -> dict[str, Any]:
    return {
        **window_fields(node, node.input(1).shape[1:-1]),
        **_per_dim("dilation_{}_factor", node.attrs["dilation"]),
        "fused_activation_function": activation(node),
    }


@lowers("Conv2d")
def conv2d(node: Node, out: TFLiteBuilder) -> None:
    """CONV_2D; grouped when the filters see fewer channels than the input has."""
    inputs = _with_bias(node, out)
    out.emit("CONV_2D", node, inputs=inputs, options="Conv2DOptions", **_conv_fields(node))


def _with_bias(node: Node, out: TFLiteBuilder) -> list[Value]:
    """X, weights and bias: zeros where there is none, since CONV_2D does not load without."""
    x, weights, bias = node.input(0), node.input(1), node.optional(2)
    if bias is not None:
        return [x, weights, bias]
    zeros, name = np.zeros(node.output.shape[-1]), f"{node.name}/bias"
    if x.quant is None or weights.quant is None:
        return [x, weights, out.constant(name, zeros, x.dtype)]
    dtype = DType.INT64 if x.dtype is DType.INT16 else DType.INT32
    scale = weights.quant.scale * x.quant.scale[0]
    axis = None if weights.quant.axis is None else 0
    quant = QuantParams(scale, np.zeros_like(weights.quant.zero_point), axis)
    return [x, weights, out.constant(name, zeros, dtype, quant)]


@lowers("DepthwiseConv2d")
def depthwise_conv2d(node: Node, out: TFLiteBuilder) -> None:
    """DEPTHWISE_CONV_2D."""
    out.emit(
        "DEPTHWISE_CONV_2D",
        node,
        inputs=_with_bias(node, out),
        options="DepthwiseConv2DOptions",
        depth_multiplier=node.output.shape[-1] // node.input(0).shape[-1],
        **_conv_fields(node),
    )


@lowers("Conv3d")
def conv3d(node: Node, out: TFLiteBuilder) -> None:
    """CONV_3D, weights DHWIO. Legal form: constant weights, groups 1, float32."""
    require(node, node.attrs["groups"] == 1, f"groups {node.attrs['groups']}")
    inputs = [node.input(0), _turned(node, (1, 2, 3, 4, 0), out), node.optional(2)]
    out.emit("CONV_3D", node, inputs=inputs, options="Conv3DOptions", **_conv_fields(node))


def _turned(node: Node, perm: tuple[int, ...], out: TFLiteBuilder) -> Value:
    weights = node.input(1)
    data = np.ascontiguousarray(weights.const.transpose(perm))
    return out.constant(weights.name, data, weights.dtype)


# -- transposed ------------------------------------------------------------------------------------


def _transposed_fields(node: Node) -> dict[str, Any]:
    attrs = node.attrs
    require(node, attrs["groups"] == 1, f"groups {attrs['groups']}")
    require(node, set(attrs["dilation"]) == {1}, f"dilation {attrs['dilation']}")
    x, w, y = (value.shape[1:-1] for value in (node.input(0), node.input(1), node.output))
    name = fmt.transposed_padding_name(x, y, w, attrs["stride"], attrs["pad"])
    return {
        "padding": _padding_code(node, name),
        **_per_dim("stride_{}", attrs["stride"]),
        "fused_activation_function": activation(node),
    }


@lowers("ConvTranspose2d")
def conv_transpose2d(node: Node, out: TFLiteBuilder) -> None:
    """TRANSPOSE_CONV: the output's shape, weights, input, bias.

    Legal form: groups 1, dilation 1, `pad` nothing (VALID) or as SAME.
    """
    shape = out.constant(f"{node.name}/shape", node.output.shape)
    inputs = [shape, node.input(1), node.input(0), node.optional(2)]
    fields = _transposed_fields(node)
    out.emit("TRANSPOSE_CONV", node, inputs=inputs, options="TransposeConvOptions", **fields)


@lowers("ConvTranspose3d")
def conv_transpose3d(node: Node, out: TFLiteBuilder) -> None:
    """CONV_3D_TRANSPOSE, weights DHWOI. Legal form: as in two dimensions; constant weights."""
    shape = out.constant(f"{node.name}/shape", node.output.shape)
    weights = _turned(node, (1, 2, 3, 0, 4), out)
    out.emit(
        "CONV_3D_TRANSPOSE",
        node,
        inputs=[shape, weights, node.input(0), node.optional(2)],
        options="Conv3DOptions",
        **_transposed_fields(node),
    )
