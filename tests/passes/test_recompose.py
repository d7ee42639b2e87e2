import pytest
from equivalence import ops, rewritten

from edgepack.passes import recompose_activations as activations
from edgepack.passes import recompose_normalizations as normalizations
from edgepack.passes.manager import run_to_fixpoint
from edgepack.passes.pipeline import optimize

HEAD = """
x: float32[2, 3, 8] = input()
half = const(0.5)
one = const(1)
three = const(3)
six = const(6)
sixth = const(0.16666667)
root = const(0.70710678)
k = const(0.7978845608)
c = const(0.044715)
two = const(2)
tenth = const(0.1)
gamma = random(8)
beta = random(8)
eps = const(1e-5)
"""

HARD_SWISH = {
    "torch": "a = Add(x, three)\nb = Relu6(a)\nc1 = Mul(x, b)\ny = Div(c1, six)",
    "the quotient first": "a = Add(x, three)\nb = Relu6(a)\nc1 = Div(b, six)\ny = Mul(x, c1)",
    "keras": "a = Add(three, x)\nb = Relu6(a)\nc1 = Mul(b, sixth)\ny = Mul(c1, x)",
    "x scaled": "a = Add(x, three)\nb = Relu6(a)\ns = Mul(x, sixth)\ny = Mul(b, s)",
    "hard sigmoid": "a = Mul(x, sixth)\nb = Add(a, half)\nd = Clip(b, min=0.0, max=1.0)\n"
    "y = Mul(x, d)",
    "clip": "a = Add(x, three)\nb = Clip(a, min=0.0, max=6.0)\nd = Div(b, six)\ny = Mul(d, x)",
}
NOT_HARD_SWISH = {
    "another offset": "a = Add(x, two)\nb = Relu6(a)\nc1 = Mul(x, b)\ny = Div(c1, six)",
    "another slope": "a = Add(x, three)\nb = Relu6(a)\nc1 = Mul(x, b)\ny = Div(c1, three)",
    "another reader": "a = Add(x, three)\nb = Relu6(a)\nc1 = Mul(x, b)\nd = Div(c1, six)\n"
    "y = Add(d, b)",
}
GELU = {
    "torch": "a = Mul(x, root)\nb = Erf(a)\nd = Add(b, one)\ne = Mul(x, d)\ny = Mul(e, half)",
    "half first": "h = Mul(x, half)\na = Mul(x, root)\nb = Erf(a)\nd = Add(b, one)\ny = Mul(h, d)",
    "tanh": (
        "p = Mul(x, x)\nq = Mul(p, x)\nr = Mul(q, c)\ns = Add(x, r)\nt = Mul(s, k)\nu = Tanh(t)\n"
        "v = Add(one, u)\nw = Mul(x, v)\ny = Mul(half, w)"
    ),
    "tanh of a power": (
        "q = Pow(x, three)\nr = Mul(q, c)\ns = Add(x, r)\nt = Mul(s, k)\nu = Tanh(t)\n"
        "v = Add(one, u)\nh = Mul(x, half)\ny = Mul(h, v)"
    ),
}
NOT_GELU = {
    "no half": "a = Mul(x, root)\nb = Erf(a)\nd = Add(b, one)\ny = Mul(x, d)",
    "another scale": "a = Mul(x, half)\nb = Erf(a)\nd = Add(b, one)\ne = Mul(x, d)\n"
    "y = Mul(e, half)",
    "erf is read twice": (
        "a = Mul(x, root)\nb = Erf(a)\nd = Add(b, one)\ne = Mul(x, d)\nf = Mul(e, half)\n"
        "y = Add(f, b)"
    ),
}
LEAKY = {
    "maximum": "a = Mul(x, tenth)\ny = Maximum(x, a)",
    "two relus": "p = Relu(x)\nm = Neg(x)\nn = Relu(m)\na = Mul(tenth, n)\ny = Sub(p, a)",
}
NOT_LEAKY = {
    "a steep slope": "a = Mul(x, two)\ny = Maximum(x, a)",
    "another x": "p = Relu(x)\ns = Sigmoid(x)\nm = Neg(s)\nn = Relu(m)\n"
    "a = Mul(tenth, n)\ny = Sub(p, a)",
}


