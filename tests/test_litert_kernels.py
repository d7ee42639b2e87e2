"""The list of LiteRT's quantized kernels against the runtime: each operator case in each scheme."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.calibrate.collect import collect
from edgepack.ir import DType, Graph, row
from edgepack.passes.layout import to_layout
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.profiles import load_runtime
from edgepack.quantize.integer import quantize_nearest
from edgepack.quantize.options import INTEGER_SCHEMES, QuantizeOptions
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite
from edgepack.writers.tflite.names import builtins_of
from tests.op_cases import CASES

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
# Listed for the sake of what the cases have not, or made by the quantizer itself.
UNTRIED = {"SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "QUANTIZE", "DEQUANTIZE"}
STEPS = 2  # of the reference kernels; a wrong kernel is thousands away


def legalized(name: str) -> Graph | None:
    """The case as LiteRT takes it; None unless it is one quantizable operator of real numbers."""
    graph = CASES[name].graph()
    rules = {row(node.op).quant.output for node in graph.nodes}
    if rules & {"float", "integer"} or not any(v.dtype is DType.FLOAT32 for v in graph.inputs):
        return None
    to_layout(graph, "NHWC")
    legalize_tflite(graph)
    given = [a.shape for a in CASES[name].inputs()]
    same = given == [v.shape for v in graph.inputs]
    return graph if same and all(v.size for v in graph.inputs) else None


def single_builtins() -> dict[str, str]:
    """A case for each builtin that one alone becomes."""
    found: dict[str, str] = {}
    for name in CASES:
        graph = legalized(name)
        if graph is not None and len(graph.nodes) == 1 and graph.inputs[0].rank:
            for builtin in builtins_of(graph.nodes[0]):
                found.setdefault(builtin, name)
    return found


SINGLE = single_builtins()


def agrees(name: str, scheme: str) -> bool:
    """Whether LiteRT's default kernels run the quantized case as the reference kernels do."""
    graph = legalized(name)
    assert graph is not None
    inputs = CASES[name].inputs()
    seen = collect(graph, [inputs])
    options = QuantizeOptions(precision=INTEGER_SCHEMES[scheme])
    if not quantize_nearest(graph, seen, options).precision:
        return False
    fed = [
        v.quant.quantize(a, v.dtype) if v.quant else a
        for v, a in zip(graph.inputs, inputs, strict=True)
    ]
    try:
        got = LiteRTRuntime(write_tflite(graph)).run(fed)
        want = ReferenceRuntime(graph).run(fed)
    except Exception:  # whatever a runtime throws when it lacks a kernel
        return False
    return all(
        np.abs(g.astype(np.float64) - w.astype(np.float64)).max(initial=0) <= STEPS
        for g, w in zip(got, want, strict=True)
    )


@pytest.mark.parametrize("builtin", sorted(SINGLE))
def test_the_list_says_what_litert_runs(builtin: str) -> None:
    listed = (load_runtime("litert").narrow or {}).get(builtin, frozenset())
    uniform = [s for s in INTEGER_SCHEMES if s != "mixed"]  # which mixes the kernels of the others
    schemes = [s for s in uniform if s != "w4a8" or builtin in WEIGHTED]
    assert [s for s in schemes if agrees(SINGLE[builtin], s)] == [s for s in schemes if s in listed]


def test_nothing_is_listed_untried() -> None:
    comparisons = {"EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"}
    searches = {"ARG_MAX", "ARG_MIN"}  # with the comparisons: in tests/kernels
    listed = set(load_runtime("litert").narrow or {})
    assert listed - set(SINGLE) <= UNTRIED | comparisons | searches
