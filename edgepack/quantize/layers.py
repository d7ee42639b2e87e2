"""The integers of each layer with weights, by rounding to nearest.

Other roundings make the same table: `quantize_integer` writes whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edgepack.ir import Array, Graph, Node, QuantParams, Value, row
from edgepack.quantize.bias import bias_shift
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.plan import QuantPlan
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.weights import quantize_weights, weight_params


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer as it will be stored.

    `stored` are the weights' integers in the weights' own shape, `params` what they stand for;
    `bias` [channels] is real (it is rounded when it is written), None where the layer has none.
    """

    stored: Array
    params: QuantParams
    bias: Array | None = None


# By the node's name.
WeightTable = Mapping[str, LayerWeights]


def weighted_nodes(graph: Graph, plan: QuantPlan) -> Iterator[tuple[Node, Value, Value | None]]:
    """The integer nodes with weights: node, weight and bias, in the graph's order."""
    for node in graph.nodes:
        rule = row(node.op).quant
        if node in plan.precision and rule.weight is not None:
            bias = None if rule.bias is None else node.optional(rule.bias)
            yield node, node.input(rule.weight), bias


def nearest_weights(
    graph: Graph, plan: QuantPlan, seen: StatisticsTable, options: QuantizeOptions
) -> dict[str, LayerWeights]:
    """Every layer rounded to nearest, its mean output put right where `seen` has mean inputs."""
    return {
        node.name: _nearest(node, weight, bias, plan, seen, options)
        for node, weight, bias in weighted_nodes(graph, plan)
    }


def layer_params(
    node: Node, weight: Value, bias: Value | None, plan: QuantPlan, options: QuantizeOptions
) -> QuantParams:
    """Parameters of the weights: new ones, or their own where the source had quantized them."""
    dtype = plan.precision[node].weights
    if weight.quant is not None and weight.dtype is dtype:
        return weight.quant
    dense = node.op == "FullyConnected"
    per_channel = dtype in options.per_channel_dense if dense else options.per_channel
    return weight_params(
        weight.real,
        dtype,
        row(node.op).quant.axis if per_channel else None,
        bias=None if bias is None else bias.const,
        input_scale=input_scale(node, plan),
    )


def input_scale(node: Node, plan: QuantPlan) -> float:
    """The scale in which an integer node reads its data input."""
    params = plan.read(node, node.input(0)).params
    assert params is not None  # of an integer node
    return float(params.scale[0])


def _nearest(
    node: Node,
    weight: Value,
    bias: Value | None,
    plan: QuantPlan,
    seen: StatisticsTable,
    options: QuantizeOptions,
) -> LayerWeights:
    params = layer_params(node, weight, bias, plan, options)
    real_bias = None if bias is None else bias.const
    if params is weight.quant:
        return LayerWeights(weight.const, params, real_bias)
    stored = quantize_weights(weight.real, params, plan.precision[node].weights)
    mean = seen[node.input(0).name].mean if node.input(0).name in seen else None
    if options.correct_bias and mean is not None and row(node.op).quant.bias is not None:
        start = 0.0 if real_bias is None else real_bias
        real_bias = np.asarray(start - bias_shift(node, stored, params, mean), np.float32)
    return LayerWeights(stored, params, real_bias)
