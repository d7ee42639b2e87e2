"""Quantized dense layers and matrix products, bit for bit as TFLite's reference kernels."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, DType, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_convolution import channel_multipliers
from edgepack.kernels.quantized_scale import (
    double,
    exact_matmul,
    finish,
    offset,
    params,
    scale,
    wide,
)
from edgepack.kernels.registry import quantized


def tensor_multiplier(node: Node) -> tuple[fp.Ints, fp.Ints]:
    """(multiplier, shift) of per-tensor weights: the product of scales is rounded to float32."""
    product = double(scale(node.input(0)) * scale(node.input(1)))
    return fp.quantize_multiplier(product / double(scale(node.output)))


@quantized("FullyConnected")
def fully_connected(node: Node, x: Array, w: Array, b: Array | None = None) -> Array:
    """X [..., in] times weights [out, in], per tensor or per channel."""
    rows = offset(node.input(0), x).reshape(-1, w.shape[1])
    sums = exact_matmul(rows, offset(node.input(1), w).T)
    if b is not None:
        sums = sums + b.astype(np.int64)
    per_tensor = params(node.input(1)).is_per_tensor
    multiplier, shift = tensor_multiplier(node) if per_tensor else channel_multipliers(node)
    if wide(node, node.optional(2)):
        y = fp.multiply_wide(sums, multiplier, shift)
    else:
        y = fp.multiply(fp.wrap32(sums), multiplier, shift)
    return finish(node, y).reshape(node.output.shape)


@quantized("MatMul")
def matmul(node: Node, a: Array, b: Array) -> Array:
    """Batched product of the last two dimensions."""
    left, right = offset(node.input(0), a), offset(node.input(1), b)
    left = np.swapaxes(left, -1, -2) if node.attrs["adj_a"] else left
    right = np.swapaxes(right, -1, -2) if node.attrs["adj_b"] else right
    sums = exact_matmul(left, right)
    multiplier, shift = tensor_multiplier(node)
    if node.output.dtype is DType.INT16:
        return finish(node, fp.multiply_wide(sums, multiplier, shift))
    return finish(node, fp.multiply(fp.wrap32(sums), multiplier, shift))
