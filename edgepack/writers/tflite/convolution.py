"""Convolutions and pooling."""

from __future__ import annotations

from typing import Any

from edgepack.errors import InternalError
from edgepack.ir import DType, Node
from edgepack.schema import tflite as fmt
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers


def _window(node: Node, kernel: tuple[int, ...]) -> dict[str, Any]:
    attrs = node.attrs
    dilation = attrs.get("dilation", (1, 1))
    name = fmt.padding_name(
        node.input(0).shape[1:3], kernel, attrs["stride"], dilation, attrs["pad"]
    )
    if name is None:
        raise InternalError(f"padding {attrs['pad']} is not legal in TFLite", at=node.name)
    return {
        "padding": getattr(fmt.schema().Padding, name),
        "stride_h": attrs["stride"][0],
        "stride_w": attrs["stride"][1],
    }


def activation(node: Node) -> int:
    """The schema's code of the fused activation."""
    name = fmt.ACTIVATIONS[node.attrs["activation"]]
    return int(getattr(fmt.schema().ActivationFunctionType, name))


def _conv_fields(node: Node) -> dict[str, Any]:
    dilation_h, dilation_w = node.attrs["dilation"]
    return {
        **_window(node, node.input(1).shape[1:3]),
        "dilation_h_factor": dilation_h,
        "dilation_w_factor": dilation_w,
        "fused_activation_function": activation(node),
    }


@lowers("Conv2d")
def conv2d(node: Node, out: TFLiteBuilder) -> None:
    """CONV_2D; grouped when the filters see fewer channels than the input has."""
    version = 3 if node.output.dtype is DType.INT8 else 1
    out.emit("CONV_2D", node, options="Conv2DOptions", version=version, **_conv_fields(node))


@lowers("DepthwiseConv2d")
def depthwise_conv2d(node: Node, out: TFLiteBuilder) -> None:
    """DEPTHWISE_CONV_2D."""
    out.emit(
        "DEPTHWISE_CONV_2D",
        node,
        options="DepthwiseConv2DOptions",
        version=3
        if node.output.dtype is DType.INT8
        else 2
        if node.attrs["dilation"] != (1, 1)
        else 1,
        depth_multiplier=node.output.shape[-1] // node.input(0).shape[-1],
        **_conv_fields(node),
    )


@lowers("MaxPool2d", "AveragePool2d")
def pool2d(node: Node, out: TFLiteBuilder) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    filter_h, filter_w = node.attrs["kernel"]
    out.emit(
        "MAX_POOL_2D" if node.op == "MaxPool2d" else "AVERAGE_POOL_2D",
        node,
        options="Pool2DOptions",
        version=2 if node.output.dtype is DType.INT8 else 1,
        filter_height=filter_h,
        filter_width=filter_w,
        fused_activation_function=activation(node),
        **_window(node, node.attrs["kernel"]),
    )