def _cases(step, op, fires, declines):
    yield from (pytest.param(step, op, body, 1, id=f"{op}: {n}") for n, body in fires.items())
    yield from (
        pytest.param(step, op, body, 0, id=f"{op} declines: {n}") for n, body in declines.items()
    )


@pytest.mark.parametrize(
    ("step", "op", "body", "count"),
    [
        *_cases(activations.recompose_hard_swish, "HardSwish", HARD_SWISH, NOT_HARD_SWISH),
        *_cases(activations.recompose_gelu, "Gelu", GELU, NOT_GELU),
        *_cases(activations.recompose_leaky_relu, "LeakyRelu", LEAKY, NOT_LEAKY),
    ],
)
def test_activations(step, op, body, count):
    graph = rewritten(HEAD + body + "\noutput(y)", step, count)
    assert ops(graph).count(op) == count
    assert count == 0 or len(graph) == 1


def test_slopes_per_channel_make_a_prelu():
    body = "p = Relu(x)\nm = Neg(x)\nn = Relu(m)\na = Mul(gamma, n)\ny = Add(p, a)\noutput(y)"
    assert ops(rewritten(HEAD + body, activations.recompose_leaky_relu, 1)) == ["PRelu"]


def test_equal_slopes_make_a_leaky_relu():
    body = "a: float32[8] = full(0.25, 8)\ny = PRelu(x, a)\noutput(y)"
    rewritten(HEAD + body, activations.uniform_prelu_to_leaky_relu, 1)
    rewritten(HEAD + "y = PRelu(x, gamma)\noutput(y)", activations.uniform_prelu_to_leaky_relu, 0)


POWERS = {
    "Square": ("y = Square(x)", 1, "Mul"),
    "Pow 2": ("y = Pow(x, two)", 1, "Mul"),
    "Pow 0.5": ("a = Abs(x)\ny = Pow(a, half)", 1, "Sqrt"),
    "Pow 3": ("y = Pow(x, three)", 1, "Mul"),
    "declines: Pow 0.7": ("p = const(0.7)\na = Abs(x)\ny = Pow(a, p)", 0, "Pow"),
}


@pytest.mark.parametrize("case", POWERS)
def test_simplify_powers(case):
    body, count, op = POWERS[case]
    graph = rewritten(HEAD + body + "\noutput(y)", normalizations.simplify_powers, count)
    assert ops(graph)[-1] == op


DIVISIONS = {
    "a number": ("y = Div(x, three)", 1, "Mul"),
    "a vector": ("g: float32[8] = full(0.25, 8)\ny = Div(x, g, activation='relu')", 1, "Mul"),
    "declines: zero": ("z: float32[8] = const([1, 2, 3, 4, 5, 6, 7, 0])\ny = Div(x, z)", 0, "Div"),
    "declines: no reciprocal": ("z = const(1e-39)\ny = Div(x, z)", 0, "Div"),
    "declines: computed": ("s = Sigmoid(x)\ny = Div(three, s)", 0, "Div"),
}


@pytest.mark.parametrize("case", DIVISIONS)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
def test_divide_by_multiplying(case):
    body, count, op = DIVISIONS[case]
    graph = rewritten(HEAD + body + "\noutput(y)", normalizations.divide_by_multiplying, count)
    assert ops(graph)[-1] == op


SOFTMAX = {
    "plain": ("e = Exp(x)\ns = ReduceSum(e, axes=(-1,), keepdims=True)\ny = Div(e, s)", 1),
    "shifted": (
        "m = ReduceMax(x, axes=(1,), keepdims=True)\nz = Sub(x, m)\ne = Exp(z)\n"
        "s = ReduceSum(e, axes=(1,), keepdims=True)\ny = Div(e, s)",
        1,
    ),
    "declines: two axes": (
        "e = Exp(x)\ns = ReduceSum(e, axes=(1, 2), keepdims=True)\ny = Div(e, s)",
        0,
    ),
    "declines: exp is read again": (
        "e = Exp(x)\ns = ReduceSum(e, axes=(2,), keepdims=True)\nd = Div(e, s)\ny = Mul(d, e)",
        0,
    ),
}


