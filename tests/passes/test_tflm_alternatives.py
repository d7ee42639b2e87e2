"""Operator cases legalized for TensorFlow Lite Micro, which lacks many builtins: same numbers."""

from __future__ import annotations

import pytest

from edgepack.ir import DType, Graph, Node
from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.passes.match import supersede
from edgepack.passes.rules import Maker
from edgepack.passes.tflite.rules import ALTERNATIVES
from edgepack.profiles import load_target
from edgepack.run.reference import ReferenceRuntime
from tests.op_cases import CASES

TARGET = load_target("nucleo-l4r5zi")


def supports(builtin: str, dtype: DType) -> bool:
    return TARGET.supports(builtin, str(dtype))


@pytest.mark.parametrize("name", CASES)
def test_legalized_for_tflm_gives_the_same_numbers(name: str) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    want = ReferenceRuntime(case.graph()).run(inputs)
    legalize_tflite(graph, supports)
    case.assert_agree(ReferenceRuntime(graph).run(inputs), want)


def test_an_operator_with_indices_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_row(graph: Graph, node: Node) -> bool:
        make = Maker(graph, node)
        first = {"begin": (0, 0), "size": (1, 4), "stride": (1, 1)}
        supersede(graph, node.output, "Add", [make("Slice", node.input(0), attrs=first)] * 2)
        return True

    monkeypatch.setitem(ALTERNATIVES, "Gather", one_row)
    text = "x: float32[3, 4] = input()\ni: int32[1] = input()\ny = Gather(x, i)\noutput(y)"
    graph = parse(text)
    legalize_tflite(graph, lambda builtin, dtype: builtin != "GATHER")
    assert [node.op for node in graph.nodes] == ["Slice", "Add"]


def test_quantized_operators_are_left_alone() -> None:
    text = (
        "x: int8[3, 4] @ q(0.1, 3) = input()\ny: q(0.1, 3) = Tile(x, multiples=(2, 1))\noutput(y)"
    )
    graph = parse(text)
    legalize_tflite(graph, lambda builtin, dtype: builtin != "TILE")
    assert [node.op for node in graph.nodes] == ["Tile"]
