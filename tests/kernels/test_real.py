"""Reference kernels of real numbers: dtypes, layouts, and oracles outside LiteRT."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgepack import kernels
from edgepack.errors import Unsupported
from edgepack.ir import Array, DType, Graph
from edgepack.ir.text import parse
from edgepack.kernels.activation import erf
from edgepack.kernels.call import is_real
from edgepack.kernels.registry import REAL, real
from edgepack.run.reference import ReferenceRuntime
from tests.op_cases import CASES, HYBRID_CASES

FLOAT = [name for name, case in CASES.items() if "float16" not in case.text]


def run(text: str, *inputs: Array) -> list[Array]:
    return ReferenceRuntime(parse(text)).run(list(inputs))


def raw(graph: Graph, inputs: list[Array]) -> list[Array]:
    """What the last node's kernel itself returns, before `call` casts it."""
    node = graph.nodes[-1]
    feeds = {v.name: array for v, array in zip(graph.inputs, inputs, strict=True)}
    arrays = [None if v is None else v.const if v.is_const else feeds[v.name] for v in node.inputs]
    with np.errstate(all="ignore"):
        result = REAL[node.op](node, *arrays)
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize(
    "name", [n for n in FLOAT if "float32[" in CASES[n].text and len(CASES[n].graph().nodes) == 1]
)
def test_float32_stays_float32(name: str) -> None:
    graph = CASES[name].graph()
    results = raw(graph, CASES[name].inputs())
    for array, value in zip(results, graph.nodes[-1].outputs, strict=True):
        if value.dtype is DType.FLOAT32 and graph.nodes[-1].op != "Cast":
            assert array.dtype == np.float32


@pytest.mark.parametrize("name", CASES)
def test_results_have_the_declared_shape_and_dtype(name: str) -> None:
    graph = CASES[name].graph()
    results = ReferenceRuntime(graph).run(CASES[name].inputs())
    for array, value in zip(results, graph.outputs, strict=True):
        assert (array.shape, array.dtype) == (value.shape, value.dtype.numpy)


@pytest.mark.parametrize("name", CASES)
def test_kernels_leave_their_inputs_as_they_were(name: str) -> None:
    inputs = CASES[name].inputs()
    for array in inputs:
        array.flags.writeable = False
    ReferenceRuntime(CASES[name].graph()).run(inputs)


# -- oracles ---------------------------------------------------------------------------------------


def test_erf_is_that_of_the_standard_library_to_the_last_digits() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), [0.0, 1e-9, -1e-30, 100, np.inf, -np.inf]])
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=1e-14, atol=0)
    assert erf(x.astype(np.float32)).dtype == np.float32


def test_erf_of_nan_is_nan() -> None:
    assert np.isnan(erf(np.array([np.nan]))).all()