@pytest.mark.parametrize("case", SOFTMAX)
def test_softmax(case):
    body, count = SOFTMAX[case]
    graph = rewritten(HEAD + body + "\noutput(y)", normalizations.recompose_softmax, count)
    assert ("Softmax" in ops(graph)) == bool(count)


MEAN = "m = ReduceMean(x, axes=(2,), keepdims=True)\nd = Sub(x, m)\n"
VAR = "q = Mul(d, d)\nv = ReduceMean(q, axes=(2,), keepdims=True)\nw = Add(v, eps)\n"
TAIL = "n = Mul(d, r)\ng = Mul(n, gamma)\ny = Add(g, beta)"
NORMS = {
    "rsqrt": (MEAN + VAR + "r = Rsqrt(w)\n" + TAIL, ["LayerNorm"]),
    "sqrt": (MEAN + VAR + "r = Sqrt(w)\nn = Div(d, r)\ng = Mul(gamma, n)\ny = Add(g, beta)",
             ["LayerNorm"]),
    "pow": (MEAN + "q = Pow(d, two)\nv = ReduceMean(q, axes=(-1,), keepdims=True)\n"
            "w = Add(v, eps)\nu = Sqrt(w)\nr = Div(one, u)\n" + TAIL, ["LayerNorm"]),
    "squared difference": (
        MEAN + "q = SquaredDifference(x, m)\nv = ReduceMean(q, axes=(2,), keepdims=True)\n"
        "w = Add(v, eps)\nr = Rsqrt(w)\n" + TAIL, ["LayerNorm"]),
    "tensorflow": (
        MEAN.splitlines()[0] + "\nq = SquaredDifference(x, m)\n"
        "v = ReduceMean(q, axes=(2,), keepdims=True)\nw = Add(v, eps)\nr = Rsqrt(w)\n"
        "i = Mul(r, gamma)\na = Mul(x, i)\nb = Mul(m, i)\nd = Sub(beta, b)\ny = Add(a, d)",
        ["LayerNorm"]),
    "without parameters": (MEAN + VAR + "r = Rsqrt(w)\ny = Mul(d, r)", ["LayerNorm"]),
    "rms": ("q = Mul(x, x)\nv = ReduceMean(q, axes=(2,), keepdims=True)\nw = Add(v, eps)\n"
            "r = Rsqrt(w)\nn = Mul(x, r)\ny = Mul(n, gamma)", ["RmsNorm"]),
    "declines: the first dimensions": (
        "q = Mul(x, x)\nv = ReduceMean(q, axes=(1,), keepdims=True)\nw = Add(v, eps)\n"
        "r = Rsqrt(w)\ny = Mul(x, r)", ["Mul", "ReduceMean", "Add", "Rsqrt", "Mul"]),
    "declines: the difference is read again": (
        MEAN + VAR + "r = Rsqrt(w)\nn = Mul(d, r)\ny = Add(n, d)",
        ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Rsqrt", "Mul", "Add"]),
}  # fmt: skip


def recompose(graph):
    steps = (
        normalizations.simplify_powers,
        normalizations.recompose_batch_form,
        normalizations.recompose_norms,
        normalizations.fold_norm_parameters,
    )
    return run_to_fixpoint(graph, steps)


@pytest.mark.parametrize("case", NORMS)
def test_norms(case):
    body, left = NORMS[case]
    graph = rewritten(HEAD + body + "\noutput(y)", recompose, None)
    assert ops(graph) == left


def test_silu_stays_two_cheap_operators():
    body = "s = Sigmoid(x)\ny = Mul(x, s)\noutput(y)"
    assert ops(rewritten(HEAD + body, optimize, 0)) == ["Sigmoid", "Mul"]
