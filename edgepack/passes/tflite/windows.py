"""Convolutions and pooling: padding that TFLite has no name for, groups and dilation.

TFLite knows two paddings: VALID (none) and SAME (what ceil(size / stride) windows need, the odd
pixel behind). Anything else is a Pad in front of a VALID operator.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.passes.activations import UNFUSED, range_of
from edgepack.passes.match import all_real, is_real, supersede
from edgepack.passes.rules import Maker, compute_in_reals
from edgepack.passes.tflite.rules import legalizes
from edgepack.schema.tflite import padding_name, transposed_padding_name

Pads = tuple[tuple[int, int], ...]


def _name(node: Node, kernel: tuple[int, ...]) -> str | None:
    dilation = node.attrs.get("dilation", (1,) * len(kernel))
    sizes = node.input(0).shape[1:-1]
    return padding_name(sizes, kernel, node.attrs["stride"], dilation, node.attrs["pad"])


def _pad_first(graph: Graph, node: Node, value: float, **changes: Any) -> None:
    """Let a Pad do the node's padding."""
    make, x = Maker(graph, node), node.input(0)
    pads: Pads = ((0, 0), *node.attrs["pad"], (0, 0))
    padded = make.same("Pad", x, {"pads": pads, "mode": "constant", "value": value})
    nothing = ((0, 0),) * (x.rank - 2)
    attrs = {**node.attrs, "pad": nothing, **changes}
    supersede(graph, node.output, node.op, [padded, *node.inputs[1:]], attrs)


@legalizes("Conv2d", "DepthwiseConv2d", "Conv3d")
def convolution_padding(graph: Graph, node: Node) -> bool:
    """Zeros by a Pad where neither SAME nor VALID says them."""
    kernel = node.input(1).shape[1:-1]
    if _name(node, kernel) is not None:
        return False
    _pad_first(graph, node, 0.0)
    return True


@legalizes("MaxPool2d")
def max_pool_padding(graph: Graph, node: Node) -> bool:
    """The lowest number by a Pad where neither SAME nor VALID says the padding."""
    if _name(node, node.attrs["kernel"]) is not None:
        return False
    # a PAD of zeros is cheaper than a PADV2 of another number, where no zero can win
    touches = all(max(p) < k for p, k in zip(node.attrs["pad"], node.attrs["kernel"], strict=True))
    harmless = touches and is_real(node.input(0)) and range_of(node.input(0))[0] >= 0
    _pad_first(graph, node, 0.0 if harmless else _lowest(node.input(0)))
    return True


def _lowest(x: Value) -> float:
    if x.dtype.is_float or x.quant is not None:
        return -math.inf
    return x.dtype.limits[0]


@legalizes("AveragePool2d")
def average_pool_padding(graph: Graph, node: Node) -> bool:
    """TFLite never counts padding in a mean.

    Where it counts: a Pad in front. Where it does not and is neither SAME nor VALID: a Pad, and the
    result times (window size / pixels that are there) at each place.
    """
    counts = node.attrs["count_include_pad"] and any(map(any, node.attrs["pad"]))
    if counts:
        _pad_first(graph, node, 0.0, count_include_pad=False)
        return True
    if _name(node, node.attrs["kernel"]) is not None:
        return False
    if not all_real(node):
        return compute_in_reals(graph, node)
    correction = _correction(node)
    make, activation = Maker(graph, node), node.attrs["activation"]
    pads = {"pads": ((0, 0), *node.attrs["pad"], (0, 0))}
    padded = make("Pad", node.input(0), attrs=pads)
    attrs = {**node.attrs, "pad": ((0, 0), (0, 0)), "activation": "none"}
    mean = make("AveragePool2d", padded, attrs=attrs)
    factors = make.constant(correction, DType.FLOAT32)
    supersede(graph, node.output, "Mul", [mean, factors], {"activation": activation})
    return True


def _correction(node: Node) -> Array:
    """Window size over the number of pixels in it, [1, out h, out w, 1]."""
    per_dim = []
    for size, k, s, (before, _), count in zip(
        node.input(0).shape[1:3], node.attrs["kernel"], node.attrs["stride"], node.attrs["pad"],
        node.output.shape[1:3], strict=True,
    ):  # fmt: skip
        starts = np.arange(count) * s - before
        there = np.minimum(starts + k, size) - np.maximum(starts, 0)
        per_dim.append(k / np.maximum(there, 1))
    factors: Array = np.multiply.outer(*per_dim)[None, :, :, None].astype(np.float32)
    return factors


# -- groups ----------------------------------------------------------------------------------------


