"""Every operator through the ONNX writer and ONNX Runtime against the reference kernels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgepack.errors import InternalError, Unsupported
from edgepack.ir import Array, Graph
from edgepack.ir.text import parse
from edgepack.passes.layout import to_layout
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx
from tests.op_cases import CASES
from tests.passes.layout_nets import NETS
from tests.passes.test_layout import inputs_of


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
    case.assert_agree(run_onnx(data, inputs), ReferenceRuntime(graph).run(inputs))


def _version(text: str, opset: int | None = None) -> tuple[int, int]:
    model = onnx.load_from_string(exported(parse(text), opset))
    return model.opset_import[0].version, model.ir_version


def test_the_lowest_operator_set_that_suits_is_taken() -> None:
    head = "x: float32[1, 8] = input()\n"
    assert _version(f"{head}y = Relu(x)\noutput(y)") == (13, 7)
    assert _version(f"{head}y = HardSwish(x)\noutput(y)") == (14, 7)
    assert _version(f"{head}y = LayerNorm(x)\noutput(y)") == (17, 8)
    assert _version(f"{head}y = Relu(x)\noutput(y)", 18) == (18, 8)


@pytest.mark.parametrize("opset", [17, 18, 20, 21])
@pytest.mark.parametrize(
    "name", ["reducemean/last", "gelu/exact", "gelu/approximate", "rmsnorm/last", "pad/edge"]
)
def test_higher_operator_sets_give_the_same(name: str, opset: int) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    (want,), (got,) = ReferenceRuntime(graph).run(inputs), run_onnx(exported(graph, opset), inputs)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def assert_near(got: Array, want: Array, quantized: bool) -> None:
    """Equal, but for rounding: of sums in float, and by one step where values are quantized.

    ONNX Runtime scales sums of products by a float32, the reference by a fixed-point number: what
    lies halfway between two steps may go to either. Other integers and bools are never rounded.
    """
    tolerance = float(quantized)
    if want.dtype.kind == "f":
        tolerance = 1e-4 * (1 + np.abs(want).max())
    assert got.dtype == want.dtype
    np.testing.assert_allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.int8])
def test_one_step_of_what_is_not_quantized_is_a_difference(dtype: type[np.generic]) -> None:
    zeros, ones = np.zeros(3, dtype), np.ones(3, dtype)
    assert_near(zeros, zeros, quantized=False)
    with pytest.raises(AssertionError):
        assert_near(zeros, ones, quantized=False)


@pytest.mark.parametrize("name", NETS)
def test_networks_have_no_transposes_inside(name: str) -> None:
    build, allowed = NETS[name]
    graph = build()
    expected = ReferenceRuntime(graph).run(feeds := inputs_of(graph))
    to_layout(graph, "NHWC")
    data = exported(graph)
    model = onnx.load_from_string(data)
    assert sum(n.op_type == "Transpose" for n in model.graph.node) == allowed
    results = run_onnx(data, feeds)
    for value, want, got in zip(graph.outputs, expected, results, strict=True):
        assert_near(got, want, value.quant is not None)


def test_equal_graphs_give_equal_bytes() -> None:
    assert exported(NETS["unet"][0]()) == exported(NETS["unet"][0]())


def test_inputs_and_constants_may_be_outputs() -> None:
    graph = parse("x: float32[2] = input()\nc = const([1, 2])\ny = Add(x, c)\noutput(y, x, c, y)")
    x = np.array([3, 4], np.float32)
    results = run_onnx(exported(graph), [x])
    expected = [x + [1, 2], x, np.array([1, 2]), x + [1, 2]]
    for want, got in zip(expected, results, strict=True):
        np.testing.assert_array_equal(got, want)


def test_half_precision() -> None:
    graph = parse(
        "x: float16[1, 4, 4, 2] = input()\nw: float16[3, 1, 1, 2] = random()\n"
        "y = Conv2d(x, w, activation='relu6')\noutput(y)"
    )
    x = np.random.default_rng(0).standard_normal((1, 4, 4, 2)).astype(np.float16)
    (want,), (got,) = ReferenceRuntime(graph).run([x]), run_onnx(exported(graph), [x])
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3)  # eleven bits


def test_a_graph_that_is_not_legalized_is_refused() -> None:
    graph = parse("x: float32[1, 4, 4, 2] = input()\ny = MaxPool2d(x, kernel=(2, 2))\noutput(y)")
    with pytest.raises(InternalError, match="not in NCHW"):
        write_onnx(graph)


def test_bits_of_real_numbers_have_no_form() -> None:
    graph = parse("x: float32[4] = input()\ny = Bitcast(x, to='int32')\noutput(y)")
    with pytest.raises(Unsupported, match="Bitcast int32 at y"):
        write_onnx(graph)
