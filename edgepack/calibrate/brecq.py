"""Block reconstruction: the layers of a block are rounded together, so that its output is kept.

Li et al. 2021 (BRECQ), arXiv:2102.05426. The biases move along, and so do the scales of the
activations that are made in the block, by the gradient of LSQ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgepack.calibrate.adaround import is_open, start_of
from edgepack.calibrate.blocks import find_blocks
from edgepack.calibrate.end_to_end import replace_params
from edgepack.calibrate.fake_quant import LearnedRounding, LearnedScale, annealed
from edgepack.calibrate.simulate import Env, Simulation, entries, exits
from edgepack.calibrate.torch_graph import is_differentiable
from edgepack.calibrate.torch_kernels import Tensor
from edgepack.ir import Graph, Node, QuantParams, Value, row
from edgepack.progress import advance
from edgepack.quantize.plan import QuantPlan


@dataclass(frozen=True, slots=True)
class BlockSchedule:
    """How long and how a block is searched; each step sees `batch` samples.

    `rate` is Adam's for roundings, `scale_rate` for logarithms of scales (a step of 0.001 is 0.1%),
    `bias_rate` for biases, in units of their layer's output scale. `decide` is the weight of
    indecision when the block counts 1 as it was before. Rates of 0 leave things as they are.
    """

    steps: int = 200
    batch: int = 8
    rate: float = 0.02
    scale_rate: float = 0.001
    bias_rate: float = 0.02
    decide: float = 1.0


def reconstruct_blocks(
    simulation: Simulation,
    graph: Graph,
    inputs: Env,
    schedule: BlockSchedule,
    *,
    seed: int,
) -> None:
    """Search every block in order; the results stand in the simulation's table and plan.

    Blocks that gradients cannot pass keep what they have, and so do those whose output is not
    nearer to the float one after the search than before, over all samples.
    """
    torch = simulation.torch
    generator = torch.Generator().manual_seed(seed)
    blocks = find_blocks(graph, lambda n: is_open(simulation, n))
    real, quantized = dict(inputs), start_of(simulation, inputs)
    settled = _params_of(simulation.plan, graph.inputs)
    last = {v: i for i, block in enumerate(blocks) for v in entries(block)}
    for index, block in enumerate(blocks):
        wanted = exits(block, graph)
        before = {v: real[v] for v in entries(block)}
        seen = {v: quantized[v] for v in before}
        goal = simulation.run(block, before, wanted, quantized=False)
        found = simulation.run(block, seen, wanted, quantized=True)
        if any(is_open(simulation, n) for n in block) and all(map(is_differentiable, block)):
            kept = _Kept(simulation)
            Training(simulation, block, wanted, settled).run(seen, goal, schedule, generator)
            better = simulation.run(block, seen, wanted, quantized=True)
            if _distance(better, goal) < _distance(found, goal):
                found = better
            else:
                kept.restore(simulation)
        settled |= _params_of(simulation.plan, [v for n in block for v in n.outputs])
        real.update(goal)
        quantized.update(found)
        for value in before:
            if last[value] == index:
                del real[value], quantized[value]
        advance(index + 1, len(blocks), "rounding blocks")


def _distance(found: Env, goal: Env) -> float:
    """Squared errors of the values, each in units of its own power."""
    powers = {v: float(want.square().mean()) or 1.0 for v, want in goal.items()}
    return sum(float((found[v] - goal[v]).square().mean()) / powers[v] for v in goal)


class _Kept:
    """A simulation's decisions at one time."""

    def __init__(self, simulation: Simulation) -> None:
        plan = simulation.plan
        self.table = dict(simulation.table)
        self.plan = dict(plan.own), dict(plan.shared), dict(plan.methods)

    def restore(self, simulation: Simulation) -> None:
        """Go back to them; weights that were made into tensors meanwhile are forgotten."""
        simulation.table = self.table
        simulation.plan.own, simulation.plan.shared, simulation.plan.methods = self.plan
        simulation.forget()


def _params_of(plan: QuantPlan, values: Sequence[Value]) -> set[int]:
    """The identities of all parameters in which the values are stored or read."""
    wanted = set(values)
    shared = {id(params) for (value, _), params in plan.shared.items() if value in wanted}
    return shared | {id(plan.own[v].params) for v in wanted if v in plan.own}


