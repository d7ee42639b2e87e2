"""AdaRound: which way each weight is rounded, so that its layer's output is kept.

Nagel et al. 2020, arXiv:2004.10568, layer by layer and asymmetric: a layer sees what the layers
before it make once they are quantized, and aims at what it makes in float. A layer is seen as rows:
what single output positions read, times the weights, is what they give; so every layer is a product
of matrices, whatever its window, and the rows are drawn at random over samples and positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from edgepack.calibrate.fake_quant import LearnedRounding, annealed
from edgepack.calibrate.simulate import Env, Simulation, entries
from edgepack.calibrate.torch_kernels import Tensor, Torch, activate
from edgepack.ir import Array, DType, Graph, Node, row
from edgepack.progress import advance

_MOST_ELEMENTS: Final = 1 << 25  # that a layer's rows have, of which there are two sets
ROW_OPS: Final = ("Conv2d", "DepthwiseConv2d", "FullyConnected")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how a layer is searched: `rows` are kept, of which each step draws `batch`.

    `rate` is Adam's, `decide` the weight of indecision when a layer rounded to nearest counts 1.
    `drop` is the share of inputs that are seen in float (Wei et al. 2022, QDrop, arXiv:2203.05740):
    it keeps the search from fitting the noise of the samples.
    """

    steps: int = 300
    rows: int = 16384
    batch: int = 512
    rate: float = 0.01
    decide: float = 1.0
    drop: float = 0.5


# -- rows ------------------------------------------------------------------------------------------


