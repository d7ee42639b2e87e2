"""Every row of the op table has a kernel, a form in each format, and cases for its attributes."""

from __future__ import annotations

import pytest

import edgepack.kernels  # noqa: F401  (importing registers)
from edgepack.ir import OPS, Graph
from edgepack.ir.ops import REQUIRED
from edgepack.kernels.registry import QUANTIZED, REAL
from edgepack.passes import layout_rules
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.writers.onnx import write_onnx
from edgepack.writers.onnx.builder import lowers as onnx_lowers
from edgepack.writers.tflite import write_tflite
from edgepack.writers.tflite.builder import lowers
from tests.op_cases import CASES
from tests.quantized_op_cases import QUANTIZED_CASES

# Attributes that the cases leave at their default: where they are tested instead, or why not.
ELSEWHERE = {
    "layout": "tests/kernels, and the tests of the layout pass",
    "intermediates": "the quantized cases",
    "Lstm.proj_clip": "only files that are read as TFLite have projections",
    "Lstm.activation": "kernels take none but tanh",
    "Dequantize.to": "nothing asks for another type yet",
}

# Operators that never reach the ONNX writer.
NOT_IN_ONNX = {
    "Bitcast": "made by the legalization for TFLite alone",
    "Svdf": "one step of a stream: without the state that the runtime keeps it means nothing",
}

# Operators without a rule in passes/layout_rules.py: transposes beside them stay, and why.
DOES_NOT_COMMUTE = {
    **dict.fromkeys(
        ["Conv2d", "DepthwiseConv2d", "ConvTranspose2d", "Conv3d", "ConvTranspose3d"]
        + ["MaxPool2d", "AveragePool2d", "ResizeNearest", "ResizeBilinear", "DepthToSpace"]
        + ["SpaceToDepth", "SpaceToBatch", "BatchToSpace", "Lrn"],
        "spatial: its layout is what the transposes are for",
    ),
    "Transpose": "it is what moves",
    **dict.fromkeys(
        ["GatherNd", "ScatterNd", "DynamicUpdateSlice"],
        "index tuples name the dimensions in their order",
    ),
    "OneHot": "its input has one dimension less, and it stands at a model's beginning",
    **dict.fromkeys(["Lstm", "Svdf"], "each dimension has a meaning of its own"),
}


def graphs(op: str) -> list[Graph]:
    """The cases whose name begins with the operator's, of which there must be some."""
    cases = [case.graph() for name, case in CASES.items() if name.split("/")[0] == op.lower()]
    quantized = QUANTIZED_CASES.items()
    cases = cases or [case.graph() for name, case in quantized if name.split("/")[0] == op.lower()]
    assert cases, f"add a case whose name begins with {op.lower()}/ to tests/op_cases.py"
    return cases


@pytest.mark.parametrize("op", OPS)
def test_has_a_reference_kernel(op: str) -> None:
    assert op in REAL or op in QUANTIZED, (
        f'write a kernel under @real("{op}") (and @quantized("{op}") for integers) in kernels/, in '
        "a module that kernels/__init__.py imports"
    )


@pytest.mark.parametrize("op", OPS)
def test_has_cases(op: str) -> None:
    found = any(node.op == op for graph in graphs(op) for node in graph.nodes)
    assert found, f"no case named {op.lower()}/... in tests/op_cases.py has a node {op}"


@pytest.mark.parametrize("op", OPS)
def test_every_attribute_takes_another_value_than_its_default(op: str) -> None:
    nodes = [node for graph in graphs(op) for node in graph.nodes if node.op == op]
    for attribute, default in OPS[op].attrs.items():
        if default is not REQUIRED and not {attribute, f"{op}.{attribute}"} & set(ELSEWHERE):
            assert any(node.attrs[attribute] != default for node in nodes), (
                f"add a case {op.lower()}/... to tests/op_cases.py in which {attribute} is not "
                f"{default!r}, or say in ELSEWHERE where that is tested"
            )


@pytest.mark.parametrize("op", OPS)
def test_has_a_tflite_form(op: str) -> None:
    for graph in graphs(op):
        legalize_tflite(graph)
        missing = lowers.missing(graph.nodes)
        assert not missing, (
            f'write a lowering under @lowers("{op}") in writers/tflite/, or spell {op} out in '
            f"passes/tflite/: {missing}"
        )
        assert write_tflite(graph)


@pytest.mark.parametrize("op", [op for op in OPS if op not in NOT_IN_ONNX])
def test_has_an_onnx_form(op: str) -> None:
    for graph in graphs(op):
        legalize_onnx(graph)
        missing = onnx_lowers.missing(graph.nodes)
        assert not missing, (
            f'write a lowering under @lowers("{op}") in writers/onnx/, spell {op} out in '
            f"passes/onnx/, or say in NOT_IN_ONNX why it never gets there: {missing}"
        )
        assert write_onnx(graph)


def test_every_kernel_and_case_is_of_an_operator() -> None:
    assert set(REAL) | set(QUANTIZED) | set(lowers.table) <= set(OPS)
    known = {op.lower() for op in OPS}
    assert {name.split("/")[0] for name in [*CASES, *QUANTIZED_CASES]} <= known


@pytest.mark.parametrize("op", OPS)
def test_is_documented_in_one_line(op: str) -> None:
    row = OPS[op]
    assert row.doc
    assert "\n" not in row.doc
    assert row.min_inputs <= (row.max_inputs or row.min_inputs)


@pytest.mark.parametrize("op", OPS)
def test_commutes_with_transposes_or_says_why_not(op: str) -> None:
    assert (op in layout_rules.RULES) != (op in DOES_NOT_COMMUTE), (
        f"{op}: give its row a kind, add a rule to passes/layout_rules.py, or a reason "
        "to DOES_NOT_COMMUTE (and not both)"
    )


@pytest.mark.parametrize("op", [op for op, row in OPS.items() if row.elementwise])
def test_elementwise_operators_have_the_elementwise_rule(op: str) -> None:
    assert layout_rules.RULES[op] is layout_rules.elementwise, f"{op} has a second rule"
