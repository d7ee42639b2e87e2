"""What the ONNX legalizer leaves: forms that the writer takes, and nothing to do a second time."""

import onnx
import pytest
from equivalence import ops

from edgepack.errors import InternalError
from edgepack.ir.text import parse
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.manager import run_passes
from edgepack.writers.onnx import write_onnx
from tests.op_cases import CASES
from tests.quantized_op_cases import QUANTIZED_CASES

X = "x: float32[2, 3, 4] = input()\n"
FORMS = {
    "atan": (X + "one: float32 = const(1)\ny = Atan2(x, one)\noutput(y)", ["Atan"]),
    "dense of more than rows": (
        X + "w = random(5, 4)\ny = FullyConnected(x, w)\noutput(y)", ["MatMul"],
    ),
    "and its activation": (
        X + "w = random(5, 4)\ny = FullyConnected(x, w, activation='relu')\noutput(y)",
        ["MatMul", "Relu"],
    ),
    "quantized steps in between": (
        "x: int8[4] @ q(0.1, 0) = input()\ny: q(0.1, 0) = SquaredDifference(x, x)\noutput(y)",
        # int8 at the border is uint8 inside
        ["DequantizeLinear", "QuantizeLinear", "DequantizeLinear", "Sub", "Mul", "QuantizeLinear",
         "DequantizeLinear", "QuantizeLinear"],
    ),
    "LRN between convolutions": (
        "x: float32[1, 3, 4, 4] = input()\nw = random(3, 1, 1, 3)\n"
        "a = Conv2d(x, w, layout='NCHW')\nt = Transpose(a, perm=(0, 2, 3, 1))\n"
        "l = Lrn(t, radius=1)\nc = Conv2d(l, w)\ny = Transpose(c, perm=(0, 3, 1, 2))\noutput(y)",
        ["Conv", "LRN", "Conv"],
    ),
}  # fmt: skip
REFUSED = {
    "beta": "y = Softmax(x, beta=2.0)",
    "slopes that broadcast x": "a = random(2, 2, 3, 4)\ny = PRelu(x, a)",
    "an angle": "y = Atan2(x, x)",
    "a remainder": "y = FloorMod(x, x)",
    "symmetric": "y = Pad(x, pads=((0, 0), (1, 1), (0, 0)), mode='symmetric')",
    "last channels": "g = random(4)\ny = BatchNorm(x, g, g, g, g)",
    "rows": "w = random(5, 4)\ny = FullyConnected(x, w)",
    "adjoint": "y = MatMul(x, x, adj_b=True)",
}


@pytest.mark.parametrize("name", FORMS)
def test_takes_the_shortest_form(name):
    text, expected = FORMS[name]
    graph = parse(text)
    legalize_onnx(graph)
    model = onnx.load_from_string(write_onnx(graph))
    assert [n.op_type for n in model.graph.node] == expected


@pytest.mark.parametrize("name", [*CASES, *QUANTIZED_CASES])
def test_a_second_time_finds_nothing(name):
    graph = (CASES.get(name) or QUANTIZED_CASES[name]).graph()
    legalize_onnx(graph)
    before = ops(graph)
    legalize_onnx(graph)
    assert [op for op in ops(graph) if op != "Quantize"] == [
        op for op in before if op != "Quantize"
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_the_writer_refuses_what_is_not_legal(name):
    graph = parse(f"{X}{REFUSED[name]}\noutput(y)")
    with pytest.raises(InternalError, match="not legal in ONNX"):
        write_onnx(graph)


def test_the_checker_names_the_pass_that_broke_the_graph():
    def break_shape(graph):
        graph.outputs[0].shape = (9,)
        return 1

    with pytest.raises(InternalError, match="after break_shape"):
        run_passes(parse(X + "y = Relu(x)\noutput(y)"), (lambda graph: 0, break_shape))
