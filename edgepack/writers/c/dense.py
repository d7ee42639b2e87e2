"""Dense layers of 8-bit activations."""

from __future__ import annotations

from edgepack.ir import Node
from edgepack.writers.c.builder import CBuilder, lowers, refuse_unless
from edgepack.writers.c.weighted import weighted


@lowers("FullyConnected")
def fully_connected(node: Node, out: CBuilder) -> None:
    """Weights as they are, [out][in]."""
    w = node.input(1)
    refuse_unless(w.is_const, "computed weights")
    count, depth = w.shape
    fields = weighted(node, out, w.const)
    params = out.struct(
        "ep_dense_t",
        weights=out.table(w.const, f"{node.name}: weights"),
        rows=node.input(0).size // depth,
        **{"in": depth, "out": count},
        **fields,
    )
    out.call("ep_dense_s8", params, out.at(node.input(0)), out.at(node.output))
