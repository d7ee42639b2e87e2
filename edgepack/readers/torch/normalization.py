"""Normalizations. Batch normalization stays a node of its own: later passes use its statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads


@reads("aten.batch_norm", "aten._native_batch_norm_legit_no_training", "aten.native_batch_norm",
       "aten._native_batch_norm_legit", "aten.cudnn_batch_norm")  # fmt: skip
def batch_norm(call: Call) -> Value:
    """BatchNorm over dimension 1 with the running statistics."""
    x = call.value("input")
    if call.get("running_mean") is None or call.get("training", False):
        raise Refused(
            "batch normalization with the statistics of the batch itself has no equivalent",
            "put the module in eval mode and track running statistics",
        )
    mean, var = call.value("running_mean"), call.value("running_var")
    gamma = call.optional("weight") or call.const(np.ones(mean.shape, np.float32))
    beta = call.optional("bias") or call.const(np.zeros(mean.shape, np.float32))
    return call.emit("BatchNorm", x, gamma, beta, mean, var, eps=float(call["eps"]), axis=1)


@reads("aten.layer_norm", "aten.native_layer_norm")
def layer_norm(call: Call) -> Value:
    """LayerNorm over the last dimensions."""
    x = call.value("input")
    axis = x.rank - len(call["normalized_shape"])
    return call.emit(
        "LayerNorm", x, call.optional("weight"), call.optional("bias"),
        axis=axis, eps=float(call["eps"]),
    )  # fmt: skip


@reads("aten.rms_norm", "aten._fused_rms_norm")
def rms_norm(call: Call) -> Value:
    """RmsNorm over the last dimensions; without eps, torch takes that of the type."""
    x = call.value("input")
    axis = x.rank - len(call["normalized_shape"])
    eps = float(call.get("eps", np.finfo(np.float32).eps))
    return call.emit("RmsNorm", x, call.optional("weight"), axis=axis, eps=eps)


@reads("aten.group_norm", "aten.native_group_norm")
def group_norm(call: Call) -> Value:
    """Mean and variance per group of channels, from those per channel.

    mean_g = mean over the group of mean_c, and so for the mean of (x - mean_g)^2: the large values
    keep their four dimensions, and only [N, C, 1, 1] is reshaped.
    """
    groups = int(call.get("num_groups", call.get("group")))
    return _normalize_channels(call, groups)


@reads("aten.instance_norm")
def instance_norm(call: Call) -> Value:
    """Mean and variance per channel and sample, or the running ones."""
    if not call.get("use_input_stats", True):
        return batch_norm(call)
    return _normalize_channels(call, call.value("input").shape[1])


def _normalize_channels(call: Call, groups: int) -> Value:
    x = call.value("input")
    ones = (1,) * (x.rank - 2)
    mean = _spread_over_groups(call, x, groups)
    centered = call.emit("Sub", x, mean)
    variance = _spread_over_groups(call, call.emit("Mul", centered, centered), groups)
    shifted = call.emit("Add", variance, float(call["eps"]))
    y = call.emit("Mul", centered, call.emit("Rsqrt", shifted))
    if call.get("weight") is not None:
        y = call.emit("Mul", y, call.reshaped("weight", (1, -1, *ones)))
    if call.get("bias") is not None:
        y = call.emit("Add", y, call.reshaped("bias", (1, -1, *ones)))
    return y


def _spread_over_groups(call: Call, x: Value, groups: int) -> Value:
    """The mean of each group of channels, [N, C, 1, ...]."""
    batch, channels = x.shape[:2]
    mean = x
    if x.rank > 2:
        mean = call.emit("ReduceMean", x, axes=tuple(range(2, x.rank)), keepdims=True)
    if groups == channels:
        return mean
    shape = mean.shape
    grouped = call.reshape(mean, (batch, groups, channels // groups))
    grouped = call.emit("ReduceMean", grouped, axes=(2,), keepdims=True)
    wide = call.broadcast(grouped, (batch, groups, channels // groups))
    return call.reshape(wide, shape)


@reads("aten.linalg_vector_norm", "aten.norm")
def vector_norm(call: Call) -> Value:
    """The 1-, 2- or infinity-norm over dimensions."""
    order = _order(call)
    x = call.value("self")
    attrs: dict[str, Any] = {"axes": call.axes(), "keepdims": bool(call.get("keepdim", False))}
    if order == 2.0:
        return call.emit("Sqrt", call.emit("ReduceSum", call.emit("Mul", x, x), **attrs))
    if order == 1.0:
        return call.emit("ReduceSum", call.emit("Abs", x), **attrs)
    if math.isinf(order):
        op = "ReduceMax" if order > 0 else "ReduceMin"
        return call.emit(op, call.emit("Abs", x), **attrs)
    power = call.emit("Pow", call.emit("Abs", x), order)
    return call.emit("Pow", call.emit("ReduceSum", power, **attrs), 1 / order)


def _order(call: Call) -> float:
    return float(call.get("ord", call.get("p", 2)))


@reads("aten.softmax", "aten._softmax", "aten.log_softmax", "aten._log_softmax")
def softmax(call: Call) -> Value:
    """Softmax or LogSoftmax along one dimension."""
    op = "LogSoftmax" if "log" in call.target else "Softmax"
    return call.emit(op, call.value("self", DType.FLOAT32), axis=call.axis())
