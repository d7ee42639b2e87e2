"""An integer graph before it exists: the float graph, the plan and a weight table, in torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from edgepack import kernels
from edgepack.calibrate.fake_quant import fake_quantize
from edgepack.calibrate.torch_graph import call_batch, is_differentiable, tensor
from edgepack.calibrate.torch_kernels import Tensor, Torch
from edgepack.ir import DType, Graph, Node, Value, row
from edgepack.quantize.layers import WeightTable
from edgepack.quantize.plan import QuantPlan, Storage
from edgepack.quantize.ranges import Range

CHUNK: Final = 8  # samples that run at once where no gradient is wanted

Env = dict[Value, Tensor]
# What a node with weights computes with: its weight and its bias.
Weights = Callable[[], tuple[Tensor, Tensor | None]]


class Simulation:
    """Runs nodes of `graph` on many samples, as they are (`real`) or as they will be (`quantized`).

    `table` has the weights; `trained` takes their place where a node is being reconstructed, and
    `learned` that of activations' parameters, by the identity of these: values that share
    parameters share the object.
    """

    def __init__(self, torch: Torch, graph: Graph, plan: QuantPlan, table: WeightTable) -> None:
        self.torch = torch
        self.plan = plan
        self.table = dict(table)
        self.trained: dict[Node, Weights] = {}
        self.learned: dict[int, Callable[[Tensor], Tensor]] = {}
        self._constants = {v: tensor(torch, v.real) for v in graph.constants()}
        self._stored: dict[Node, tuple[Tensor, Tensor | None]] = {}

    # -- one node ----------------------------------------------------------------------------------

    def real(self, node: Node, env: Env) -> None:
        """Run the node in float and add what it makes to `env`, [samples, *shape]."""
        inputs = [None if v is None else self._value(v, env) for v in node.inputs]
        self._call(node, inputs, env)

    def quantized(self, node: Node, env: Env) -> None:
        """Run the node as it is planned; `env` has every value as its maker stores it."""
        inputs = [None if v is None else self.read(node, v, env) for v in node.inputs]
        rule = row(node.op).quant
        if rule.weight is not None and node in self.plan.precision:
            inputs[rule.weight], bias = self.weights(node)
            if rule.bias is not None:
                inputs[rule.bias :] = [bias]
        self._call(node, inputs, env)
        for value in node.outputs:
            env[value] = self.store(env[value], self.plan.stored(value))

    def _call(self, node: Node, inputs: Sequence[Tensor | None], env: Env) -> None:
        batched = [v in env for v in node.inputs]
        batched += [False] * (len(inputs) - len(batched))
        if is_differentiable(node):
            outputs = call_batch(self.torch, node, inputs, batched)
        else:
            outputs = self._by_reference(node, inputs, batched)
        env.update(zip(node.outputs, outputs, strict=True))

    def _by_reference(
        self, node: Node, inputs: Sequence[Tensor | None], batched: Sequence[bool]
    ) -> tuple[Tensor, ...]:
        """The node by the numpy kernels, sample after sample: gradients end here."""
        arrays = [None if x is None else x.detach().numpy() for x in inputs]
        if not any(batched):
            return tuple(tensor(self.torch, y) for y in kernels.call(node, arrays))
        count = next(
            len(x) for x, flag in zip(arrays, batched, strict=True) if flag and x is not None
        )
        results = [
            kernels.call(node, [x[i] if flag and x is not None else x
                                for x, flag in zip(arrays, batched, strict=True)])
            for i in range(count)
        ]  # fmt: skip
        return tuple(tensor(self.torch, np.stack(ys)) for ys in zip(*results, strict=True))

    def _value(self, value: Value, env: Env) -> Tensor:
        return env[value] if value in env else self._constants[value]

    def read(self, node: Node, value: Value, env: Env) -> Tensor:
        """What the node sees: activations in the storage it wants, constants as they get stored."""
        x = self._value(value, env)
        if node not in self.plan.precision or value.dtype is not DType.FLOAT32:
            return x
        if value.is_const:
            return x if row(node.op).quant.weight is not None else self._constant(node, value)
        wanted = self.plan.read(node, value)
        return x if wanted == self.plan.stored(value) else self.store(x, wanted)

    def _constant(self, node: Node, value: Value) -> Tensor:
        dtype = self.plan.precision[node].activations
        params = self.plan.stored(node.output).params
        if params is None or row(node.op).quant.output != "same":
            low, high = float(value.real.min()), float(value.real.max())
            params = Range(low, high, "constant").params(dtype)
        return self.store(self._constants[value], Storage(dtype, params))

    def store(self, x: Tensor, storage: Storage) -> Tensor:
        """X as it comes back from this storage."""
        if storage.params is None:
            return x
        learned = self.learned.get(id(storage.params))
        if learned is not None:
            return learned(x)
        return fake_quantize(self.torch, x, storage.params, storage.dtype)

    def weights(self, node: Node) -> tuple[Tensor, Tensor | None]:
        """The weight and the bias, as real numbers, of a node with weights."""
        if node in self.trained:
            return self.trained[node]()
        if node not in self._stored:
            layer = self.table[node.name]
            real = layer.params.dequantize(layer.stored)
            bias = None if layer.bias is None else self.torch.tensor(layer.bias)
            self._stored[node] = self.torch.tensor(real), bias
        return self._stored[node]

    def forget(self) -> None:
        """Take the weights from the table again: it has changed."""
        self._stored.clear()

    # -- several nodes -----------------------------------------------------------------------------

    def run(
        self,
        nodes: Sequence[Node],
        env: Mapping[Value, Tensor],
        wanted: Iterable[Value],
        *,
        quantized: bool,
    ) -> Env:
        """The `wanted` values after running the nodes in chunks of samples, without gradients."""
        wanted, step = list(wanted), self.quantized if quantized else self.real
        samples = len(next(iter(env.values())))
        found: dict[Value, list[Tensor]] = {v: [] for v in wanted}
        with self.torch.no_grad():
            for start in range(0, samples, CHUNK):
                part = {v: x[start : start + CHUNK] for v, x in env.items()}
                for node in nodes:
                    step(node, part)
                for value in wanted:
                    found[value].append(part[value])
        return {v: self.torch.cat(parts) for v, parts in found.items()}


def entries(nodes: Sequence[Node]) -> list[Value]:
    """The activations that these nodes read and do not make, in order."""
    made = {v for n in nodes for v in n.outputs}
    read = (v for n in nodes for v in n.present_inputs if not v.is_const and v not in made)
    return list(dict.fromkeys(read))