def layer_rows(torch: Torch, node: Node, x: Tensor, places: Tensor) -> Tensor:
    """What the output positions `places` read: [rows, groups, window * channels of a group].

    `x` is [samples, *shape of the input]; `places` index samples and output positions as one. For
    depthwise layers the groups are the output channels.
    """
    w = node.input(1)
    if node.op == "FullyConnected":
        return x.reshape(-1, 1, w.shape[1])[places]
    attrs = node.attrs
    (top, bottom), (left, right) = attrs["pad"]
    samples, batch, height, width, channels = x.shape
    padded = torch.nn.functional.pad(
        x.reshape(samples * batch, height, width, channels), (0, 0, left, right, top, bottom)
    )
    out_h, out_w = node.output.shape[1:3]
    column, rest = places % out_w, places // out_w
    line, image = rest % out_h, rest // out_h
    kh, kw = w.shape[1:3]
    dy, dx = (torch.arange(k) * d for k, d in zip((kh, kw), attrs["dilation"], strict=True))
    lines = (line * attrs["stride"][0])[:, None, None] + dy[:, None]  # [rows, kh, 1]
    columns = (column * attrs["stride"][1])[:, None, None] + dx  # [rows, 1, kw]
    taps = padded[image[:, None, None], lines, columns]  # [rows, kh, kw, channels]
    taps = taps.reshape(len(places), kh * kw, channels)
    if node.op == "DepthwiseConv2d":
        return taps.repeat_interleave(w.shape[-1] // channels, -1).transpose(1, 2)
    groups = attrs["groups"]
    split = taps.reshape(len(places), kh * kw, groups, channels // groups)
    return split.transpose(1, 2).reshape(len(places), groups, -1)


def times_weights(torch: Torch, node: Node, rows: Tensor, w: Tensor) -> Tensor:
    """Rows as `layer_rows` gives them, times the weights in their own shape: [rows, channels]."""
    if node.op == "DepthwiseConv2d":
        return (rows * w.reshape(-1, w.shape[-1]).t()).sum(-1)
    groups = rows.shape[1]
    if groups == 1:
        return rows[:, 0] @ w.reshape(len(w), -1).t()
    filters = w.reshape(groups, len(w) // groups, -1)
    return torch.einsum("rgk,gok->rgo", rows, filters).reshape(len(rows), -1)


# -- one layer -------------------------------------------------------------------------------------


@dataclass(slots=True)
class LayerProblem:
    """Rows that a layer reads when the layers before it are quantized, and its float results."""

    node: Node
    rows: Tensor
    exact: Tensor  # the same rows in float
    target: Tensor  # before the activation, [rows, channels]
    bias: Tensor  # [channels], that of the float layer


def solve(
    torch: Torch,
    problem: LayerProblem,
    rounding: LearnedRounding,
    schedule: Schedule,
    generator: Tensor,
) -> None:
    """Search the rounding of one layer; `rounding` has the result."""
    node, goal = problem.node, activate(problem.node, problem.target)
    unit = _loss_of_nearest(torch, problem, rounding, goal)
    optimizer = torch.optim.Adam([rounding.variable], lr=schedule.rate)
    count = len(problem.rows)
    for step in range(schedule.steps):
        drawn = torch.randint(count, (min(schedule.batch, count),), generator=generator)
        rows = problem.rows[drawn]
        if schedule.drop:
            real = torch.rand(rows.shape, generator=generator) < schedule.drop
            rows = torch.where(real, problem.exact[drawn], rows)
        y = times_weights(torch, node, rows, rounding.weights()) + problem.bias
        loss = (activate(node, y) - goal[drawn]).square().mean() / unit
        beta = annealed(step, schedule.steps)
        if beta is not None:
            loss = loss + schedule.decide * rounding.indecision(beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _loss_of_nearest(
    torch: Torch, problem: LayerProblem, rounding: LearnedRounding, goal: Tensor
) -> float:
    with torch.no_grad():
        w = (rounding.floor + (rounding.share() >= 0.5)) * rounding.scale
        y = activate(problem.node, times_weights(torch, problem.node, problem.rows, w)
                     + problem.bias)  # fmt: skip
        return max(float((y - goal).square().mean()), 1e-20)


def fitting_bias(torch: Torch, problem: LayerProblem, w: Tensor) -> Array:
    """The bias that puts the mean output right, float32 [channels]."""
    with torch.no_grad():
        missing = problem.target - times_weights(torch, problem.node, problem.rows, w)
        bias: Array = missing.mean(0).numpy()
    return bias


# -- all layers ------------------------------------------------------------------------------------


def round_layers(
    simulation: Simulation,
    graph: Graph,
    inputs: Env,
    schedule: Schedule,
    *,
    seed: int,
) -> None:
    """Search every layer in the graph's order and put the results into the simulation's table.

    `inputs` are the samples, [samples, *shape] by the graph's inputs. Layers that are no matrix
    products (transposed convolutions), those whose weights were quantized before and those with
    8-bit weights keep theirs: with 8 bits this is no better than what needs no gradients.
    """
    torch = simulation.torch
    generator = torch.Generator().manual_seed(seed)
    real, quantized = dict(inputs), start_of(simulation, inputs)
    last = {v: i for i, n in enumerate(graph.nodes) for v in n.present_inputs}
    total = len(graph.nodes)
    for index, node in enumerate(graph.nodes):
        if is_narrow(simulation, node) and node.op in ROW_OPS:
            _round_layer(simulation, node, real, quantized, schedule, generator)
        advance(index + 1, total, "rounding layers")
        for env, is_quantized in ((real, False), (quantized, True)):
            part = {v: env[v] for v in entries([node]) if v in env}
            if part:
                env.update(simulation.run([node], part, node.outputs, quantized=is_quantized))
            for value in node.present_inputs:
                if last[value] == index:
                    env.pop(value, None)


def start_of(simulation: Simulation, inputs: Env) -> Env:
    """The samples as the integer graph takes them."""
    return {v: simulation.store(x, simulation.plan.stored(v)) for v, x in inputs.items()}


def is_open(simulation: Simulation, node: Node) -> bool:
    """Whether the node's weights are still real numbers to be rounded."""
    rule = row(node.op).quant
    return (
        node in simulation.plan.precision
        and rule.weight is not None
        and node.input(rule.weight).quant is None
    )


def is_narrow(simulation: Simulation, node: Node) -> bool:
    """Whether the node's weights are to be rounded to 4 bits."""
    return is_open(simulation, node) and simulation.plan.precision[node].weights is DType.INT4


def _round_layer(
    simulation: Simulation,
    node: Node,
    real: Env,
    quantized: Env,
    schedule: Schedule,
    generator: Tensor,
) -> None:
    torch = simulation.torch
    problem = _problem(simulation, node, real, quantized, schedule, generator)
    layer = simulation.table[node.name]
    dtype = simulation.plan.precision[node].weights
    rounding = LearnedRounding(torch, node.input(1).const, layer.params, dtype, layer.stored)
    solve(torch, problem, rounding, schedule, generator)
    stored = rounding.stored()
    w = torch.tensor(layer.params.dequantize(stored))
    simulation.table[node.name] = replace(
        layer, stored=stored.astype(layer.stored.dtype), bias=fitting_bias(torch, problem, w)
    )


def _problem(
    simulation: Simulation,
    node: Node,
    real: Env,
    quantized: Env,
    schedule: Schedule,
    generator: Tensor,
) -> LayerProblem:
    torch, x = simulation.torch, node.input(0)
    positions = math.prod(node.output.shape[:-1]) * len(real[x])
    read = x.shape[-1] if node.op == "FullyConnected" else math.prod(node.input(1).shape[1:])
    groups = node.attrs.get("groups", 1)
    count = max(1, min(schedule.rows, positions, _MOST_ELEMENTS // max(1, read * groups)))
    places = torch.randperm(positions, generator=generator)[:count]
    w = torch.tensor(node.input(1).const)
    b = node.optional(2)
    bias = torch.zeros(node.output.shape[-1]) if b is None else torch.tensor(b.const)
    seen = simulation.read(node, x, quantized)
    with torch.no_grad():
        exact = layer_rows(torch, node, real[x], places)
        target = times_weights(torch, node, exact, w) + bias
        return LayerProblem(node, layer_rows(torch, node, seen, places), exact, target, bias)
