"""Operators spelled out for runtimes that lack their builtin; real numbers only."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Graph, Node
from edgepack.passes.compositions import gelu, squared_difference
from edgepack.passes.match import supersede
from edgepack.passes.rules import Maker
from edgepack.passes.tflite.rules import spells_out

spells_out("Gelu")(gelu)


@spells_out("HardSwish")
def hard_swish(graph: Graph, node: Node) -> bool:
    """x * relu6(x + 3) / 6."""
    make, x = Maker(graph, node), node.input(0)
    ramp = make("Relu6", make("Add", x, make.constant(3.0, DType.FLOAT32)))
    sixth = make("Mul", x, make.constant(1 / 6, DType.FLOAT32))
    supersede(graph, node.output, "Mul", [sixth, ramp])
    return True


@spells_out("LeakyRelu")
def leaky_relu(graph: Graph, node: Node) -> bool:
    """max(x, a x) for a slope up to 1, min(x, a x) above."""
    make, x, alpha = Maker(graph, node), node.input(0), node.attrs["alpha"]
    scaled = make("Mul", x, make.constant(alpha, DType.FLOAT32))
    supersede(graph, node.output, "Maximum" if alpha <= 1 else "Minimum", [x, scaled])
    return True


@spells_out("PRelu")
def prelu(graph: Graph, node: Node) -> bool:
    """relu(x) + a * min(x, 0)."""
    make, x = Maker(graph, node), node.input(0)
    negative = make("Minimum", x, make.constant(0.0, DType.FLOAT32))
    supersede(graph, node.output, "Add", [make("Relu", x), make("Mul", negative, node.input(1))])
    return True


@spells_out("Elu")
def elu(graph: Graph, node: Node) -> bool:
    """relu(x) + exp(min(x, 0)) - 1."""
    make, x = Maker(graph, node), node.input(0)
    negative = make("Exp", make("Minimum", x, make.constant(0.0, DType.FLOAT32)))
    tail = make("Sub", negative, make.constant(1.0, DType.FLOAT32))
    supersede(graph, node.output, "Add", [make("Relu", x), tail])
    return True


spells_out("SquaredDifference")(squared_difference)


@spells_out("LogSoftmax")
def log_softmax(graph: Graph, node: Node) -> bool:
    """x - max - log(sum(exp(x - max)))."""
    make, x = Maker(graph, node), node.input(0)
    over = {"axes": (node.attrs["axis"],), "keepdims": True}
    shifted = make("Sub", x, make("ReduceMax", x, attrs=over))
    total = make("ReduceSum", make("Exp", shifted), attrs=over)
    supersede(graph, node.output, "Sub", [shifted, make("Log", total)])
    return True


@spells_out("ReluN1To1")
def relu_n1_to_1(graph: Graph, node: Node) -> bool:
    """min(max(x, -1), 1)."""
    make, x = Maker(graph, node), node.input(0)
    low = make("Maximum", x, make.constant(-1.0, x))
    low.quant = x.quant
    supersede(graph, node.output, "Minimum", [low, make.constant(1.0, x)])
    return True


@spells_out("Relu0To1")
def relu_0_to_1(graph: Graph, node: Node) -> bool:
    """A Clip, which has a legal form of its own."""
    supersede(graph, node.output, "Clip", [node.input(0)], {"min": 0.0, "max": 1.0})
    return True


@spells_out("Sign")
def sign(graph: Graph, node: Node) -> bool:
    """min(max(x * 1e30, -1), 1): exact from 1e-30 on."""
    make = Maker(graph, node)
    steep = make("Mul", node.input(0), make.constant(1e30, DType.FLOAT32))
    supersede(graph, node.output, "Clip", [steep], {"min": -1.0, "max": 1.0})
    return True


@spells_out("Tile")
def tile(graph: Graph, node: Node) -> bool:
    """Copies side by side, one dimension after another."""
    make, x = Maker(graph, node), node.input(0)
    axes = [i for i, m in enumerate(node.attrs["multiples"]) if m != 1]
    if not axes or not node.output.size:
        return False
    for axis in axes[:-1]:
        x = make("Concat", *[x] * node.attrs["multiples"][axis], attrs={"axis": axis})
    copies = [x] * node.attrs["multiples"][axes[-1]]
    supersede(graph, node.output, "Concat", copies, {"axis": axes[-1]})
    return True


@spells_out("Lrn")
def lrn(graph: Graph, node: Node) -> bool:
    """x * exp(-beta * log(bias + alpha * sums)); the sums over neighbours are a dense layer."""
    make, x, attrs = Maker(graph, node), node.input(0), node.attrs
    channels = np.arange(x.shape[-1])
    near = np.abs(channels[:, None] - channels) <= attrs["radius"]  # [C, C]
    weights = make.constant(near * attrs["alpha"], DType.FLOAT32)
    bias = make.constant(np.full(channels.size, attrs["bias"]), DType.FLOAT32)
    sums = make("FullyConnected", make("Mul", x, x), weights, bias)
    power = make("Mul", make("Log", sums), make.constant(-attrs["beta"], DType.FLOAT32))
    supersede(graph, node.output, "Mul", [x, make("Exp", power)])
    return True
