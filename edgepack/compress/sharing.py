"""Weights that are nearly those of another layer, stored once for both.

TFLite files and C keep equal arrays once whatever scales stand beside them: integer weights that
are another layer's times a positive factor for each channel share its integers and have scales of
their own. (ONNX files keep them for each, since ONNX Runtime changes weights in place.)

Filters that are others negated, turned, mirrored or with their channels in another order (Zhai et
al. 2016, doubly convolutional networks; Cohen and Welling 2016, arXiv:1602.07576) are counted, and
stay as they are: the kernels of LiteRT, ONNX Runtime, TensorFlow Lite Micro and of the C export
read each output channel's weights front to back, so that each is stored in full.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgepack.compress.frame import Context, Outcome, Refusal, technique
from edgepack.compress.packing import packable
from edgepack.ir import Array, Graph, Node, QuantParams, Value
from edgepack.quantize.weights import bias_params
from edgepack.strict_toml import Table

LEAST_DB = 30.0  # between weights and what stands for them; int8 itself has some 40
_SMALLEST = 4  # weights of a filter: fewer are alike by chance
_KEPT = (
    "others negated, turned, mirrored or with their channels in another order; no kernel reads one "
    "filter in two ways, so each is stored in full"
)


@technique("share", read=lambda table: _read(table), stage="stored")
def share(graph: Graph, least_db: float, context: Context) -> Outcome:
    """Let layers use the weights of others that are as near as `least_db`, in place."""
    kept: list[tuple[Node, Value]] = []
    changed, saved = [], 0
    for node, weights in packable(graph):
        found = max(
            (_fit(weights, other, owner) for owner, other in kept if _alike(weights, other)),
            key=lambda fit: fit.db,
            default=None,
        )
        if found is None or found.db < least_db or not _has_bias_of_its_own(node):
            kept.append((node, weights))
            continue
        same = np.array_equal(weights.const, found.stored)
        _use(graph, node, found)
        if not same:
            saved += weights.nbytes
            changed.append(
                f"{node.name}: the weights of {found.owner.name} ({found.db:.1f} dB), "
                f"{weights.nbytes:,} bytes saved"
            )
    refused = tuple(_symmetric(graph))
    if not changed:
        reason = f"no layer's weights are within {least_db:g} dB of another's"
        return Outcome(refused=(Refusal("", reason), *refused))
    return Outcome(tuple(changed), refused, (f"{saved:,} bytes of weights are stored no more",))


def _read(table: Table) -> float:
    """The least SQNR in dB. Raises BadInput unless it is positive."""
    least_db = table.number("sqnr", LEAST_DB)
    if least_db <= 0:
        raise table.wrong("sqnr", "a positive number of dB")
    return least_db


# -- weights ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fit:
    """`stored`, of the layer `owner`, with the parameters that suit another layer, and how well."""

    owner: Node
    stored: Array
    params: QuantParams | None
    db: float


def _alike(one: Value, other: Value) -> bool:
    """Whether arrays of one could be stored as those of the other."""
    if one.packed is not None or other.packed is not None or len(one.users) > 1:
        return False
    if one.shape != other.shape or one.dtype is not other.dtype:
        return False
    if one.quant is None or other.quant is None:
        return one.quant is other.quant
    return one.quant.axis == other.quant.axis and not one.quant.zero_point.any()


def _fit(weights: Value, other: Value, owner: Node) -> _Fit:
    """The weights of `other` in the place of `weights`, with scales by least squares."""
    wanted, stored, params = weights.real.astype(np.float64), other.const, weights.quant
    made = stored.astype(np.float64)
    if params is not None:
        axis = params.axis
        rest = tuple(i for i in range(made.ndim) if i != axis) if axis is not None else None
        square = np.square(made).sum(axis=rest)
        scale = (wanted * made).sum(axis=rest) / np.where(square > 0, square, 1.0)
        scale = np.where(scale > 0, scale, params.scale.reshape(scale.shape))
        params = replace(params, scale=scale.reshape(params.scale.shape).astype(np.float32))
        made = params.dequantize(stored).astype(np.float64)
    noise, signal = float(np.square(wanted - made).sum()), float(np.square(wanted).sum())
    db = math.inf if noise == 0 else 10 * math.log10(max(signal, 1e-300) / noise)
    return _Fit(owner, stored, params, db)


def _has_bias_of_its_own(node: Node) -> bool:
    """Whether there is no bias, or one whose scale may follow that of the weights."""
    bias = node.optional(2)
    return bias is None or bias.is_const


def _use(graph: Graph, node: Node, found: _Fit) -> None:
    """Give `node` these weights, and its bias in the scale that belongs to them."""
    old, bias, x = node.input(1), node.optional(2), node.input(0)
    new = Value(graph.fresh(old.name), old.shape, old.dtype, found.params, found.stored)
    node.set_input(1, new)
    if bias is not None and found.params is not None and x.quant is not None:
        params = bias_params(float(x.quant.scale[0]), found.params)
        stored = params.quantize(bias.real, bias.dtype)
        node.set_input(2, graph.constant(stored, bias.name, params))


# -- filters ---------------------------------------------------------------------------------------


def _symmetric(graph: Graph) -> Iterator[Refusal]:
    """The layers that have filters made of others."""
    for node, weights in packable(graph):
        filters = _filters(node, weights.const)
        if filters is None or filters[0].size < _SMALLEST:
            continue
        plain = {f.tobytes() for f in filters if f.any()}
        counts = Counter(_canonical(np.frombuffer(f, filters.dtype).reshape(filters.shape[1:]))
                         for f in plain)  # fmt: skip
        again = len(plain) - len(counts)
        if again:
            yield Refusal(node.name, f"{again} of {len(filters)} filters are {_KEPT}")


def _filters(node: Node, weights: Array) -> Array | None:
    """Filters [n, height, width, channels] of a convolution; None of other layers."""
    if node.op == "DepthwiseConv2d":
        return np.ascontiguousarray(np.moveaxis(weights, 3, 0)[..., 0, :, :, None])
    return np.ascontiguousarray(weights) if node.op == "Conv2d" else None


def _canonical(one: Array) -> bytes:
    """What a filter has in common with all that it becomes by those changes."""
    turns = range(4) if one.shape[0] == one.shape[1] else (0, 2)
    variants = (
        sign * np.rot90(side, turn)
        for sign in (1, -1)
        for side in (one, one[:, ::-1])
        for turn in turns
    )
    return min(_in_order(variant) for variant in variants)


def _in_order(one: Array) -> bytes:
    """The filter with its channels in an order of their own."""
    wide = one.astype(np.float64) + 0.0  # no negative zeros; -(-128) is 128
    columns = wide.reshape(-1, wide.shape[2])
    return columns[:, np.lexsort(columns)].tobytes()
