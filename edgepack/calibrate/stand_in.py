"""A float graph whose layers give, on synthetic inputs, what BatchNorm saw in training.

What `data_free` does to a layer's output, a factor and a shift per channel, the layer can do itself
with other weights and another bias. Such a graph stands in for the true one where layers are to be
fitted to what they meet: on synthetic inputs its activations are as large as the true graph's on
true ones. The integers of a layer are the same in both, as a factor per channel is one of scales:
so they are found in the one graph and kept in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, Graph, Node, QuantParams, row
from edgepack.quantize.layers import LayerWeights, WeightTable
from edgepack.quantize.weights import bias_params

_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correction:
    """What puts a layer's output right: times `gain` > 0, plus `shift`, [C] each."""

    gain: _Vector
    shift: _Vector


# By the layer's name.
Corrections = Mapping[str, Correction]


def put_in(graph: Graph, corrections: Corrections) -> None:
    """Make a float graph the stand-in of itself, in place."""
    for node in graph.nodes:
        if node.name in corrections:
            _put_in(graph, node, corrections[node.name])


def stand_in_weights(table: WeightTable, graph: Graph, corrections: Corrections) -> WeightTable:
    """The same integers for the stand-in of `graph`, where each channel has a scale of its own."""
    return {
        **table,
        **{
            node.name: _corrected(table[node.name], _axis(node), corrections[node.name])
            for node in graph.nodes
            if node.name in table and node.name in corrections
        },
    }


def take_out(graph: Graph, real: Graph, corrections: Corrections, table: WeightTable) -> None:
    """Make a stand-in's integer graph the true one's, in place.

    `real` is the true float graph, whose weights layers get back that stayed in float; layers whose
    weights have one scale in `table` get that again.
    """
    own = {node.name: node for node in real.nodes}
    for node in graph.nodes:
        correction = corrections.get(node.name)
        if correction is None or node.name not in own or node.op != own[node.name].op:
            continue
        if node.input(1).quant is None or node.input(0).quant is None:
            constants = own[node.name].inputs[1:]
            twins = [None if v is None else graph.constant(v.const, v.name) for v in constants]
            node.set_inputs([node.input(0), *twins])
        else:
            _take_out(graph, node, correction, table[node.name].params)


def _axis(node: Node) -> int:
    axis = row(node.op).quant.axis
    return 0 if axis is None else axis


def _along(factor: _Vector, axis: int, rank: int) -> _Vector:
    return factor.reshape([-1 if i == axis else 1 for i in range(rank)])


def _put_in(graph: Graph, node: Node, correction: Correction) -> None:
    weight, bias = node.input(1), node.optional(2)
    gain = _along(correction.gain, _axis(node), weight.rank)
    start = 0.0 if bias is None else bias.const
    new_bias = (start * correction.gain + correction.shift).astype(np.float32)
    scaled = (weight.real * gain).astype(np.float32)
    node.set_input(1, graph.constant(scaled, weight.name))
    name = f"{node.name}_bias" if bias is None else bias.name
    node.set_input(2, graph.constant(new_bias, name))


def _corrected(layer: LayerWeights, axis: int, correction: Correction) -> LayerWeights:
    params = QuantParams.per_channel(layer.params.scale * correction.gain, axis)
    start: float | Array = 0.0 if layer.bias is None else layer.bias
    bias = (start * correction.gain + correction.shift).astype(np.float32)
    return replace(layer, params=params, bias=bias)


def _take_out(graph: Graph, node: Node, correction: Correction, first: QuantParams) -> None:
    weight, bias, x = node.input(1), node.input(2), node.input(0).quant
    assert x is not None  # of an integer layer
    assert weight.quant is not None
    assert bias.quant is not None
    params = first
    if first.axis is not None:
        params = QuantParams.per_channel(weight.quant.scale / correction.gain, first.axis)
    twin = graph.constant(weight.const, weight.name, params)
    twin.dtype = weight.dtype
    node.set_input(1, twin)
    fitting = bias_params(float(x.scale[0]), params)
    moved = (bias.real.astype(np.float64) - correction.shift) / correction.gain
    node.set_input(2, graph.constant(fitting.quantize(moved, bias.dtype), bias.name, fitting))
