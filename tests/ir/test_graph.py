"""The graph: use-lists, order, replacement, copies, names."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.errors import InternalError
from edgepack.ir import DType, Graph, Node, Value
from edgepack.ir.check import check
from edgepack.ir.text import parse, to_text
from edgepack.ir.value import Packed

TWO_PATHS = """
x: float32[2, 3] = input()
a = Relu(x)
b = Exp(x)
y = Add(a, b)
output(y)
"""


def by_name(graph: Graph) -> dict[str, Value]:
    return {value.name: value for value in graph.values()}


def names(values: object) -> list[str]:
    return [v.name for v in values]  # type: ignore[attr-defined]


# -- use lists -------------------------------------------------------------------------------------


def test_users_are_the_nodes_that_read_a_value() -> None:
    values = by_name(parse(TWO_PATHS))
    assert names(values["x"].users) == ["a", "b"]
    assert names(values["a"].users) == ["y"]
    assert not values["y"].users


def test_a_node_that_reads_a_value_twice_is_one_user() -> None:
    graph = parse("x: float32[2] = input()\ny = Add(x, x)\noutput(y)")
    x, node = graph.inputs[0], graph.nodes[0]
    assert list(x.users) == [node]
    node.set_input(0, graph.constant(np.zeros(2, np.float32)))
    assert list(x.users) == [node]  # still read as input 1


def test_set_inputs_moves_the_use() -> None:
    graph = parse(TWO_PATHS)
    values, add = by_name(graph), graph.nodes[2]
    add.set_inputs([values["a"], values["x"]])
    assert not values["b"].users
    assert add in values["x"].users


def test_set_input_appends_at_the_end() -> None:
    graph = parse("x: float32[1, 4] = input()\nw = random(2, 4)\ny = FullyConnected(x, w)\n"
                  "output(y)")  # fmt: skip
    bias = graph.constant(np.zeros(2, np.float32), "b")
    graph.nodes[0].set_input(2, bias)
    assert names(graph.nodes[0].present_inputs) == ["x", "w", "b"]


def test_an_absent_input_is_none_or_an_error() -> None:
    graph = parse("x: float32[1, 4] = input()\nw = random(2, 4)\ny = FullyConnected(x, w, None)\n"
                  "output(y)")  # fmt: skip
    node = graph.nodes[0]
    assert node.optional(2) is None
    assert node.optional(7) is None
    with pytest.raises(InternalError, match="y has no input 2"):
        node.input(2)


def test_only_user() -> None:
    values, graph = {}, parse(TWO_PATHS)
    values = by_name(graph)
    assert graph.only_user(values["a"]) is graph.nodes[2]
    assert graph.only_user(values["x"]) is None  # two users
    assert graph.only_user(values["y"]) is None  # an output
    graph.outputs.append(values["a"])
    assert graph.only_user(values["a"]) is None  # read and an output


# -- replacing and removing ------------------------------------------------------------------------


def test_replace_redirects_every_reader() -> None:
    graph = parse(TWO_PATHS)
    values = by_name(graph)
    graph.replace(values["a"], values["x"])
    assert graph.nodes[2].inputs == (values["x"], values["b"])
    assert graph.remove_dead() == 1
    check(graph)


def test_replace_of_an_output_keeps_the_name_the_user_knows() -> None:
    graph = parse(TWO_PATHS)
    old = graph.outputs[0]
    new = graph.add("Sub", old.producer.inputs, name="other")  # type: ignore[union-attr]
    graph.replace(old, new)
    assert graph.outputs == [new]
    assert new.name == "y"
    graph.remove_dead()
    check(graph)


def test_replace_of_an_output_by_an_input_leaves_the_inputs_name() -> None:
    graph = parse("x: float32[2] = input()\ny = Relu(x)\noutput(y)")
    graph.replace(graph.outputs[0], graph.inputs[0])
    assert names(graph.outputs) == ["x"]


def test_a_node_in_use_is_not_removed() -> None:
    graph = parse(TWO_PATHS)
    with pytest.raises(InternalError, match="a is still in use"):
        graph.remove(graph.nodes[0])
    with pytest.raises(InternalError, match="y is still in use"):
        graph.remove(graph.nodes[2])


def test_remove_dead_takes_whole_chains_and_keeps_outputs() -> None:
    graph = parse("x: float32[2] = input()\ny = Relu(x)\na = Exp(x)\nb = Neg(a)\noutput(y)")
    assert graph.remove_dead() == 2
    assert names(graph.nodes) == ["y"]
    assert names(graph.inputs[0].users) == ["y"]


# -- order -----------------------------------------------------------------------------------------


def test_sort_puts_producers_first_and_keeps_the_order_of_the_rest() -> None:
    graph = parse(TWO_PATHS)
    values = by_name(graph)
    late = graph.add("Neg", [values["a"]], name="late")
    graph.nodes[2].set_input(0, late)
    graph.sort()
    assert names(graph.nodes) == ["a", "b", "late", "y"]
    check(graph)


def test_sort_leaves_a_sorted_graph_alone() -> None:
    graph = parse(TWO_PATHS)
    before = graph.nodes
    graph.sort()
    assert graph.nodes == before


def test_sort_names_a_cycle() -> None:
    graph = parse("x: float32[2] = input()\na = Relu(x)\ny = Neg(a)\noutput(y)")
    graph.nodes[0].set_input(0, graph.outputs[0])
    with pytest.raises(InternalError, match="cycle through"):
        graph.sort()


def test_sort_takes_graphs_deeper_than_the_recursion_limit() -> None:
    graph = Graph()
    x = graph.add_input("x", (1,))
    for _ in range(3000):
        x = graph.add("Neg", [x])
    graph.outputs = [x]
    graph.sort()
    assert len(graph) == 3000


# -- copies and names ------------------------------------------------------------------------------


def test_a_copy_says_the_same_and_shares_only_the_arrays() -> None:
    graph = parse("x: float32[1, 4] = input()\nw = random(2, 4)\ny = FullyConnected(x, w)\n"
                  "output(y)")  # fmt: skip
    graph.source.input_perms["x"] = (0, 1)
    twin = graph.copy()
    assert to_text(twin) == to_text(graph)
    check(twin)
    assert by_name(twin)["w"].data is by_name(graph)["w"].data
    assert not {id(v) for v in twin.values()} & {id(v) for v in graph.values()}
    twin.nodes[0].attrs["activation"] = "relu"
    twin.source.input_perms["x"] = (1, 0)
    assert graph.nodes[0].attrs["activation"] == "none"
    assert graph.source.input_perms == {"x": (0, 1)}


def test_a_copy_keeps_a_value_that_is_input_and_output() -> None:
    graph = parse("x: float32[2] = input()\noutput(x)")
    twin = graph.copy()
    assert twin.outputs[0] is twin.inputs[0]


def test_fresh_names_are_never_taken() -> None:
    graph = parse("x: float32[2] = input()\nx_1 = Relu(x)\noutput(x_1)")
    given = [graph.fresh("x") for _ in range(3)]
    assert len({*given, "x", "x_1"}) == 5


def test_values_are_listed_once_with_constants_before_results() -> None:
    graph = parse("x: float32[2] = input()\nc = const([1.0, 2.0])\na = Add(x, c)\n"
                  "y = Mul(a, c)\noutput(y)")  # fmt: skip
    assert names(graph.values()) == ["x", "c", "a", "y"]
    assert names(graph.constants()) == ["c"]


def test_add_rejects_unknown_and_missing_attributes() -> None:
    graph = Graph()
    x = graph.add_input("x", (2,))
    with pytest.raises(InternalError, match="Relu has no attribute slope"):
        graph.add("Relu", [x], {"slope": 1})
    with pytest.raises(InternalError, match="LeakyRelu needs the attribute alpha"):
        graph.add("LeakyRelu", [x])
    with pytest.raises(InternalError, match="Relo is not in the op table"):
        graph.add("Relo", [x])


def test_a_constants_content_is_asked_for_by_name() -> None:
    value = Value("x", (1,))
    with pytest.raises(InternalError, match="x is not a constant"):
        _ = value.const


def test_sizes_in_bytes_pack_int4_in_pairs() -> None:
    assert Value("x", (3,), DType.INT4).nbytes == 2
    assert Value("x", (), DType.FLOAT32).nbytes == 4
    assert Value("x", (0, 7), DType.INT64).nbytes == 0


def test_a_node_is_called_after_its_first_output() -> None:
    assert Node("Relu", [], [Value("y", (1,))]).name == "y"
    assert Node("Relu", [], []).name == "Relu"


# -- sizes -----------------------------------------------------------------------------------------


def test_constants_count_as_they_are_stored() -> None:
    graph = parse(
        "x: float32[1, 4] = input()\nw = random(3, 4)\ny = FullyConnected(x, w)\noutput(y)"
    )
    node, weights = graph.nodes[0], by_name(graph)["w"]
    assert (node.constant_bytes, weights.stored_bytes) == (48, 48)
    weights.packed = Packed(np.zeros(5, np.uint8), np.zeros(2, np.uint8))
    assert (node.constant_bytes, weights.nbytes) == (7, 48)
