"""Operators that move elements without computing, and reductions."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Node
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers


@lowers("Reshape")
def reshape(node: Node, out: TFLiteBuilder) -> None:
    """RESHAPE, the shape as a tensor and as an option."""
    shape = np.array(node.attrs["shape"], np.int32)
    target = out.constant(f"{node.name}/shape", shape)
    out.emit(
        "RESHAPE", node, inputs=[node.input(0), target], options="ReshapeOptions", new_shape=shape
    )


@lowers("Transpose")
def transpose(node: Node, out: TFLiteBuilder) -> None:
    """TRANSPOSE."""
    perm = out.constant(f"{node.name}/perm", node.attrs["perm"])
    out.emit("TRANSPOSE", node, inputs=[node.input(0), perm], options="TransposeOptions")


_REDUCE = {
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMin": "REDUCE_MIN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceAny": "REDUCE_ANY",
    "ReduceAll": "REDUCE_ALL",
}


@lowers(*_REDUCE)
def reduction(node: Node, out: TFLiteBuilder) -> None:
    """MEAN, SUM and their kin."""
    axes = out.constant(f"{node.name}/axes", node.attrs["axes"])
    out.emit(
        _REDUCE[node.op], node, inputs=[node.input(0), axes], options="ReducerOptions",
        keep_dims=node.attrs["keepdims"],
    )  # fmt: skip


@lowers("Pad")
def pad(node: Node, out: TFLiteBuilder) -> None:
    """PAD with zeros (the quantized zero is the zero point)."""
    pads = out.constant(f"{node.name}/pads", node.attrs["pads"])
    out.emit("PAD", node, inputs=[node.input(0), pads], options="PadOptions")
