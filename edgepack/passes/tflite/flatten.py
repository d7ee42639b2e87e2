"""Reshapes that only flatten for a dense layer, which TFLite's does by itself."""

from __future__ import annotations

from edgepack.ir import Graph
from edgepack.passes.match import live, producer


def flatten_into_dense(graph: Graph) -> int:
    """FullyConnected(Reshape(x)) = FullyConnected(x, flatten); return how many.

    FULLY_CONNECTED reads its input as rows of the weights' length. TensorFlow Lite Micro copies in
    RESHAPE, so this saves the copy and its buffer. Not for outputs that keep dimensions.
    """
    count = 0
    for node in live(graph, "FullyConnected"):
        reshape = producer(node.input(0), "Reshape")
        if reshape is None or node.output.rank != 2:
            continue
        node.set_input(0, reshape.input(0))
        node.attrs = {**node.attrs, "flatten": True}
        count += 1
    return count