@legalizes("Conv3d", "ConvTranspose2d", "ConvTranspose3d")
def split_groups(graph: Graph, node: Node) -> bool:
    """One operator for each group, and their results side by side."""
    groups = node.attrs["groups"]
    if groups == 1:
        return False
    make, x, w, bias = Maker(graph, node), node.input(0), node.input(1), node.optional(2)
    attrs = {**node.attrs, "groups": 1}
    xs = _parts(make, x, x.rank - 1, groups)
    ws = _parts(make, w, 0, groups)
    bs = [None] * groups if bias is None else _parts(make, bias, 0, groups)
    results = []
    for inputs in zip(xs, ws, bs, strict=True):
        y = make(node.op, *inputs, attrs=attrs)
        y.quant = node.output.quant
        results.append(y)
    supersede(graph, node.output, "Concat", results, {"axis": x.rank - 1})
    return True


def _parts(make: Maker, value: Value, axis: int, count: int) -> list[Value]:
    size = value.shape[axis] // count
    if value.data is None:
        attrs = {"axis": axis, "sizes": (size,) * count}
        parts = make.parts("Split", value, attrs=attrs)
        for part in parts:
            part.quant = value.quant
        return list(parts)
    quant = value.quant
    result = []
    for index, data in enumerate(np.split(value.data, count, axis)):
        own = quant
        if quant is not None and quant.axis == axis:
            span = slice(index * size, (index + 1) * size)
            own = type(quant)(quant.scale[span], quant.zero_point[span], axis)
        new = make.graph.constant(np.ascontiguousarray(data), value.name, own)
        new.dtype = value.dtype
        result.append(new)
    return result


# -- transposed convolution ------------------------------------------------------------------------


@legalizes("ConvTranspose2d", "ConvTranspose3d")
def transposed_dilation(graph: Graph, node: Node) -> bool:
    """Zeros between the taps of the kernel: TRANSPOSE_CONV does not dilate."""
    dilation, w = node.attrs["dilation"], node.input(1)
    if all(d == 1 for d in dilation) or w.data is None:
        return False
    kernel = [(k - 1) * d + 1 for k, d in zip(w.shape[1:-1], dilation, strict=True)]
    data = np.zeros((w.shape[0], *kernel, w.shape[-1]), w.data.dtype)
    data[(slice(None), *(slice(None, None, d) for d in dilation))] = w.data
    _with_weights(graph, node, data, dilation=(1,) * len(dilation))
    return True


def _with_weights(graph: Graph, node: Node, data: Array, **changes: Any) -> None:
    old = node.input(1)
    new = graph.constant(data, old.name, old.quant)
    new.dtype = old.dtype
    inputs = [node.input(0), new, *node.inputs[2:]]
    supersede(graph, node.output, node.op, inputs, {**node.attrs, **changes})


@legalizes("ConvTranspose2d", "ConvTranspose3d")
def transposed_activation(graph: Graph, node: Node) -> bool:
    """The activation by an operator of its own: few runtimes fuse it here."""
    op = UNFUSED.get(node.attrs["activation"])
    if op is None:
        return False
    y = Maker(graph, node)(node.op, *node.inputs, attrs={**node.attrs, "activation": "none"})
    y.quant = node.output.quant
    supersede(graph, node.output, op, [y])
    return True


@legalizes("ConvTranspose2d", "ConvTranspose3d")
def transposed_padding(graph: Graph, node: Node) -> bool:
    """The full result, of which a Slice takes what padding leaves.

    Where `output_pad` reaches beyond the full result, zero taps at the kernel's end enlarge it.
    """
    attrs, w, out = node.attrs, node.input(1), node.output
    if not any(attrs["output_pad"]) and _transposed_name(node) is not None:
        return False
    beyond = [
        max(e - after, 0) for e, (_, after) in zip(attrs["output_pad"], attrs["pad"], strict=True)
    ]
    none = (0,) * len(beyond)
    if any(beyond):
        if w.data is None:
            return False
        data = np.pad(w.data, ((0, 0), *((0, b) for b in beyond), (0, 0)))
        pad = tuple((b, a + e) for (b, a), e in zip(attrs["pad"], beyond, strict=True))
        _with_weights(graph, node, data, pad=pad)
        return True
    make = Maker(graph, node)
    whole = {**attrs, "pad": tuple((0, 0) for _ in none), "output_pad": none}
    full = make(node.op, *node.inputs, attrs=whole)
    full.quant = out.quant
    begin = (0, *(before for before, _ in attrs["pad"]), 0)
    cut = {"begin": begin, "size": out.shape, "stride": (1,) * out.rank}
    supersede(graph, out, "Slice", [full], cut)
    return True


def _transposed_name(node: Node) -> str | None:
    sizes = node.input(0).shape[1:-1], node.output.shape[1:-1], node.input(1).shape[1:-1]
    return transposed_padding_name(*sizes, node.attrs["stride"], node.attrs["pad"])
