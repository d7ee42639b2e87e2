"""Dense layers of 8-bit activations."""

from __future__ import annotations

from edgepack.ir import Node
from edgepack.writers.c.builder import CBuilder, lowers, refuse_unless
from edgepack.writers.c.convolution import dense


@lowers("FullyConnected")
def fully_connected(node: Node, out: CBuilder) -> None:
    """Weights [out][in]."""
    refuse_unless(node.input(1).is_const, "computed weights")
    dense(node, out, node.input(1).const)
