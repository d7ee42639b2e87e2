"""Full-integer quantization: a float graph becomes one of integers, in place.

After the TFLite 8-bit quantization specification and its 16x8 variant. Quantize and Dequantize
nodes stand where a value is read otherwise than it is made.
"""

from __future__ import annotations

from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value, row
from edgepack.quantize.layers import LayerWeights, WeightTable, input_scale, nearest_weights
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.plan import (
    REAL,
    HasKernel,
    QuantPlan,
    Storage,
    is_activation,
    plan_quantization,
)
from edgepack.quantize.ranges import Range
from edgepack.quantize.recurrent import quantize_lstm
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.weights import bias_params


def quantize_integer(
    graph: Graph, plan: QuantPlan, weights: WeightTable, options: QuantizeOptions
) -> None:
    """Carry out `plan`, made for this graph (float32, legalized for the runtime), in place.

    `weights` has the integers of every layer that has weights.
    """
    rewrite = _Rewrite(graph, plan)
    for node in graph.nodes:
        if node in plan.precision:
            rewrite.constants(node, weights)
    for node in graph.nodes:
        rewrite.inputs(node)
    rewrite.outputs(options.integer_io)
    rewrite.retype()
    graph.remove_dead()
    graph.sort()


def quantize_nearest(
    graph: Graph,
    seen: StatisticsTable,
    options: QuantizeOptions,
    has_kernel: HasKernel = lambda node, precision: True,
) -> QuantPlan:
    """Plan, round every weight to nearest and rewrite, in place; return the plan.

    `seen` has the statistics of the graph's activations by name.
    Raises BadData when calibration saw nothing of a value.
    """
    plan = plan_quantization(graph, seen, options, has_kernel)
    quantize_integer(graph, plan, nearest_weights(graph, plan, seen, options), options)
    return plan


class _Rewrite:
    """The state of one run: which twins of constants and of activations exist already."""

    def __init__(self, graph: Graph, plan: QuantPlan) -> None:
        self.graph = graph
        self.plan = plan
        self._constants: dict[tuple[Value, QuantParams, DType, bytes], Value] = {}
        self._converted: dict[tuple[Value, Storage], Value] = {}

    # -- constants ---------------------------------------------------------------------------------

    def constants(self, node: Node, weights: WeightTable) -> None:
        """Put integer twins in the place of the node's real constants."""
        rule = row(node.op).quant
        if rule.weight is not None:
            self._layer(node, weights[node.name], rule.weight, rule.bias)
            return
        if node.op == "Lstm":
            x, y = self.plan.read(node, node.input(0)).params, self.plan.stored(node.output).params
            assert x is not None
            assert y is not None  # of an integer node
            dtype = self.plan.precision[node].activations
            quantize_lstm(self.graph, node, x, y, self.plan.cells[node], dtype)
            return
        dtype = self.plan.precision[node].activations
        for index, value in enumerate(node.inputs):
            if value is not None and value.is_const and value.dtype is DType.FLOAT32:
                params = self._constant_params(node, value, dtype)
                node.set_input(index, self._twin(value, params.quantize(value.const, dtype),
                                                 params, dtype))  # fmt: skip

    def _constant_params(self, node: Node, value: Value, dtype: DType) -> QuantParams:
        if row(node.op).quant.output == "same":
            shared = self.plan.stored(node.output).params
            if shared is not None:
                return shared
        data = value.const
        return Range(float(data.min()), float(data.max()), "min-max").params(dtype)

    def _layer(
        self, node: Node, layer: LayerWeights, weight_index: int, bias_index: int | None
    ) -> None:
        scale, precision = input_scale(node, self.plan), self.plan.precision[node]
        weight, params = node.input(weight_index), layer.params
        if params is not weight.quant:
            twin = self._twin(weight, layer.stored, params, precision.weights)
            node.set_input(weight_index, twin)
        if bias_index is not None and layer.bias is not None:
            wide = DType.INT64 if precision.activations is DType.INT16 else DType.INT32
            bias, fitting = node.optional(bias_index), bias_params(scale, params)
            name = node.name if bias is None else bias.name
            stored = fitting.quantize(layer.bias, wide)
            node.set_input(bias_index, self.graph.constant(stored, f"{name}_{wide}", fitting))

    def _twin(self, value: Value, stored: Array, params: QuantParams, dtype: DType) -> Value:
        key = (value, params, dtype, stored.tobytes())
        if key not in self._constants:
            twin = self.graph.constant(stored, f"{value.name}_{dtype}", params)
            twin.dtype = dtype
            self._constants[key] = twin
        return self._constants[key]

    # -- activations -------------------------------------------------------------------------------

    def inputs(self, node: Node) -> None:
        """Let the node read every activation in the storage that it wants."""
        swapped = {}
        for value in node.present_inputs:
            wanted = self.plan.read(node, value) if is_activation(value) else None
            if wanted is not None and wanted != self.plan.stored(value):
                swapped[value] = self._convert(value, wanted)
        if swapped:
            node.set_inputs([v if v is None else swapped.get(v, v) for v in node.inputs])

    def _convert(self, value: Value, wanted: Storage) -> Value:
        if (value, wanted) not in self._converted:
            suffix = "float" if wanted == REAL else str(wanted.dtype)
            name = self.graph.fresh(f"{value.name}_{suffix}")
            twin = Value(name, value.shape, wanted.dtype, wanted.params)
            op = "Dequantize" if wanted == REAL else "Quantize"
            self.graph.add_node(Node(op, [value], [twin], {"to": str(wanted.dtype)}))
            self._converted[value, wanted] = twin
        return self._converted[value, wanted]

    def outputs(self, integer_io: bool) -> None:
        """Give real outputs unless integers are wanted; the user knows an output by its name."""
        for index, value in enumerate(self.graph.outputs):
            own = self.plan.stored(value)
            if own == REAL or integer_io:
                continue
            real = self._convert(value, REAL)
            real.name, value.name = value.name, self.graph.fresh(f"{value.name}_{own.dtype}")
            self.graph.outputs[index] = real

    def retype(self) -> None:
        """Make what the plan stores as integers integer."""
        for value, storage in self.plan.own.items():
            value.dtype, value.quant = storage.dtype, storage.params
