"""Finding and calling the kernel of a node."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Array, Node, row
from edgepack.kernels.registry import QUANTIZED, REAL, Kernel


def find(node: Node) -> Kernel | None:
    """The kernel for a node's operator and quantization; None when there is none."""
    values = [*node.present_inputs, *node.outputs]
    if not any(v.quant is not None for v in values):
        return REAL.get(node.op)
    if node.op in QUANTIZED:
        return QUANTIZED[node.op]
    # Operators that only move elements do so with integers too.
    return REAL.get(node.op) if row(node.op).quant.output in ("same", "integer") else None


def call(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """The node's outputs for these inputs (None where left out). Raises Unsupported."""
    kernel = find(node)
    if kernel is None:
        finding = Finding(node.name, node.op, str(node.output.dtype), "no kernel")
        raise Unsupported("there is no reference kernel", [finding])
    result = kernel(node, *inputs)
    results = result if isinstance(result, tuple) else (result,)
    pairs = zip(node.outputs, results, strict=True)
    return [array.astype(v.dtype.numpy, copy=False) for v, array in pairs]
