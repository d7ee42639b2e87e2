"""Between a canonical graph and its stand-in, on which it is compressed where there are no data."""

from __future__ import annotations

import numpy as np

from edgepack.calibrate.data_free import data_free_statistics
from edgepack.calibrate.stand_in import Corrections, put_in
from edgepack.compress.coupling import Keep
from edgepack.compress.frame import Context
from edgepack.compress.removal import LAYERS, Channels
from edgepack.ir import Graph, Node
from edgepack.passes.legalize_tflite import legalize_tflite


def stand_in(graph: Graph, context: Context) -> tuple[Graph, Corrections]:
    """A copy to compress: with data the graph itself, else one that synthetic inputs suit."""
    twin = graph.copy()
    if context.has_data:
        return twin, {}
    legal = graph.copy()
    legalize_tflite(legal)
    free = data_free_statistics(legal, context.span, seed=context.seed, threads=context.threads)
    layers = {node.name: node for node in twin.nodes_of(*LAYERS) if node.input(1).is_const}
    legalized = {node.name: node for node in legal.nodes}
    fitting = {
        name: correction
        for name, correction in free.corrections.items()
        if name in layers and _alike(layers[name], legalized[name])
    }
    put_in(twin, fitting)
    return twin, fitting


def _alike(a: Node, b: Node) -> bool:
    return a.op == b.op and a.output.shape == b.output.shape


def true_weights(
    graph: Graph, fitted: Graph, corrections: Corrections, keep: Keep, original: Channels
) -> None:
    """Give the layers of `graph` the weights of `fitted`, a stand-in of it, in place.

    `original` has the stand-in before channels were removed, of which `keep` says what is left.
    """
    rows = {node.name: keep.mask(node.output) for node in original.graph.nodes_of(*LAYERS)}
    twins = {node.name: node for node in fitted.nodes}
    for node in graph.nodes_of(*LAYERS):
        twin = twins[node.name]
        for index in (1, 2):
            value = twin.optional(index)
            if value is None or not value.is_const:
                continue
            data = value.const.astype(np.float64)
            correction = corrections.get(node.name)
            if correction is not None:
                gain, shift = (v[rows[node.name]] for v in (correction.gain, correction.shift))
                first = node.op != "DepthwiseConv2d"
                across = gain.reshape([-1] + [1] * (data.ndim - 1)) if first else gain
                data = data / across if index == 1 else (data - shift) / gain
            own = node.optional(index)
            name = f"{node.name}_bias" if own is None else own.name
            node.set_input(index, graph.constant(data.astype(np.float32), name))
