"""Layers and functions of float32 activations."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels.pooling import bilinear_weights
from edgepack.writers.c.broadcast import each_pair
from edgepack.writers.c.builder import CBuilder, lowers_real, refuse_unless
from edgepack.writers.c.convolution import filtered
from edgepack.writers.c.matmul import batch_places, matmul_sizes
from edgepack.writers.c.pooling import pool
from edgepack.writers.c.reduction import loops
from edgepack.writers.c.rows import row_sizes

_HUGE: Final = float(np.finfo(np.float32).max)
_LIMITS: Final = {
    "none": (-_HUGE, _HUGE), "relu": (0.0, _HUGE), "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}  # fmt: skip


def _limits(node: Node) -> tuple[float, float]:
    return _LIMITS[node.attrs.get("activation", "none")]


# -- layers with weights ---------------------------------------------------------------------------


def _weighted(node: Node, out: CBuilder, rows: Array) -> dict[str, Any]:
    bias = node.optional(2)
    refuse_unless(bias is None or bias.is_const, "a computed bias")
    given = np.zeros(len(rows), np.float32) if bias is None else bias.const
    low, high = _limits(node)
    return {
        "weights": out.table(rows, f"{node.name}: weights"),
        "bias": out.table(given, f"{node.name}: bias"),
        "low": low, "high": high, "out_c": len(rows),
    }  # fmt: skip


def real_weights(node: Node) -> Array:
    """The weights as float32: those stored in 8 bits count as the real numbers they stand for."""
    refuse_unless(node.input(1).is_const, "computed weights")
    return np.asarray(node.input(1).real, np.float32)


@lowers_real("Conv2d", "DepthwiseConv2d", "ConvTranspose2d")
def convolution(node: Node, out: CBuilder) -> None:
    """One filter per channel is as many groups as the input has channels."""
    w, shape = real_weights(node), filtered(node)
    depthwise = node.op == "DepthwiseConv2d"
    rows = w.reshape(-1, w.shape[3]).T if depthwise else w.reshape(len(w), -1)
    groups = shape["in_c"] if depthwise else node.attrs["groups"]
    shape["in_c"] //= groups
    kernel = "ep_conv_f32"
    if node.op == "ConvTranspose2d":
        legal = groups == 1 and node.attrs["dilation"] == (1, 1)
        refuse_unless(legal, "groups or dilation")
        kernel = "ep_transposed_f32"
    fields = _weighted(node, out, np.ascontiguousarray(rows))
    params = out.struct("ep_conv_f32_t", **fields, **shape, groups=groups)
    out.call(kernel, params, out.at(node.input(0)), out.at(node.output))


@lowers_real("FullyConnected")
def dense(node: Node, out: CBuilder) -> None:
    """A convolution of one row of pixels."""
    rows = real_weights(node)
    depth = rows.shape[1]
    count = node.input(0).size // depth
    ones = (
        "batches", "in_h", "out_h", "groups", "kernel_h", "kernel_w", "stride_h", "stride_w",
        "dilation_h", "dilation_w",
    )  # fmt: skip
    params = out.struct(
        "ep_conv_f32_t",
        **_weighted(node, out, rows), **dict.fromkeys(ones, 1),
        in_w=count, out_w=count, in_c=depth, pad_top=0, pad_left=0,
    )  # fmt: skip
    out.call("ep_conv_f32", params, out.at(node.input(0)), out.at(node.output))


@lowers_real("MatMul")
def matmul(node: Node, out: CBuilder) -> None:
    """One call for each product of a batch."""
    params = out.struct("ep_matmul_f32_t", **matmul_sizes(node))
    batches, places = batch_places(node, out)
    with out.loops({"i": batches} if batches > 1 else {}):
        out.call("ep_matmul_f32", params, *places)


# -- windows, rows, reductions ---------------------------------------------------------------------


@lowers_real("AveragePool2d", "MaxPool2d")
def pool2d(node: Node, out: CBuilder) -> None:
    """Padding does not count."""
    refuse_unless(not node.attrs.get("count_include_pad"), "padding that counts")
    params = out.struct("ep_pool_t", **pool(node), low=0, high=0)
    low, high = (out.real(limit) for limit in _limits(node))
    largest = 1 if node.op == "MaxPool2d" else 0
    out.call("ep_pool_f32", params, largest, low, high, out.at(node.input(0)), out.at(node.output))


_KINDS: Final = {"ReduceSum": 0, "ReduceMean": 1, "ReduceMax": 2, "ReduceMin": 3}


@lowers_real(*_KINDS)
def reduce(node: Node, out: CBuilder) -> None:
    """Sums in the order of the elements."""
    sizes = loops(node, node.attrs["axes"])
    params = out.struct("ep_reduce_t", **sizes, scale=(0, 0), offset=0, zero=0)
    kind = _KINDS[node.op]
    out.call("ep_reduce_f32", params, kind, out.at(node.input(0)), out.at(node.output))


@lowers_real("Softmax", "LogSoftmax", "L2Norm")
def by_rows(node: Node, out: CBuilder) -> None:
    """Along the last axis."""
    sizes = row_sizes(node)
    arguments: list[str | int] = [sizes["rows"], sizes["depth"]]
    if node.op == "Softmax":
        arguments.append(out.real(node.attrs["beta"]))
    kernels = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "L2Norm": "l2norm"}
    places = out.at(node.input(0)), out.at(node.output)
    out.call(f"ep_{kernels[node.op]}_f32", *arguments, *places)


@lowers_real("ResizeBilinear")
def resize_bilinear(node: Node, out: CBuilder) -> None:
    """Places and weights of each row and column by tables."""
    x, y = node.input(0), node.output
    fields: dict[str, Any] = {}
    for dim, name in enumerate(("down", "along")):
        low, high, weight = bilinear_weights(node, dim, x.shape[1 + dim])
        places = np.stack([low, high], axis=1).astype(np.int32)
        fields[name] = out.table(places, f"{node.name}: places")
        fields[f"{name}_weight"] = out.table(weight.astype(np.float32), f"{node.name}: weights")
    params = out.struct(
        "ep_resize_f32_t",
        **fields, batches=x.shape[0], in_h=x.shape[1], in_w=x.shape[2], channels=x.shape[3],
        out_h=y.shape[1], out_w=y.shape[2],
    )  # fmt: skip
    out.call("ep_bilinear_f32", params, out.at(x), out.at(y))


# -- element by element ----------------------------------------------------------------------------

_PAIRS: Final = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Maximum": "maximum",
    "Minimum": "minimum", "PRelu": "prelu", "SquaredDifference": "squared_difference",
}  # fmt: skip


@lowers_real(*_PAIRS)
def pairs(node: Node, out: CBuilder) -> None:
    """With broadcasting, and limits by the fused activation."""
    low, high = (out.real(limit) for limit in _limits(node))
    each_pair(node, out, f"ep_{_PAIRS[node.op]}_f32", low, high)


_CLAMPS: Final = {
    "Relu": (0.0, _HUGE), "Relu6": (0.0, 6.0), "ReluN1To1": (-1.0, 1.0), "Relu0To1": (0.0, 1.0)
}  # fmt: skip


@lowers_real(*_CLAMPS, "Clip")
def clamp(node: Node, out: CBuilder) -> None:
    """Between two limits."""
    low, high = _CLAMPS.get(node.op) or _clip(node)
    x, y = node.input(0), node.output
    out.call("ep_relu_f32_each", out.at(x), out.real(low), out.real(high), out.at(y), y.size)


def _clip(node: Node) -> tuple[float, float]:
    low, high = node.attrs["min"], node.attrs["max"]
    return (
        -_HUGE if low is None else max(float(low), -_HUGE),
        _HUGE if high is None else min(float(high), _HUGE),
    )


_FUNCTIONS: Final = {
    name: name.lower()
    for name in (
        "Abs", "Neg", "Square", "Sqrt", "Rsqrt", "Exp", "Log", "Sigmoid", "Tanh", "HardSwish",
        "Elu", "Gelu", "LeakyRelu",
    )
}  # fmt: skip


@lowers_real(*_FUNCTIONS)
def function(node: Node, out: CBuilder) -> None:
    """Transcendental ones by polynomials, right to about 2e-7."""
    name = _FUNCTIONS[node.op]
    extra: list[str] = []
    if node.op == "LeakyRelu":
        name, extra = "leaky", [out.real(node.attrs["alpha"])]
    if node.op == "Gelu" and node.attrs["approximate"]:
        name = "gelu_tanh"
    x, y = node.input(0), node.output
    out.call(f"ep_{name}_f32_each", out.at(x), *extra, out.at(y), y.size)