class Training:
    """The variables of one block: roundings, biases, scales that no block before has settled."""

    def __init__(
        self,
        simulation: Simulation,
        block: Sequence[Node],
        wanted: Sequence[Value],
        settled: set[int],
    ) -> None:
        self.simulation = simulation
        self.block = block
        self.wanted = wanted
        self.roundings: dict[Node, LearnedRounding] = {}
        self.biases: dict[Node, tuple[Tensor, float]] = {}
        self.scales: dict[int, tuple[QuantParams, LearnedScale]] = {}
        for node in block:
            if is_open(simulation, node):
                self._layer(node)
        for value in (v for n in block for v in n.outputs):
            self._scale(value, settled)

    def _layer(self, node: Node) -> None:
        torch, layer = self.simulation.torch, self.simulation.table[node.name]
        dtype = self.simulation.plan.precision[node].weights
        rounding = LearnedRounding(torch, node.input(1).const, layer.params, dtype, layer.stored)
        self.roundings[node] = rounding
        channels = node.output.shape[-1]
        bias = torch.zeros(channels) if layer.bias is None else torch.tensor(layer.bias)
        storage = self.simulation.plan.stored(node.output)
        unit = 1.0 if storage.params is None else float(storage.params.scale[0])
        shift = torch.zeros(channels, requires_grad=True)
        self.biases[node] = shift, unit
        self.simulation.trained[node] = lambda: (rounding.weights(), bias + shift * unit)

    def _scale(self, value: Value, settled: set[int]) -> None:
        node, storage = value.producer, self.simulation.plan.stored(value)
        if node is None or storage.params is None or id(storage.params) in settled:
            return
        if row(node.op).quant.output != "fixed" and id(storage.params) not in self.scales:
            learned = LearnedScale(self.simulation.torch, storage.params, storage.dtype)
            self.scales[id(storage.params)] = storage.params, learned

    # -- searching ---------------------------------------------------------------------------------

    def run(self, seen: Env, goal: Env, schedule: BlockSchedule, generator: Tensor) -> None:
        """Search, decide, and write the results down."""
        torch, simulation = self.simulation.torch, self.simulation
        if schedule.scale_rate:
            simulation.learned = {key: scale for key, (_, scale) in self.scales.items()}
        optimizer = torch.optim.Adam(self._parameters(schedule))
        samples = len(next(iter(seen.values())))
        unit: Any = None
        for step in range(schedule.steps):
            drawn = torch.randperm(samples, generator=generator)[: schedule.batch]
            loss = self._loss(seen, goal, drawn)
            unit = unit or max(float(loss.detach()), 1e-20)
            loss = loss / unit
            beta = annealed(step, schedule.steps)
            if beta is not None and schedule.rate:
                loss = loss + schedule.decide * self._indecision(beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._finish()

    def _parameters(self, schedule: BlockSchedule) -> list[dict[str, Any]]:
        groups = (
            ([r.variable for r in self.roundings.values()], schedule.rate),
            ([shift for shift, _ in self.biases.values()], schedule.bias_rate),
            ([scale.log_scale for _, scale in self.scales.values()], schedule.scale_rate),
        )
        return [{"params": params, "lr": rate} for params, rate in groups if params]

    def _loss(self, seen: Env, goal: Env, drawn: Tensor) -> Tensor:
        """Squared errors at the block's outputs, each in units of its own power."""
        env = {v: x[drawn] for v, x in seen.items()}
        for node in self.block:
            self.simulation.quantized(node, env)
        total: Tensor = 0.0
        for value in self.wanted:
            want = goal[value][drawn]
            power = float(goal[value].square().mean()) or 1.0
            total = total + (env[value] - want).square().mean() / power
        return total

    def _indecision(self, beta: float) -> Tensor:
        parts = [r.indecision(beta) for r in self.roundings.values()]
        total: Tensor = sum(parts) / len(parts)
        return total

    def _finish(self) -> None:
        simulation = self.simulation
        for node, rounding in self.roundings.items():
            layer, (shift, unit) = simulation.table[node.name], self.biases[node]
            moved = (shift * unit).detach().numpy()
            bias = moved if layer.bias is None else layer.bias + moved
            stored = rounding.stored().astype(layer.stored.dtype)
            simulation.table[node.name] = replace(layer, stored=stored, bias=bias)
            del simulation.trained[node]
        simulation.forget()
        if simulation.learned:
            for old, scale in self.scales.values():
                replace_params(simulation.plan, old, scale.params())
            simulation.learned = {}