@pytest.mark.parametrize(
    ("options", "pads"),
    [
        ({"stride": (2, 1), "padding": (1, 0)}, ((1, 1), (0, 0))),
        ({"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)}, ((2, 2), (1, 1))),
        ({"groups": 2, "padding": 1}, ((1, 1), (1, 1))),
    ],
)
def test_convolution_is_torchs(options: dict[str, object], pads: object) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    groups = options.get("groups", 1)
    x = rng.standard_normal((2, 9, 8, 4)).astype(np.float32)
    attrs = {k: v for k, v in options.items() if k != "padding"}
    graph = Graph()
    value = graph.add_input("x", x.shape)
    w = rng.standard_normal((6, 3, 2, 4 // int(str(groups)))).astype(np.float32)
    graph.outputs = [graph.add("Conv2d", [value, graph.constant(w)], {**attrs, "pad": pads})]
    want = torch.nn.functional.conv2d(
        torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(w.transpose(0, 3, 1, 2)), **options
    )
    (got,) = ReferenceRuntime(graph).run([x])
    # sums of up to 24 products of standard normals, added up in another order
    np.testing.assert_allclose(got.transpose(0, 3, 1, 2), want.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dims", [2, 3])
def test_transposed_convolution_is_torchs(dims: int, groups: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1, *(4, 5, 3)[:dims], 4)).astype(np.float32)
    w = rng.standard_normal((6, *(3, 2, 3)[:dims], 4 // groups)).astype(np.float32)
    graph = Graph()
    value = graph.add_input("x", x.shape)
    attrs = {
        "stride": (2, 3, 2)[:dims], "dilation": (1, 2, 1)[:dims], "groups": groups,
        "pad": ((1, 1), (0, 0), (1, 1))[:dims], "output_pad": (1, 2, 1)[:dims],
    }  # fmt: skip
    op = f"ConvTranspose{dims}d"
    graph.outputs = [graph.add(op, [value, graph.constant(w)], attrs)]
    by_group = np.concatenate([np.moveaxis(p, (-1, 0), (0, 1)) for p in np.split(w, groups)])
    want = getattr(torch.nn.functional, f"conv_transpose{dims}d")(
        torch.tensor(np.moveaxis(x, -1, 1)), torch.tensor(by_group), stride=attrs["stride"],
        padding=(1, 0, 1)[:dims], output_padding=attrs["output_pad"], groups=groups,
        dilation=attrs["dilation"],
    )  # fmt: skip
    (got,) = ReferenceRuntime(graph).run([x])
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), want.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_is_torchs(approximate: bool) -> None:
    torch = pytest.importorskip("torch")
    x = np.linspace(-6, 6, 999, dtype=np.float32)
    text = f"x: float32[999] = input()\ny = Gelu(x, approximate={approximate})\noutput(y)"
    spelling = "tanh" if approximate else "none"
    want = torch.nn.functional.gelu(torch.tensor(x), approximate=spelling).numpy()
    # 1 + erf(x) loses digits where erf(x) is near -1: an absolute error, not a relative one
    np.testing.assert_allclose(run(text, x)[0], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "torch_name", "axis", "shape"),
    [("LayerNorm", "layer_norm", -1, (8,)), ("LayerNorm", "layer_norm", 1, (3, 8)),
     ("RmsNorm", "rms_norm", -1, (8,))],
)  # fmt: skip
def test_normalization_is_torchs(op: str, torch_name: str, axis: int, shape: object) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).standard_normal((2, 3, 8)).astype(np.float32)
    text = f"x: float32[2, 3, 8] = input()\ny = {op}(x, axis={axis}, eps=0.01)\noutput(y)"
    want = getattr(torch.nn.functional, torch_name)(torch.tensor(x), shape, eps=0.01).numpy()
    np.testing.assert_allclose(run(text, x)[0], want, rtol=1e-5, atol=1e-5)


# -- layouts ---------------------------------------------------------------------------------------

SPATIAL = {
    "Conv2d(x, w, pad=((1, 0), (0, 2)), stride=(2, 1)": "4, 3, 3, 6",
    "DepthwiseConv2d(x, w, dilation=(2, 1)": "1, 3, 3, 12",
    "ConvTranspose2d(x, w, stride=(2, 2), pad=((1, 0), (0, 1))": "4, 3, 3, 6",
    "MaxPool2d(x, kernel=(2, 3), pad=((1, 0), (0, 0))": "",
    "AveragePool2d(x, kernel=(3, 3), pad=((1, 1), (1, 1))": "",
    "ResizeBilinear(x, size=(9, 4), half_pixel=True": "",
    "ResizeNearest(x, size=(9, 4)": "",
}


@pytest.mark.parametrize("call", SPATIAL, ids=lambda call: call.split("(")[0])
def test_channels_first_is_channels_last_turned(call: str) -> None:
    x = np.random.default_rng(4).standard_normal((2, 7, 5, 6)).astype(np.float32)
    weights = f"w = random({SPATIAL[call]})\n" if SPATIAL[call] else ""
    last = f"x: float32[2, 7, 5, 6] = input()\n{weights}y = {call})\noutput(y)"
    first = f"x: float32[2, 6, 7, 5] = input()\n{weights}y = {call}, layout='NCHW')\noutput(y)"
    turned = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(run(first, turned)[0].transpose(0, 2, 3, 1), run(last, x)[0])


# -- edges -----------------------------------------------------------------------------------------


def test_arithmetic_follows_ieee_754_without_warnings() -> None:
    text = "a: float32[3] = input()\nb: float32[3] = input()\ny = Div(a, b)\noutput(y)"
    one = np.array([1, -1, 0], np.float32)
    np.testing.assert_array_equal(run(text, one, 0 * abs(one))[0], [np.inf, -np.inf, np.nan])


def test_sigmoid_does_not_overflow() -> None:
    x = np.array([-1000, -90, 0, 90, 1000], np.float32)
    y = run("x: float32[5] = input()\ny = Sigmoid(x)\noutput(y)", x)[0]
    np.testing.assert_allclose(y, [0, 0, 0.5, 1, 1], atol=1e-30)


def test_padding_never_wins_a_maximum_of_whole_numbers() -> None:
    text = ("x: int8[1, 2, 2, 1] = input()\n"
            "y = MaxPool2d(x, kernel=(2, 2), pad=((1, 1), (1, 1)))\noutput(y)")  # fmt: skip
    assert (run(text, np.full((1, 2, 2, 1), -100, np.int8))[0] == -100).all()


def test_padding_of_quantized_values_is_the_zero_point() -> None:
    text = ("x: int8[2] @ q(0.5, -3) = input()\n"
            "y: q(0.5, -3) = Pad(x, pads=((1, 1),), value=1.0)\noutput(y)")  # fmt: skip
    np.testing.assert_array_equal(run(text, np.zeros(2, np.int8))[0], [-1, 0, 0, -1])


@pytest.mark.parametrize("name", HYBRID_CASES)
def test_stored_weights_count_as_the_numbers_they_stand_for(name: str) -> None:
    graph = HYBRID_CASES[name].graph()
    inputs = HYBRID_CASES[name].inputs()
    assert is_real(graph.nodes[0])
    (got,) = ReferenceRuntime(graph).run(inputs)
    node = graph.nodes[0]
    node.set_input(1, graph.constant(node.input(1).real, "wide"))
    np.testing.assert_array_equal(got, ReferenceRuntime(graph).run(inputs)[0])


def test_a_quantized_activation_makes_a_node_quantized() -> None:
    graph = parse("x: int8[4] @ q(0.5, 0) = input()\ny: q(0.5, 0) = Reshape(x, shape=(2, 2))\n"
                  "output(y)")  # fmt: skip
    assert not is_real(graph.nodes[0])
    assert kernels.find(graph.nodes[0]) is REAL["Reshape"]


def test_a_missing_kernel_is_reported_with_the_nodes_name(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = parse("x: float32[4] = input()\ny = Erf(x)\noutput(y)")
    monkeypatch.delitem(REAL, "Erf")
    with pytest.raises(Unsupported, match="Erf float32 at y: no kernel"):
        kernels.call(graph.nodes[0], [np.zeros(4, np.float32)])


def test_one_operator_has_one_kernel() -> None:
    with pytest.raises(Exception, match="Relu has two reference kernels"):
        real("Relu")(lambda node, x: x)
