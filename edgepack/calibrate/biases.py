"""Biases of integer layers, moved until the mean of each channel behind the activation is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgepack.calibrate.stepper import Stepper
from edgepack.ir import Array, DType, Graph, Node, QuantParams, row
from edgepack.quantize.gptq import Float
from edgepack.quantize.weights import bias_params

_ROUNDS: Final = 2
_LEAST_FREE: Final = 0.02  # share of outputs that a bias must move for it to be worth moving
_LARGEST_MOVE: Final = 4.0  # steps of the output, each round


def correct_means(graph: Graph, walk: Stepper, node: Node, wanted: Float) -> list[list[Array]]:
    """Move the bias until the mean outputs are as `wanted` [samples, channels], in real numbers.

    `node` is the next one of `walk`. Returns the outputs after that.
    """
    quant = node.output.quant
    assert quant is not None  # of an integer layer
    scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
    outputs = walk.outputs()
    for _ in range(_ROUNDS):
        weights = node.input(1).quant
        assert weights is not None
        stored = [r[0].reshape(-1, r[0].shape[-1]) for r in outputs]
        free = _free(node, stored)
        off = _sure(wanted / scale - (sample_means(stored) - zero))
        move = np.where(free > _LEAST_FREE, off / np.maximum(free, _LEAST_FREE), 0.0)
        bias = node.optional(2)
        start = 0.0 if bias is None else bias.real.astype(np.float64)
        shift = np.clip(move, -_LARGEST_MOVE, _LARGEST_MOVE) * scale
        set_bias(graph, node, np.asarray(start + shift, np.float64), weights)
        outputs = walk.outputs()
    return outputs


def set_bias(graph: Graph, node: Node, bias: Float, weights: QuantParams) -> None:
    """Give an integer layer the real `bias` [channels], in the scale that `weights` ask for."""
    quant, old = node.input(0).quant, node.optional(2)
    assert quant is not None  # of an integer layer
    params = bias_params(float(quant.scale[0]), weights)
    wide = old.dtype if old is not None else _wide(node)
    name = node.name if old is None else old.name
    node.set_input(2, graph.constant(params.quantize(bias, wide), name, params))


def encoded(graph: Graph, sample: Sequence[Array]) -> list[Array]:
    """A sample of real inputs as the integer graph takes it."""
    return [
        array if value.quant is None else value.quant.quantize(array, value.dtype)
        for value, array in zip(graph.inputs, sample, strict=True)
    ]


def is_integer_layer(node: Node) -> bool:
    """Whether it has integer weights and outputs, and a bias for each channel or none."""
    if row(node.op).quant.weight != 1 or row(node.op).quant.bias != 2:
        return False
    bias, quants = node.optional(2), (node.input(0).quant, node.input(1).quant, node.output.quant)
    return all(quants) and (bias is None or bias.shape == node.output.shape[-1:])


def row_products(w: Float, mean: Float) -> Float:
    """What each row of `w` [groups, rows, n] makes of `mean` [groups, n], [groups * rows]."""
    product: Float = np.matmul(w, mean[:, :, None]).reshape(-1)
    return product


def sample_means(arrays: Sequence[Array]) -> Float:
    """Of each channel (the last dimension) in each sample, [samples, channels]."""
    return np.stack([a.reshape(-1, a.shape[-1]).mean(axis=0, dtype=np.float64) for a in arrays])


def _wide(node: Node) -> DType:
    return DType.INT64 if node.input(0).dtype is DType.INT16 else DType.INT32


def _sure(differences: Float) -> Float:
    """The mean of [samples, channels] over samples, drawn to zero as far as it may be chance.

    By the positive-part rule of James and Stein 1961: a few samples do not tell a mean exactly.
    """
    mean: Float = differences.mean(axis=0)
    if len(differences) < 2:
        return np.zeros_like(mean)
    chance = differences.var(axis=0, ddof=1) / len(differences)
    share: Float = np.clip(1 - chance / np.maximum(np.square(mean), 1e-12), 0, 1)
    return mean * share


def _free(node: Node, stored: Sequence[Array]) -> Float:
    """The share of each channel's outputs that do not saturate: only those does a bias move."""
    low, high = node.output.dtype.limits
    if node.attrs["activation"] != "none":
        low, high = min(int(a.min()) for a in stored), max(int(a.max()) for a in stored)
    share: Float = np.mean([((a > low) & (a < high)).mean(axis=0) for a in stored], axis=0)
    return share
