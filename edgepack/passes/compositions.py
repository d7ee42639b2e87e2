"""Operators as compositions of others: rules for the formats that lack them.

They compute in the type of their inputs. Those that make values in between need real numbers or
plain integers, not quantized ones.
"""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.match import supersede
from edgepack.passes.rules import Maker


def squared_difference(graph: Graph, node: Node) -> bool:
    """(a - b) * (a - b)."""
    difference = Maker(graph, node)("Sub", *node.inputs)
    supersede(graph, node.output, "Mul", [difference, difference])
    return True


def gelu(graph: Graph, node: Node) -> bool:
    """x * (1 + erf(x / sqrt 2)) * 0.5, or its tanh form, spelled as runtimes fuse it."""
    make, x = Maker(graph, node), node.input(0)

    def number(value: float) -> Value:
        return make.constant(value, x.dtype)

    if node.attrs["approximate"]:
        cube = make("Mul", make("Mul", x, x), x)
        inner = make("Add", x, make("Mul", cube, number(0.044715)))
        share = make("Tanh", make("Mul", inner, number(math.sqrt(2 / math.pi))))
    else:
        share = make("Erf", make("Div", x, number(math.sqrt(2))))
    scaled = make("Mul", x, make("Add", share, number(1.0)))
    supersede(graph, node.output, "Mul", [scaled, number(0.5)])
    return True


def batchnorm(graph: Graph, node: Node) -> bool:
    """(x - mean) * (gamma / sqrt(var + eps)) + beta, along any axis."""
    make, x = Maker(graph, node), node.input(0)
    axis = node.attrs["axis"] % x.rank
    gamma, beta, mean, var = (
        make("Reshape", v, attrs={"shape": [v.size if i == axis else 1 for i in range(x.rank)]})
        for v in node.present_inputs[1:]
    )
    length = make("Rsqrt", make("Add", var, make.constant(node.attrs["eps"], var.dtype)))
    gain = make("Mul", length, gamma)
    supersede(graph, node.output, "Add", [make("Mul", make("Sub", x, mean), gain), beta])
    return True


def layer_norm(graph: Graph, node: Node) -> bool:
    """LayerNorm and RmsNorm: means over the last dimensions, a reciprocal root, the affine part."""
    make, x = Maker(graph, node), node.input(0)
    axes = tuple(range(node.attrs["axis"] % x.rank, x.rank))
    over = {"axes": axes, "keepdims": True}
    centred = make("Sub", x, make("ReduceMean", x, attrs=over)) if node.op == "LayerNorm" else x
    spread = make("ReduceMean", make("Mul", centred, centred), attrs=over)
    root = make("Rsqrt", make("Add", spread, make.constant(node.attrs["eps"], x.dtype)))
    factors: list[tuple[str, Value]] = [("Mul", root)]
    if (gamma := node.optional(1)) is not None:
        factors.append(("Mul", gamma))
    if (beta := node.optional(2)) is not None:
        factors.append(("Add", beta))
    y = centred
    for op, value in factors[:-1]:
        y = make(op, y, value)
    op, value = factors[-1]
    supersede(graph, node.output, op, [y, value])
    return True


def broadcast_inputs(graph: Graph, node: Node, *indices: int) -> bool:
    """Repeat dimensions of the inputs `indices` that the operator does not broadcast by itself."""
    make, shape, changed = Maker(graph, node), node.output.shape, False
    for index in indices:
        value = node.input(index)
        if value.shape != shape:
            node.set_input(index, make.same("BroadcastTo", value, {"shape": shape}))
            changed = True
    return changed


def gathered_pad(graph: Graph, node: Node) -> bool:
    """A Pad that repeats elements, as a Gather along each padded dimension."""
    make, x, pads, mode = Maker(graph, node), node.input(0), node.attrs["pads"], node.attrs["mode"]
    rows = [i for i, pair in enumerate(pads) if any(pair)]
    places = [
        make.constant(np.pad(np.arange(x.shape[axis]), pads[axis], mode=mode), DType.INT32)
        for axis in rows
    ]
    for axis, indices in list(zip(rows, places, strict=True))[:-1]:
        y = make("Gather", x, indices, attrs={"axis": axis})
        y.quant, x = x.quant, y
    supersede(graph, node.output, "Gather", [x, places[-1]], {"axis": rows[-1]})
    return True
