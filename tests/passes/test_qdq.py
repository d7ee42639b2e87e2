import numpy as np
import pytest
from equivalence import inputs_for, ops

from edgepack.ir.text import parse
from edgepack.passes.manager import run_pass, run_to_fixpoint
from edgepack.passes.pipeline import optimize
from edgepack.passes.qdq import (
    cancel_quantize_pairs,
    fold_qdq,
    move_constants_under_dequantize,
    signed_instead_of_unsigned,
)
from edgepack.run.reference import ReferenceRuntime

X = "x: int8[1, 6, 6, 4] @ q(0.05, 3) = input()\nxf = Dequantize(x)\n"
W = "w: int8[4, 3, 3, 4] @ q([0.01, 0.02, 0.01, 0.03], axis=0) = random()\nwf = Dequantize(w)\n"
B = "b: int32[4] @ q([0.0005, 0.001, 0.0005, 0.0015], axis=0) = random()\nbf = Dequantize(b)\n"
Q = "y: q({}) = Quantize(yf, to='int8')\noutput(y)"

CASES = {
    "Conv2d": (X + W + B + "yf = Conv2d(xf, wf, bf)\n" + Q.format("0.2, 0"), 1),
    "Conv2d without a bias": (X + W + "yf = Conv2d(xf, wf)\n" + Q.format("0.2, 0"), 1),
    "Conv2d with a real bias": (
        X + W + "b = random(4)\nyf = Conv2d(xf, wf, b, activation='relu')\n"
        "" + Q.format("0.2, -128"), 1,
    ),
    "Add": (X + "yf = Add(xf, xf)\n" + Q.format("0.1, 2"), 1),
    "MaxPool2d": (X + "yf = MaxPool2d(xf, kernel=(2, 2))\n" + Q.format("0.05, 3"), 1),
    "Sigmoid": (X + "yf = Sigmoid(xf)\n" + Q.format("0.00390625, -128"), 1),
    "parameters that must be shared": (
        X + "yf = MaxPool2d(xf, kernel=(2, 2))\n" + Q.format("0.06, 3"), 1,
    ),
    "Sigmoid with a scale of its own": (X + "yf = Sigmoid(xf)\n" + Q.format("0.01, 0"), 1),
    "Concat of two scales": (
        X + "z: int8[1, 6, 6, 4] @ q(0.02, -8) = input()\nzf = Dequantize(z)\n"
        "yf = Concat(xf, zf, axis=3)\n" + Q.format("0.05, 3"), 1,
    ),
    "declines: no integer form": (X + "yf = Sin(xf)\n" + Q.format("0.01, 0"), 0),
    "declines: a bias of another scale": (
        X + W + B.replace("0.0015", "0.0016") + "yf = Conv2d(xf, wf, bf)\n" + Q.format("0.2, 0"), 0,
    ),
    "declines: asymmetric weights": (
        X + "w: int8[4, 3, 3, 4] @ q(0.01, 5) = random()\nwf = Dequantize(w)\n"
        "yf = Conv2d(xf, wf)\n" + Q.format("0.2, 0"), 0,
    ),
    "declines: a real input": (
        X + "r: float32[4] = input()\nyf = Add(xf, r)\n" + Q.format("0.2, 0"), 0,
    ),
    "declines: the real result is an output": (
        X + "yf = Add(xf, xf)\ny: q(0.1, 2) = Quantize(yf, to='int8')\noutput(y, yf)", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fold_qdq(case):
    text, count = CASES[case]
    graph = parse(text)
    before = ReferenceRuntime(graph.copy())
    assert run_pass(graph, fold_qdq) == count
    assert ("Dequantize" in ops(graph)) == (count == 0)
    assert [v.name for v in graph.outputs][0] == "y"
    arrays = inputs_for(graph)
    want, got = before.run(arrays)[0], ReferenceRuntime(graph).run(arrays)[0]
    # requantized in fixed point instead of real numbers: at most one step apart
    assert np.abs(want.astype(int) - got.astype(int)).max() <= 1


@pytest.mark.parametrize(("parameters", "count"), [("0.05, 3", 1), ("0.05, 4", 0)])
def test_cancel_quantize_pairs(parameters, count):
    text = f"{X}q: q({parameters}) = Quantize(xf, to='int8')\ny = Dequantize(q)\noutput(y)"
    assert run_pass(parse(text), cancel_quantize_pairs) == count


def test_an_integer_input_is_not_made_an_output():
    text = f"{X}y: q(0.05, 3) = Quantize(xf, to='int8')\noutput(y)"
    assert run_pass(parse(text), cancel_quantize_pairs) == 0


def test_weights_move_under_their_dequantize():
    text = "x: float32[4, 4] = input()\nw: int8[2, 3] @ q([0.1, 0.2], axis=0) = random()\n"
    text += "d = Dequantize(w)\nt = Transpose(d, perm=(1, 0))\n"
    text += "r = Reshape(t, shape=(3, 2, 1))\noutput(r)"
    graph = parse(text)
    want = ReferenceRuntime(graph.copy()).run(inputs_for(graph))
    assert run_to_fixpoint(graph, [move_constants_under_dequantize]) == 2
    assert graph.nodes[0].input(0).quant.axis == 1
    np.testing.assert_array_equal(ReferenceRuntime(graph).run(inputs_for(graph))[0], want[0])


def test_a_reshape_that_mixes_channels_stays():
    text = "x: float32[4] = input()\nw: int8[2, 3] @ q([0.1, 0.2], axis=0) = random()\n"
    graph = parse(text + "d = Dequantize(w)\nr = Reshape(d, shape=(6,))\noutput(r)")
    assert run_pass(graph, move_constants_under_dequantize) == 0


def test_a_quantized_graph_stays_integer_throughout():
    text = (
        X + W + B + "c = Conv2d(xf, wf, bf)\nr = Relu(c)\n"
        "q: q(0.2, -128) = Quantize(r, to='int8')\nf = Dequantize(q)\n"
        "m = MaxPool2d(f, kernel=(2, 2))\np: q(0.2, -128) = Quantize(m, to='int8')\n"
        "y = Dequantize(p)\noutput(y)"
    )
    graph = parse(text)
    optimize(graph)
    assert ops(graph) == ["Conv2d", "MaxPool2d", "Dequantize"]


UNSIGNED = """
x: uint8[1, 6, 6, 4] @ q(0.05, 131) = input()
xf = Dequantize(x)
w: int8[4, 3, 3, 4] @ q([0.01, 0.02, 0.01, 0.03], axis=0) = random()
wf = Dequantize(w)
cf = Conv2d(xf, wf)
c: q(0.2, 120) = Quantize(cf, to='uint8')
cr = Dequantize(c)
k: uint8[4] @ q(0.1, 128) = const([1, 128, 200, 255])
kf = Dequantize(k)
yf = Add(cr, kf)
y: q(0.3, 128) = Quantize(yf, to='uint8')
output(y)
"""


def test_unsigned_integers_become_signed_inside():
    graph = parse(UNSIGNED)
    before = ReferenceRuntime(graph.copy())
    optimize(graph)
    assert ops(graph) == ["Quantize", "Conv2d", "Add", "Quantize"]
    assert [str(v.dtype) for v in (graph.inputs[0], graph.outputs[0])] == ["uint8", "uint8"]
    assert {str(n.output.dtype) for n in graph.nodes_of("Conv2d", "Add")} == {"int8"}
    arrays = inputs_for(graph)
    want, got = before.run(arrays)[0], ReferenceRuntime(graph).run(arrays)[0]
    # two operators, each requantized in fixed point: at most one step each
    assert np.abs(want.astype(int) - got.astype(int)).max() <= 2


def test_signed_integers_stay():
    assert run_pass(parse(CASES["Conv2d"][0]), signed_instead_of_unsigned) == 0
