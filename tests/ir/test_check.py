"""The checker: one broken graph for each rule, and what it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgepack.errors import InternalError
from edgepack.ir import DType, Graph, Node, QuantParams, Value
from edgepack.ir.check import check
from edgepack.ir.text import parse
from tests.op_cases import CASES

NET = """
x: float32[1, 4] = input()
w = random(3, 4)
a = FullyConnected(x, w)
y = Relu(a)
output(y)
"""


def _rename(graph: Graph) -> None:
    graph.nodes[0].op = "Dense"


def _forget_user(graph: Graph) -> None:
    graph.inputs[0].users.clear()


def _reverse_order(graph: Graph) -> None:
    relu = graph.nodes[1]
    late = graph.add("Neg", [graph.inputs[0]], name="late")
    relu.set_input(0, late)
    relu.output.shape = late.shape


def _wrong_shape(graph: Graph) -> None:
    graph.nodes[1].output.shape = (1, 4)


def _wrong_dtype(graph: Graph) -> None:
    graph.nodes[1].output.dtype = DType.INT8


def _missing_attribute(graph: Graph) -> None:
    del graph.nodes[0].attrs["activation"]


def _listed_attribute(graph: Graph) -> None:
    y = graph.add("Reshape", [graph.outputs[0]], {"shape": (3,)}, name="r")
    assert y.producer is not None
    y.producer.attrs["shape"] = [3]
    graph.outputs = [y]


def _unsuitable_weights(graph: Graph) -> None:
    graph.nodes[0].set_input(1, graph.constant(np.zeros((3, 5), np.float32), "v"))


def _output_from_nowhere(graph: Graph) -> None:
    graph.outputs = [Value("stray", (1,))]


def _same_name(graph: Graph) -> None:
    graph.nodes[0].output.name = "y"


def _user_outside(graph: Graph) -> None:
    Node("Neg", [graph.inputs[0]], [Value("n", (1, 4))])


def _constant_of_another_shape(graph: Graph) -> None:
    graph.nodes[0].input(1).data = np.zeros((2, 4), np.float32)


def _constant_of_another_dtype(graph: Graph) -> None:
    graph.nodes[0].input(1).data = np.zeros((3, 4), np.float64)


def _quantized_float(graph: Graph) -> None:
    graph.inputs[0].quant = QuantParams.per_tensor(1.0)


def _too_few_scales(graph: Graph) -> None:
    weights = graph.nodes[0].input(1)
    weights.data, weights.dtype = np.zeros((3, 4), np.int8), DType.INT8
    weights.quant = QuantParams.per_channel([1.0, 2.0], 0)


def _axis_out_of_range(graph: Graph) -> None:
    _too_few_scales(graph)
    graph.nodes[0].input(1).quant = QuantParams.per_channel([1.0, 2.0, 3.0], 2)


BROKEN: dict[str, tuple[Callable[[Graph], None], str, str | None]] = {
    "unknown operator": (_rename, "unknown operator", "Dense a"),
    "use list": (_forget_user, "x does not know its user", "FullyConnected a"),
    "order": (_reverse_order, "late is read before it is made", "Relu y"),
    "shape": (_wrong_shape, r"y is \(1, 4\), the table says \(1, 3\)", "Relu y"),
    "dtype": (_wrong_dtype, "y is int8, the table says float32", "Relu y"),
    "missing attribute": (_missing_attribute, "attributes are incomplete", "FullyConnected a"),
    "attribute as a list": (_listed_attribute, "not plain tuples", "Reshape r"),
    "shape rule": (_unsuitable_weights, "shape rule: .*do not suit", "FullyConnected a"),
    "output": (_output_from_nowhere, "output stray is made by no node", None),
    "names": (_same_name, "two values are called y", None),
    "stray user": (_user_outside, "x has users outside the graph", None),
    "constant's shape": (_constant_of_another_shape, r"w holds \(2, 4\)", None),
    "constant's dtype": (_constant_of_another_dtype, "w holds float64", None),
    "parameters of a float": (_quantized_float, "x is float32 but has quantization", None),
    "axis of the scales": (_axis_out_of_range, "w has scales along axis 2, its rank is 2", None),
    "scales per channel": (_too_few_scales, "w has 2 scales for 3 channels", None),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_graph_is_refused(rule: str) -> None:
    damage, message, where = BROKEN[rule]
    graph = parse(NET)
    damage(graph)
    with pytest.raises(InternalError, match=message) as caught:
        check(graph)
    assert caught.value.at == where


def test_the_culprit_is_named() -> None:
    graph = parse(NET)
    _wrong_shape(graph)
    with pytest.raises(InternalError, match="after fold_everything") as caught:
        check(graph, after="fold_everything")
    assert caught.value.at == "Relu y"


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_well_formed(name: str) -> None:
    check(CASES[name].graph())
