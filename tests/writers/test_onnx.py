"""Every operator through the ONNX writer and ONNX Runtime against the reference kernels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgepack.ir import Array, Graph
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx
from tests.op_cases import CASES


def run_onnx(data: bytes, inputs: list[Array]) -> list[Array]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    feeds = {i.name: a for i, a in zip(session.get_inputs(), inputs, strict=True)}
    return list(session.run(None, feeds))


def exported(graph: Graph, opset: int | None = None) -> bytes:
    legal = graph.copy()
    legalize_onnx(legal)
    return write_onnx(legal, opset)


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_agrees_with_the_reference(name: str) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    data = exported(graph)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    results = run_onnx(data, inputs)
    for want, got in zip(ReferenceRuntime(graph).run(inputs), results, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got, want, rtol=case.rtol, atol=case.atol)
        else:
            np.testing.assert_array_equal(got, want)
