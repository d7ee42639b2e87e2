"""Rows of dense layers and matrix products."""

from __future__ import annotations

import math

from edgepack.errors import BadModel
from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tflite.registry import OpView, reads


@reads("FULLY_CONNECTED")
def fully_connected(op: OpView) -> Value:
    """FULLY_CONNECTED; without keep_num_dims the input is made [N, in] first."""
    x, w, options = op.input(0), op.input(1), op.options("FullyConnectedOptions")
    if options.weightsFormat:
        raise Refused("its weights are shuffled for one processor")
    if w.rank != 2 or 0 in w.shape:
        raise BadModel(f"weights {list(w.shape)} are not [out, in]")
    flat = not options.keepNumDims and x.rank != 2
    if flat or x.shape[-1] != w.shape[1]:
        batch, rest = divmod(math.prod(x.shape), w.shape[1])
        if rest:
            raise BadModel(f"weights {list(w.shape)} do not suit the input {list(x.shape)}")
        x = op.emit("Reshape", x, shape=(batch, w.shape[1]))
    activation = op.activation(options.fusedActivationFunction)
    return op.emit("FullyConnected", x, w, op.optional(2), activation=activation)


@reads("BATCH_MATMUL")
def batch_matmul(op: OpView) -> Value:
    """BATCH_MATMUL."""
    options = op.options("BatchMatMulOptions")
    return op.emit(
        "MatMul", op.input(0), op.input(1), adj_a=bool(options.adjX), adj_b=bool(options.adjY)
    )
