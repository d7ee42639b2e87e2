"""Weights stored without their zeros, where LiteRT fills them up when it loads the file.

What takes part was found by running each combination, with XNNPACK and without (LiteRT 2.3,
tflite-runtime 2.14): real weights, float16 ones behind Dequantize, and int8 weights of convolutions
between integers. LiteRT 2.3 does not load int8 weights of a fully connected layer, nor those beside
real activations, when DENSIFY makes them. That a fully connected layer reads sparse weights itself,
as the format has it, is no way: with XNNPACK its outputs are wrong.
"""

from __future__ import annotations

from typing import Final

from edgepack.compress.frame import Outcome, Refusal
from edgepack.ir import DType, Graph, Node, Value, row
from edgepack.schema import sparse

RUNTIME: Final = "litert"
_LAYERS: Final = ("Conv2d", "DepthwiseConv2d", "FullyConnected", "ConvTranspose2d")


def store_sparse(graph: Graph) -> Outcome:
    """Give the weights of layers their smallest sparse form, in place, where that takes less."""
    changed, refused, unpacked = [], [], 0
    for value, layers in _weights(graph).items():
        name, before = layers[0].name, value.stored_bytes
        reason = _refusal(value, layers)
        form = None if reason else sparse.smaller(value)
        if form is None:
            zeros = float((value.const == 0).mean())
            refused.append(Refusal(name, reason or f"{zeros:.0%} zeros are too few to take less"))
            continue
        value.packed = form
        unpacked += value.nbytes
        changed.append(f"{name}: {before:,} to {form.nbytes:,} bytes (sparse)")
    note = f"LiteRT fills these weights up when it loads the file: {unpacked:,} bytes of RAM"
    return Outcome(tuple(changed), tuple(refused), (note,) if changed else ())


def _weights(graph: Graph) -> dict[Value, list[Node]]:
    """Constant weights, also those that are dequantized first, and the layers that read them."""
    found: dict[Value, list[Node]] = {}
    for node in graph.nodes_of(*_LAYERS):
        value = node.optional(row(node.op).quant.weight or 1)
        if value is not None and value.producer is not None and value.producer.op == "Dequantize":
            value = value.producer.input(0)
        if value is not None and value.is_const:
            found.setdefault(value, []).append(node)
    return found


def _refusal(value: Value, layers: list[Node]) -> str | None:
    """Why LiteRT does not take these weights sparse; None where it does."""
    if value.dtype not in sparse.TYPES:
        return f"LiteRT takes no {value.dtype} sparse"
    if any(user not in layers and user.op != "Dequantize" for user in value.users):
        return "other operators read them, too"
    if value.dtype is not DType.INT8 or all(user.op == "Dequantize" for user in value.users):
        return None
    if any(not node.input(0).dtype.is_integer for node in layers):
        return "LiteRT does not load int8 weights beside real activations sparse"
    if any(node.op == "FullyConnected" for node in layers):
        return "LiteRT does not load int8 weights of fully connected layers sparse"
    return None
