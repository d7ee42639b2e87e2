"""Convolutions, dense layers and matrix products: sums in whole numbers, then one requantization.

A convolution of int32 values is an integer convolution; the writer makes it ConvInteger, so its
values lie in 0 .. 255. Signed ones are counted from the type's lowest number, 16-bit ones are cut
into two digits. What that adds to the sums, the weights' sum times the zero point, is a constant
and goes into the bias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, Value
from edgepack.kernels.convolution import out_spatial
from edgepack.kernels.fixed_point import Ints as Numbers
from edgepack.kernels.quantized_convolution import channel_multipliers
from edgepack.kernels.quantized_dense import tensor_multiplier
from edgepack.kernels.quantized_scale import params, refuse, wide, zero
from edgepack.passes.onnx_exact.fixed_point import multiply, multiply_wide, wrap32
from edgepack.passes.onnx_exact.ints import Ints, from_value, whole
from edgepack.passes.onnx_exact.spelling import centred, centred_constant, finish, spells, stored

_DIGIT = 256
_LARGEST_WIDE_SHIFT = 14


def requantized_sums(
    node: Node, sums: Ints, bias: Ints | int, scaling: tuple[Numbers, Numbers], *, in_64: bool
) -> Ints:
    """Sums with their bias, scaled to the output and clamped.

    Raises Unsupported for factors of 2**14 and more, at which the kernel in 64 bits shifts by less
    than nothing.
    """
    if in_64 and (scaling[1] > _LARGEST_WIDE_SHIFT).any():
        raise refuse(node, "the output's scale is too small for 64-bit sums")
    total = sums + bias
    scaled = multiply_wide(total, *scaling) if in_64 else multiply(wrap32(total), *scaling)
    return finish(node, scaled)


def _bias(graph: Graph, node: Node) -> Ints | int:
    value = node.optional(2)
    return 0 if value is None else from_value(graph, value)


# -- convolutions ----------------------------------------------------------------------------------

Convolve = Callable[[Ints], Value]  # digits, with their padding, to int32 sums


Place = Callable[[Ints, int, Array], Ints]  # input, what stands for zero, weights to sums


def _convolution(graph: Graph, node: Node, axes: tuple[int, ...], place: Place) -> Ints:
    """Requantized sums; `place` takes the input to the padded digits' convolutions.

    `axes` are those of the weights over which one output channel sums.
    """
    weights = centred_constant(node, 1)
    x = node.input(0)
    low, high = x.dtype.limits
    counted = stored(graph, node, 0) - low  # from 0 on
    middle = zero(x) - low
    sums = place(counted, middle, weights) - middle * weights.sum(axis=axes).reshape(-1)
    least, most = low - zero(x), high - zero(x)
    up, down = np.maximum(weights, 0).sum(axis=axes), np.minimum(weights, 0).sum(axis=axes)
    sums = sums.within(int((up * least + down * most).min()), int((up * most + down * least).max()))
    return requantized_sums(
        node, sums, _bias(graph, node), channel_multipliers(node),
        in_64=wide(node, node.optional(2)),
    )  # fmt: skip


def _digits(counted: Ints, weights: Array, convolve: Callable[[Value, Value], Value]) -> Ints:
    """The sums of a convolution of numbers from 0 on, digit by digit."""
    graph = counted.graph
    filters = graph.constant(weights.astype(np.int32), "weights")
    size = int(np.abs(weights).sum()) * (_DIGIT - 1)  # of all channels: more than any sum

    def sums(digit: Ints) -> Ints:
        made = convolve(digit.stored(DType.INT32), filters)
        return Ints(graph, graph.add("Cast", [made], {"to": "int64"}), -size, size)

    if counted.high < _DIGIT:
        return sums(counted)
    return sums(counted.divided(_DIGIT)) * _DIGIT + sums(counted.remainder(_DIGIT))


def _spatial_pads(pads: Any) -> tuple[tuple[int, int], ...]:
    return ((0, 0), *pads, (0, 0))


def _plain(graph: Graph, node: Node, keys: Sequence[str]) -> Callable[[Value, Value], Value]:
    attrs = {key: node.attrs[key] for key in keys}
    return lambda x, w: graph.add(node.op, [x, w], attrs)


def _padded(node: Node, convolve: Callable[[Value, Value], Value]) -> Place:
    def place(counted: Ints, middle: int, weights: Array) -> Ints:
        padded = counted.padded(_spatial_pads(node.attrs["pad"]), middle)
        return _digits(padded, weights, convolve)

    return place


@spells("Conv2d")
def conv2d(graph: Graph, node: Node) -> Ints:
    """Padding holds the zero point."""
    convolve = _plain(graph, node, ("stride", "dilation", "groups"))
    return _convolution(graph, node, (1, 2, 3), _padded(node, convolve))


@spells("DepthwiseConv2d")
def depthwise_conv2d(graph: Graph, node: Node) -> Ints:
    """One filter per channel and multiple."""
    convolve = _plain(graph, node, ("stride", "dilation"))
    return _convolution(graph, node, (0, 1, 2), _padded(node, convolve))


@spells("ConvTranspose2d")
def conv_transpose2d(graph: Graph, node: Node) -> Ints:
    """A convolution by the flipped filter of the input with zeros between its elements."""

    def convolve(x: Value, w: Value) -> Value:
        attrs = {key: node.attrs[key] for key in ("dilation", "groups")}
        return graph.add("Conv2d", [x, w], attrs)

    def place(counted: Ints, middle: int, weights: Array) -> Ints:
        return _digits(_spread(node, counted, middle), weights[:, ::-1, ::-1], convolve)

    return _convolution(graph, node, (1, 2, 3), place)


def _spread(node: Node, x: Ints, fill: int) -> Ints:
    """`stride` - 1 elements of `fill` after each, and what the filter overlaps around all."""
    attrs, kernel = node.attrs, node.input(1).shape[1:3]
    n, h, w, c = x.shape
    down, along = attrs["stride"]
    split = x.reshaped((n, h, 1, w, 1, c))
    nothing = (0, 0)
    apart = split.padded((nothing, nothing, (0, down - 1), nothing, (0, along - 1), nothing), fill)
    whole_image = apart.reshaped((n, h * down, w * along, c))
    pads = []
    for dim in range(2):
        before, after = attrs["pad"][dim]
        reach = (kernel[dim] - 1) * attrs["dilation"][dim]
        full = out_spatial(node)[dim] + before + after
        pads.append((reach - before, full - whole_image.shape[1 + dim] - after))
    return whole_image.padded(_spatial_pads(pads), fill)


# -- matrix products -------------------------------------------------------------------------------


def product(a: Ints, weights: Array) -> Ints:
    """A [..., in] times constant weights [out, in]."""
    size = max(abs(a.low), abs(a.high)) * int(np.abs(weights).sum(axis=1).max(initial=0))
    return a.times_matrix(whole(a.graph, weights.T), size)


@spells("FullyConnected")
def fully_connected(graph: Graph, node: Node) -> Ints:
    """X [..., in] times weights [out, in], per tensor or per channel."""
    weights = centred_constant(node, 1)
    rows = centred(graph, node, 0)
    rows = rows.reshaped((node.input(0).size // weights.shape[1], weights.shape[1]))
    per_tensor = params(node.input(1)).is_per_tensor
    y = requantized_sums(
        node, product(rows, weights), _bias(graph, node),
        tensor_multiplier(node) if per_tensor else channel_multipliers(node),
        in_64=wide(node, node.optional(2)),
    )  # fmt: skip
    return y.reshaped(node.output.shape)


@spells("MatMul")
def matmul(graph: Graph, node: Node) -> Ints:
    """Batched product of the last two dimensions."""
    a, b = (
        _turned(centred(graph, node, i), turn=node.attrs[name])
        for i, name in enumerate(("adj_a", "adj_b"))
    )
    size = a.shape[-1] * max(abs(a.low), abs(a.high)) * max(abs(b.low), abs(b.high))
    in_64 = node.output.dtype is DType.INT16
    return requantized_sums(node, a.times_matrix(b, size), 0, tensor_multiplier(node), in_64=in_64)


def _turned(x: Ints, *, turn: bool) -> Ints:
    rank = len(x.shape)
    return x.moved("Transpose", perm=(*range(rank - 2), rank - 1, rank - 2)) if turn else x
