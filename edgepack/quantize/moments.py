"""What BatchNorm knows of the training data: mean and deviation of each channel it gives.

On the data that a network was trained with, BatchNorm's output has mean beta and standard deviation
|gamma| in every channel, exactly. Folding it into a layer loses that, so it is written down before.
"""

from __future__ import annotations

import numpy as np

from edgepack.ir import Graph, Node, Value
from edgepack.ir.graph import ChannelMoments

_ACTIVATIONS = ("Relu", "Relu6", "ReluN1To1")


def batch_moments(graph: Graph) -> dict[str, ChannelMoments]:
    """Moments of what each BatchNorm of a canonical graph gives, by the names it may go by later.

    An activation that alone reads it is fused into the layer, whose output then has the name of
    the activation's: there, the moments are those before the activation.
    """
    found = {}
    for node in graph.nodes_of("BatchNorm"):
        moments = _moments(node)
        if moments is not None:
            found.update(dict.fromkeys(_names(graph, node.output), moments))
    return found


def _moments(node: Node) -> ChannelMoments | None:
    gamma, beta = node.input(1), node.input(2)
    if not (gamma.is_const and beta.is_const):
        return None
    if node.attrs["axis"] % node.output.rank != node.output.rank - 1:
        return None
    mean, deviation = (v.const.astype(np.float64).reshape(-1) for v in (beta, gamma))
    return ChannelMoments(mean, np.abs(deviation))


def _names(graph: Graph, value: Value) -> list[str]:
    reader = graph.only_user(value)
    names = [value.name]
    if reader is not None and reader.op in _ACTIVATIONS:
        names.append(reader.output.name)
    return names
