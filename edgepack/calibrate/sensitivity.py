"""What quantizing one thing alone does to a model's output, everything else in real numbers.

For each layer its weights are rounded, for each activation the values themselves, and from there on
the model runs as it is: only what comes after is computed again. The error that reaches the output
is measured as a share of the output's power, on a few samples. A value is charged to itself and not
to those who read it, so that the figures of all layers and values may be added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value, node_macs, row
from edgepack.progress import advance
from edgepack.quantize.layers import LayerWeights, nearest_weights
from edgepack.quantize.mixed import BYTE, NARROW, WIDE, NoiseTable
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.plan import HasKernel, QuantPlan, is_activation, plan_quantization
from edgepack.quantize.statistics import StatisticsTable
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.observe import Observer
from edgepack.writers.tflite import write_tflite

_WORK: Final = "layer by layer"
SAMPLES: Final = 32  # as many are used of small models
_FEWEST_SAMPLES: Final = 8
_MACS: Final = 1 << 31  # of all samples together, beyond which they get fewer
_MOST_BYTES: Final = 1 << 29  # of activations that are kept: fewer samples of large models

_Arrays = dict[str, Array]


def measure_sensitivity(
    graph: Graph,
    seen: StatisticsTable,
    options: QuantizeOptions,
    samples: Sequence[Sequence[Array]],
    has_kernel: HasKernel = lambda node, precision: True,
    *,
    threads: int = 2,
) -> NoiseTable:
    """Noise at the outputs of `graph` (float, legalized for TFLite) from each thing alone.

    `samples` has the inputs of a few samples, real, in the order of the graph's inputs. The first
    `SAMPLES` are used, fewer of large models. Cut a final
    softmax off first: it hides what goes into it. The same inputs always give the same figures.
    """
    plans = {
        precision: plan_quantization(
            graph, seen, dataclasses.replace(options, precision=precision, layers={}), has_kernel
        )
        for precision in (BYTE, NARROW, WIDE)
    }
    return _Measurement(graph, plans, seen, options, samples, threads).run()


class _Measurement:
    """One walk through the graph, which is cut after each node that has something to measure."""

    def __init__(
        self,
        graph: Graph,
        plans: Mapping[Precision, QuantPlan],
        seen: StatisticsTable,
        options: QuantizeOptions,
        samples: Sequence[Sequence[Array]],
        threads: int,
    ) -> None:
        self._graph = graph
        self._nodes = graph.nodes
        self._plans = plans
        self._threads = threads
        self._tables = {p: nearest_weights(graph, plans[p], seen, options) for p in (BYTE, NARROW)}
        observer = Observer(graph, threads=threads)
        self._real: list[_Arrays] = [
            observer.run(inputs) for inputs in samples[: _samples_for(graph)]
        ]
        self._last = {v: i for i, n in enumerate(self._nodes) for v in n.present_inputs}

    def run(self) -> NoiseTable:
        """All figures."""
        weights: dict[str, dict[DType, float]] = {}
        values: dict[str, dict[DType, float]] = {}
        for value in self._graph.inputs:
            self._measure_value(-1, value, values)
        for index, node in enumerate(self._nodes):
            advance(index, len(self._nodes), _WORK)
            for value in node.outputs:
                self._measure_value(index, value, values)
            if row(node.op).quant.weight is not None:
                self._measure_weights(index, node, weights)
        advance(len(self._nodes), len(self._nodes), _WORK)
        return NoiseTable(weights, values)

    # -- one thing ---------------------------------------------------------------------------------

    def _measure_value(
        self, index: int, value: Value, table: dict[str, dict[DType, float]]
    ) -> None:
        params = self._params(value, BYTE)
        if not is_activation(value) or params is None or _is_carried(value, self._plans[BYTE]):
            return
        name = value.name
        stored = [_rounded(real[name], params, DType.INT8) for real in self._real]
        found = {DType.INT8: self._noise_after(index, {name: stored})}
        wide = self._params(value, WIDE)
        if wide is not None:  # far finer steps of the same real numbers: noise goes with its square
            finer = float(wide.scale[0]) / float(params.scale[0])
            found[DType.INT16] = found[DType.INT8] * finer**2
        table[name] = found

    def _params(self, value: Value, precision: Precision) -> QuantParams | None:
        """Those in which a value is stored, or read where its maker leaves it real."""
        plan, dtype = self._plans[precision], precision.activations
        own = plan.stored(value).params
        return own if own is not None else plan.shared.get((value, dtype))

    def _measure_weights(
        self, index: int, node: Node, table: dict[str, dict[DType, float]]
    ) -> None:
        found: dict[DType, float] = {}
        for precision in (BYTE, NARROW):
            planned = self._plans[precision].precision.get(node)
            if planned is None or planned.weights in found:  # no such kernel, or only in 8 bits
                continue
            outputs = self._with_weights(node, self._tables[precision][node.name])
            found[planned.weights] = self._noise_after(index, outputs)
        if found:
            table[node.name] = found

    def _with_weights(self, node: Node, layer: LayerWeights) -> dict[str, list[Array]]:
        """What a layer makes of real inputs with rounded weights, by name, in each sample."""
        fed = _activations(node.present_inputs)
        part = _part([node], fed, node.outputs)
        copy, rule = part.nodes[0], row(node.op).quant
        real = layer.params.dequantize(layer.stored)
        copy.set_input(rule.weight or 0, part.constant(real, f"{node.name}_rounded"))
        if rule.bias is not None and layer.bias is not None:
            inputs = [*copy.inputs, *[None] * (rule.bias + 1 - len(copy.inputs))]
            inputs[rule.bias] = part.constant(
                layer.bias.astype(np.float32).reshape(-1), f"{node.name}_bias"
            )
            copy.set_inputs(inputs)
        runtime = LiteRTRuntime(write_tflite(part), threads=self._threads)
        results = [runtime.run([real[v.name] for v in fed]) for real in self._real]
        return {v.name: [r[i] for r in results] for i, v in enumerate(node.outputs)}

    # -- from there to the output ------------------------------------------------------------------

    def _noise_after(self, index: int, changed: Mapping[str, Sequence[Array]]) -> float:
        """The noise at the outputs when values made up to node `index` are `changed`.

        The mean over the outputs of noise power by signal power.
        """
        outputs = [v for v in self._graph.outputs if v.dtype is DType.FLOAT32]
        signal, noise = np.zeros(len(outputs)), np.zeros(len(outputs))
        run = self._tail(index)
        for number, real in enumerate(self._real):
            found = run({**real, **{name: arrays[number] for name, arrays in changed.items()}})
            for i, value in enumerate(outputs):
                truth = real[value.name].astype(np.float64)
                signal[i] += np.square(truth).sum()
                noise[i] += np.square(truth - found[value.name]).sum()
        share = np.divide(noise, signal, out=np.zeros_like(noise), where=signal > 0)
        return float(share.mean()) if share.size else 0.0

    def _tail(self, index: int) -> Callable[[_Arrays], _Arrays]:
        """A function from values to outputs that runs the nodes after `index`; kept for reuse."""
        if getattr(self, "_tail_at", None) != index:
            self._tail_at, self._tail_run = index, self._open_tail(index)
        return self._tail_run

    def _open_tail(self, index: int) -> Callable[[_Arrays], _Arrays]:
        nodes = self._nodes[index + 1 :]
        made = {v for node in nodes for v in node.outputs}
        outputs = [v for v in dict.fromkeys(self._graph.outputs) if v in made]
        if not outputs:
            return lambda values: values
        fed = [v for n in nodes for v in _activations(n.present_inputs) if v not in made]
        fed = list(dict.fromkeys(fed))
        runtime = LiteRTRuntime(write_tflite(_part(nodes, fed, outputs)), threads=self._threads)

        def run(values: _Arrays) -> _Arrays:
            results = runtime.run([values[v.name] for v in fed])
            return {**values, **{v.name: r for v, r in zip(outputs, results, strict=True)}}

        return run


def _samples_for(graph: Graph) -> int:
    """How many samples are worth their time, and whose activations fit in memory."""
    macs = sum(map(node_macs, graph.nodes))
    worth = min(SAMPLES, max(_FEWEST_SAMPLES, _MACS // max(1, macs)))
    each = sum(v.nbytes for v in graph.values() if not v.is_const)
    return max(1, min(worth, _MOST_BYTES // max(1, each)))


def _is_carried(value: Value, plan: QuantPlan) -> bool:
    """Whether a value only repeats what others are charged for."""
    node = value.producer
    return node is not None and node in plan.precision and row(node.op).quant.output == "same"


def _rounded(array: Array, params: QuantParams, dtype: DType) -> Array:
    return params.dequantize(params.quantize(array, dtype))


def _activations(values: Sequence[Value]) -> list[Value]:
    return list(dict.fromkeys(v for v in values if not v.is_const))


def _part(nodes: Sequence[Node], fed: Sequence[Value], outputs: Sequence[Value]) -> Graph:
    """A graph of these nodes only, which are in order, with twins of their values."""
    twins: dict[Value, Value] = {}

    def twin(value: Value) -> Value:
        if value not in twins:
            twins[value] = Value(value.name, value.shape, value.dtype, value.quant, value.data)
        return twins[value]

    graph = Graph("part")
    graph.inputs = [twin(v) for v in fed]
    for node in nodes:
        inputs = [None if v is None else twin(v) for v in node.inputs]
        graph.add_node(
            Node(node.op, inputs, [twin(v) for v in node.outputs], node.attrs, node.name)
        )
    graph.outputs = [twin(v) for v in outputs]
    graph.remove_dead()
    return graph
