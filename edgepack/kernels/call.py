"""Finding and calling the kernel of a node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Array, DType, Node, Value, row
from edgepack.kernels.registry import HYBRID, QUANTIZED, REAL, Kernel


def find(node: Node) -> Kernel | None:
    """The kernel for a node's operator and quantization; None when there is none."""
    if is_real(node):
        return REAL.get(node.op)
    if node.op in QUANTIZED:
        return QUANTIZED[node.op]
    # Operators that only move elements do so with integers too.
    return REAL.get(node.op) if row(node.op).quant.output in ("same", "integer") else None


def is_real(node: Node) -> bool:
    """Whether a node computes with real numbers, or with integers that are just integers.

    So it does when nothing has quantization parameters but weights, constant inputs after the
    first, that are only stored so.
    """
    values = [*node.present_inputs, *node.outputs]
    return not any(v.quant is not None and not _is_stored_weight(node, v) for v in values)


def _is_stored_weight(node: Node, value: Value) -> bool:
    return (
        value.is_const
        and node.inputs[0] is not value
        and node.output.dtype.is_float
        and node.op not in ("Quantize", "Dequantize")
    )


def is_hybrid(node: Node) -> bool:
    """Whether real activations meet narrow weights that a hybrid kernel takes as they are."""
    weights = node.optional(1)
    return (
        node.op in HYBRID
        and is_real(node)
        and node.input(0).dtype is DType.FLOAT32
        and weights is not None
        and weights.dtype in (DType.INT8, DType.INT4)
        and weights.quant is not None
        and not weights.quant.block
        and not weights.quant.zero_point.any()
    )


def call(node: Node, inputs: Sequence[Array | None], *, hybrid: bool = False) -> list[Array]:
    """The node's outputs for these inputs (None where left out). Raises Unsupported.

    With `hybrid`, 8-bit weights of real activations are multiplied as TFLite does it.

    Divisions by zero, overflows and the like give what IEEE 754 says, without warnings.
    """
    kernel = find(node)
    if kernel is None:
        finding = Finding(node.name, node.op, str(node.output.dtype), "no kernel")
        raise Unsupported("there is no reference kernel", [finding])
    if hybrid and is_hybrid(node):
        kernel = HYBRID[node.op]
    elif is_real(node):
        inputs = [_widened(v, a) for v, a in zip(node.inputs, inputs, strict=True)]
    with np.errstate(all="ignore"):
        result = kernel(node, *inputs)
        results = result if isinstance(result, tuple) else (result,)
        pairs = zip(node.outputs, results, strict=True)
        return [np.asarray(a).astype(v.dtype.numpy, copy=False) for v, a in pairs]


def _widened(value: Value | None, array: Array | None) -> Array | None:
    if value is None or array is None or value.quant is None:
        return array
    return value.quant.dequantize(array)
