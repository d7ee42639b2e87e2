"""Full-integer quantization: a float graph becomes one of integers, in place.

After the TFLite 8-bit quantization specification (and its 16x8 variant). Float nodes that remain
are fenced in with Quantize and Dequantize nodes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepack.ir import Array, DType, Graph, Node, QuantParams, Value, row
from edgepack.quantize.bias import bias_shift
from edgepack.quantize.options import QuantizeOptions
from edgepack.quantize.plan import QuantPlan, is_activation, is_quantizable, plan_quantization
from edgepack.quantize.ranges import Range
from edgepack.quantize.statistics import StatisticsTable
from edgepack.quantize.weights import bias_params, quantize_weights, weight_params


def quantize_integer(
    graph: Graph,
    seen: StatisticsTable,
    options: QuantizeOptions,
    *,
    has_kernel: Callable[[Node], bool] = lambda node: True,
) -> QuantPlan:
    """Quantize every node that has an integer kernel; return what was decided.

    `graph` is float32, legalized for the runtime; `seen` has the statistics of its activations by
    name; `has_kernel` says whether the runtime has the integer kernel of a node.
    Raises BadData when calibration saw nothing of a value.
    """
    nodes = {node for node in graph.nodes if is_quantizable(node) and has_kernel(node)}
    plan = plan_quantization(graph, seen, options, nodes)
    rewrite = _Rewrite(graph, plan, seen, options)
    for node in graph.nodes:
        if node in nodes:
            rewrite.constants(node)
    rewrite.requantize()
    rewrite.fence()
    for value in list(graph.values()):
        rewrite.retype(value)
    rewrite.boundaries()
    graph.remove_dead()
    graph.sort()
    return plan


class _Rewrite:
    """The state of one run: which twins of constants and which fences exist already."""

    def __init__(
        self, graph: Graph, plan: QuantPlan, seen: StatisticsTable, options: QuantizeOptions
    ) -> None:
        self.graph = graph
        self.seen = seen
        self.plan = plan
        self.options = options
        self._twins: dict[tuple[int, QuantParams, DType], Value] = {}

    # -- constants ---------------------------------------------------------------------------------

    def constants(self, node: Node) -> None:
        """Put integer twins in the place of the node's real constants."""
        rule = row(node.op).quant
        if rule.weight is not None:
            self._weights(node, rule.weight, rule.axis, rule.bias)
            return
        for index, value in enumerate(node.inputs):
            if value is not None and value.is_const and value.dtype is DType.FLOAT32:
                params = self._constant_params(node, value)
                node.set_input(index, self._twin(value, params, self.options.activations))

    def _constant_params(self, node: Node, value: Value) -> QuantParams:
        shared = row(node.op).quant.output == "same"
        if shared and id(node.output) in self.plan.params:
            return self.plan.params[id(node.output)]
        data = value.const
        whole = Range(float(data.min()), float(data.max()), "min-max")
        return whole.params(self.options.activations)

    def _weights(self, node: Node, weight_index: int, axis: int, bias_index: int | None) -> None:
        weight = node.input(weight_index)
        bias = None if bias_index is None else node.optional(bias_index)
        input_scale = float(self.plan.params[id(node.input(0))].scale[0])
        params = self._weight_params(node, weight, axis, bias, input_scale)
        shift = self._bias_shift(node, weight, params)
        if params is not weight.quant:
            node.set_input(weight_index, self._weight_twin(weight, params))
        if bias_index is not None and (bias is not None or shift is not None):
            start = 0.0 if bias is None else bias.const
            real = np.asarray(start - (0.0 if shift is None else shift), np.float32)
            name = node.name if bias is None else bias.name
            node.set_input(bias_index, self._bias(name, real, bias_params(input_scale, params)))

    def _bias_shift(self, node: Node, weight: Value, params: QuantParams) -> Array | None:
        """What rounding the weights adds to the mean output; None where no mean input is known."""
        seen = self.seen.get(node.input(0).name)
        if seen is None or seen.mean is None or params is weight.quant:
            return None
        if not self.options.correct_bias:
            return None
        stored = quantize_weights(weight.real, params, self.options.weights)
        return bias_shift(node, stored, params, seen.mean)

    def _bias(self, name: str, real: Array, params: QuantParams) -> Value:
        wide = DType.INT64 if self.options.activations is DType.INT16 else DType.INT32
        return self.graph.constant(params.quantize(real, wide), f"{name}_{wide}", params)

    def _weight_params(
        self, node: Node, weight: Value, axis: int, bias: Value | None, input_scale: float
    ) -> QuantParams:
        """New parameters, or the weight's own where the source had quantized it already."""
        if weight.quant is not None and weight.dtype is self.options.weights:
            return weight.quant
        return weight_params(
            weight.real,
            self.options.weights,
            axis if self._is_per_channel(node) else None,
            bias=None if bias is None else bias.const,
            input_scale=input_scale,
        )

    def _is_per_channel(self, node: Node) -> bool:
        dense = node.op == "FullyConnected"
        return self.options.per_channel_dense if dense else self.options.per_channel

    def _weight_twin(self, value: Value, params: QuantParams) -> Value:
        dtype = self.options.weights
        return self._cached(value, params, dtype, quantize_weights(value.real, params, dtype))

    def _twin(self, value: Value, params: QuantParams, dtype: DType) -> Value:
        return self._cached(value, params, dtype, params.quantize(value.const, dtype))

    def _cached(self, value: Value, params: QuantParams, dtype: DType, data: Array) -> Value:
        key = (id(value), params, dtype)
        if key not in self._twins:
            twin = self.graph.constant(data, f"{value.name}_{dtype}", params)
            twin.dtype = dtype
            self._twins[key] = twin
        return self._twins[key]

    # -- activations -------------------------------------------------------------------------------

    def requantize(self) -> None:
        """Bring values with prescribed parameters into those of the operators that tie them."""
        for value, params in self.plan.requantized:
            twin = Value(self.graph.fresh(f"{value.name}_requantized"), value.shape)
            for user in list(value.users):
                if user in self.plan.nodes and row(user.op).quant.output == "same":
                    user.set_inputs([twin if v is value else v for v in user.inputs])
            to = {"to": str(self.options.activations)}
            self.plan.nodes.add(self.graph.add_node(Node("Quantize", [value], [twin], to)))
            self.plan.params[id(twin)] = params

    def fence(self) -> None:
        """Convert where integer and float nodes meet, and at inputs and outputs of the graph."""
        for value in list(self.graph.values()):
            if not is_activation(value) or id(value) not in self.plan.params:
                continue
            if self._is_integer(value):
                self._dequantize_for_float_users(value)
            else:
                self._quantize_for_integer_users(value)

    def _is_integer(self, value: Value) -> bool:
        return value.producer is not None and value.producer in self.plan.nodes

    def _dequantize_for_float_users(self, value: Value) -> None:
        strangers = [user for user in value.users if user not in self.plan.nodes]
        if not strangers and not self.graph.is_output(value):
            return
        real = Value(self.graph.fresh(f"{value.name}_float"), value.shape, DType.FLOAT32)
        for user in strangers:
            user.set_inputs([real if v is value else v for v in user.inputs])
        if self.graph.is_output(value):  # the user knows the output by its name
            real.name, value.name = (
                value.name,
                self.graph.fresh(f"{value.name}_{self.options.activations}"),
            )
            self.graph.outputs = [real if v is value else v for v in self.graph.outputs]
        self.graph.add_node(Node("Dequantize", [value], [real], {"to": "float32"}))

    def _quantize_for_integer_users(self, value: Value) -> None:
        users = [user for user in value.users if user in self.plan.nodes]
        dtype, params = self.options.activations, self.plan.params[id(value)]
        twin = Value(self.graph.fresh(f"{value.name}_{dtype}"), value.shape, dtype, params)
        for user in users:
            user.set_inputs([twin if v is value else v for v in user.inputs])
        self.graph.add_node(Node("Quantize", [value], [twin], {"to": str(dtype)}))

    def retype(self, value: Value) -> None:
        """Make the outputs of integer nodes integer."""
        if is_activation(value) and self._is_integer(value) and id(value) in self.plan.params:
            value.dtype = self.options.activations
            value.quant = self.plan.params[id(value)]

    # -- inputs and outputs of the graph -----------------------------------------------------------

    def boundaries(self) -> None:
        """Take inputs and give outputs as integers where `io_dtype` asks for it."""
        if self.options.io_dtype is not self.options.activations:
            return
        self.graph.sort()
        for node in self.graph.nodes_of("Quantize"):
            self._integer_input(node)
        for node in self.graph.nodes_of("Dequantize"):
            self._integer_output(node)

    def _integer_input(self, node: Node) -> None:
        value = node.input(0)
        if value not in self.graph.inputs or len(value.users) > 1 or self.graph.is_output(value):
            return
        twin = node.output
        name = value.name
        self.graph.replace(twin, value)
        self.graph.remove(node)
        value.name, value.dtype, value.quant = name, twin.dtype, twin.quant

    def _integer_output(self, node: Node) -> None:
        real, value = node.output, node.input(0)
        if not self.graph.is_output(real) or real.users or self.graph.is_output(value):
            return
        self.graph.outputs = [value if v is real else v for v in self.graph.outputs]
        value.name, real.name = real.name, value.name
        self.graph.remove(node)
