"""The real numbers of a quantized model, learned so that its *output* is that of the float model.

The integers of the weights are settled. What is left are few numbers, which a few samples can tell:
the scales of activations (Esser et al. 2020, LSQ, arXiv:1902.08153), the scales of weights per
channel, and the biases; all of them move together by gradients through the whole model.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from edgepack.calibrate.adaround import is_open, start_of
from edgepack.calibrate.fake_quant import LearnedScale
from edgepack.calibrate.simulate import Env, Simulation
from edgepack.calibrate.torch_graph import is_differentiable
from edgepack.calibrate.torch_kernels import Tensor
from edgepack.ir import Graph, Node, QuantParams, Value, row
from edgepack.progress import advance
from edgepack.quantize.plan import QuantPlan, Storage

_LEAST_POWER: Final = 1e-20
_ENDS: Final = ("Softmax", "LogSoftmax", "Dequantize", "Quantize")


@dataclass(frozen=True, slots=True)
class TuneSchedule:
    """How long and how: each of `steps` steps sees `batch` samples, and the rates fall to nothing.

    Rates are Adam's: of logarithms of scales (a step of 0.001 is 0.1%) and of biases, in units of
    their layer's output scale. What has a rate of 0 stays as it is.
    """

    steps: int = 200
    batch: int = 8
    scale_rate: float = 0.0003
    weight_rate: float = 0.0003
    bias_rate: float = 0.01


def before_ends(graph: Graph) -> list[Value]:
    """For each output what goes into the softmax, and the change of type, that end the graph."""
    found = []
    for value in graph.outputs:
        while value.producer is not None and value.producer.op in _ENDS:
            value = value.producer.input(0)
        found.append(value)
    return found


def can_tune(graph: Graph, outputs: Sequence[Value]) -> bool:
    """Whether gradients reach back from the outputs through all operators on real numbers."""
    return all(map(is_differentiable, needed_nodes(graph, outputs)))


def needed_nodes(graph: Graph, outputs: Sequence[Value]) -> list[Node]:
    """The nodes on which the outputs depend, in order."""
    wanted, found = set(outputs), []
    for node in reversed(graph.nodes):
        if any(v in wanted for v in node.outputs):
            found.append(node)
            wanted.update(node.present_inputs)
    return found[::-1]


def tune(
    simulation: Simulation,
    graph: Graph,
    inputs: Env,
    outputs: Sequence[Value],
    schedule: TuneSchedule,
    *,
    fixed: Collection[str] = (),
    seed: int,
) -> None:
    """Change scales and biases in the simulation's table and plan for the better.

    `inputs` are samples, [samples, *shape]; `outputs` the values that are to be kept, which
    `can_tune`: their squared errors count in units of their own power. Layers named in `fixed` keep
    the scales of their weights.
    """
    torch, nodes = simulation.torch, needed_nodes(graph, outputs)
    goal = simulation.run(nodes, inputs, outputs, quantized=False)
    powers = {v: max(float(y.square().mean()), _LEAST_POWER) for v, y in goal.items()}
    start, count = start_of(simulation, inputs), len(next(iter(inputs.values())))
    variables = _Variables(simulation, nodes, schedule, fixed)
    optimizer = torch.optim.Adam(variables.groups())
    falling = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
    )
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    for step in range(schedule.steps):
        if len(order) < min(schedule.batch, count):  # each sample once before any comes again
            order = torch.randperm(count, generator=generator)
        drawn, order = order[: schedule.batch], order[schedule.batch :]
        env = {v: x[drawn] for v, x in start.items()}
        for node in nodes:
            simulation.quantized(node, env)
        loss = sum((env[v] - goal[v][drawn]).square().mean() / powers[v] for v in outputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        advance(step + 1, schedule.steps, "tuning scales and biases")
    variables.settle()


class _Variables:
    """What is learned, in the simulation's place of what it had."""

    def __init__(
        self,
        simulation: Simulation,
        nodes: Sequence[Node],
        schedule: TuneSchedule,
        fixed: Collection[str],
    ) -> None:
        self._simulation = simulation
        self._schedule, self._fixed = schedule, fixed
        self._layers: dict[Node, tuple[Tensor, Tensor, float]] = {}  # log scale, shift, its unit
        self._scales: dict[int, tuple[QuantParams, LearnedScale]] = {}
        for node in nodes:
            if is_open(simulation, node):
                self._layer(node)
            for value in node.outputs:
                self._scale(node, value)
        if schedule.scale_rate:
            simulation.learned = {key: scale for key, (_, scale) in self._scales.items()}

    def _layer(self, node: Node) -> None:
        torch, layer = self._simulation.torch, self._simulation.table[node.name]
        real = torch.tensor(layer.params.dequantize(layer.stored))
        shape = [1] * real.dim()
        if layer.params.axis is not None:
            shape[layer.params.axis] = -1
        channels = node.output.shape[-1]
        bias = torch.zeros(channels) if layer.bias is None else _float(torch, layer.bias)
        storage = self._simulation.plan.stored(node.output)
        unit = 1.0 if storage.params is None else float(storage.params.scale[0])
        growth = torch.zeros(len(layer.params.scale), requires_grad=True)
        shift = torch.zeros(channels, requires_grad=True)
        self._layers[node] = growth, shift, unit
        self._simulation.trained[node] = lambda: (
            real * growth.exp().reshape(shape), bias + shift * unit
        )  # fmt: skip

    def _scale(self, node: Node, value: Value) -> None:
        storage = self._simulation.plan.stored(value)
        if storage.params is None or row(node.op).quant.output == "fixed":
            return
        if id(storage.params) not in self._scales:
            learned = LearnedScale(self._simulation.torch, storage.params, storage.dtype)
            self._scales[id(storage.params)] = storage.params, learned

    def groups(self) -> list[dict[str, Any]]:
        """What the optimizer takes."""
        layers, schedule = self._layers.values(), self._schedule
        groups = (
            (self._growths(), schedule.weight_rate),
            ([shift for _, shift, _ in layers], schedule.bias_rate),
            ([scale.log_scale for _, scale in self._scales.values()], schedule.scale_rate),
        )
        return [{"params": params, "lr": rate} for params, rate in groups if params and rate]

    def _growths(self) -> list[Tensor]:
        return [g for node, (g, _, _) in self._layers.items() if node.name not in self._fixed]

    def settle(self) -> None:
        """Write what was learned into the table and the plan."""
        simulation = self._simulation
        for node, (growth, shift, unit) in self._layers.items():
            layer, rule = simulation.table[node.name], row(node.op).quant
            scale = layer.params.scale * growth.detach().exp().numpy().astype(np.float64)
            params = layer.params
            if params.axis is None:
                params = QuantParams.per_tensor(float(scale[0]))
            else:
                params = QuantParams.per_channel(scale, params.axis)
            moved = (shift * unit).detach().numpy()
            bias = moved if layer.bias is None else layer.bias + moved
            if rule.bias is None:
                bias = None
            simulation.table[node.name] = replace(layer, params=params, bias=bias)
            del simulation.trained[node]
        simulation.forget()
        for old, learned in self._scales.values() if simulation.learned else ():
            replace_params(simulation.plan, old, learned.params())
        simulation.learned = {}


def replace_params(plan: QuantPlan, old: QuantParams, new: QuantParams) -> None:
    """Let all values that share the parameters `old` (this very object) have `new`, in place."""
    for key, params in plan.shared.items():
        if params is old:
            plan.shared[key] = new
    for value, storage in plan.own.items():
        if storage.params is old:
            plan.own[value] = Storage(storage.dtype, new)
            plan.methods[value.name] = "learned"


def _float(torch: Any, array: Any) -> Tensor:
    return torch.tensor(np.asarray(array, np.float32))
