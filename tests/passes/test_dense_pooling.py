import pytest
from equivalence import ops, rewritten

from edgepack.passes.dense import lift_reshape_over_bias, matmul_to_fully_connected
from edgepack.passes.pooling import merge_means, pool_to_mean

HEAD = """
x: float32[2, 6, 4] = input()
m: float32[1, 4, 4, 3] = input()
w = random(4, 5)
wt = random(5, 4)
w3: float32[1, 4, 5] = random()
w2: float32[2, 4, 5] = random()
b = random(5)
d: float32[4, 5] = input()
"""

CASES = {
    "MatMul": (matmul_to_fully_connected, "y = MatMul(x, w)", 1, ["FullyConnected"]),
    "transposed": (
        matmul_to_fully_connected,
        "y = MatMul(x, wt, adj_b=True)",
        1,
        ["FullyConnected"],
    ),
    "batch of one": (matmul_to_fully_connected, "y = MatMul(x, w3)", 1, ["FullyConnected"]),
    "declines: a matrix per batch": (matmul_to_fully_connected, "y = MatMul(x, w2)", 0, ["MatMul"]),
    "declines: both computed": (matmul_to_fully_connected, "y = MatMul(x, d)", 0, ["MatMul"]),
    "declines: left side transposed": (
        matmul_to_fully_connected,
        "v = random(6, 5)\ny = MatMul(x, v, adj_a=True)",
        0,
        ["MatMul"],
    ),
    "bias after a reshape": (
        lift_reshape_over_bias,
        "f = FullyConnected(x, wt)\nr = Reshape(f, shape=(12, 5))\ny = Add(r, b)",
        1,
        ["FullyConnected", "Add", "Reshape"],
    ),
    "declines: channels are reshaped": (
        lift_reshape_over_bias,
        "f = FullyConnected(x, wt)\nr = Reshape(f, shape=(5, 12))\nc = random(12)\ny = Add(r, c)",
        0,
        ["FullyConnected", "Reshape", "Add"],
    ),
    "the whole map": (pool_to_mean, "y = AveragePool2d(m, kernel=(4, 4))", 1, ["ReduceMean"]),
    "declines: part of the map": (
        pool_to_mean,
        "y = AveragePool2d(m, kernel=(4, 3))",
        0,
        ["AveragePool2d"],
    ),
    "declines: padding": (
        pool_to_mean,
        "y = AveragePool2d(m, kernel=(4, 4), pad=((1, 0), (0, 0)))",
        0,
        ["AveragePool2d"],
    ),
    "two means": (
        merge_means,
        "a = ReduceMean(m, axes=(1,), keepdims=True)\ny = ReduceMean(a, axes=(2,), keepdims=True)",
        1,
        ["ReduceMean"],
    ),
    "declines: dropped dimensions": (
        merge_means,
        "a = ReduceMean(m, axes=(1,))\ny = ReduceMean(a, axes=(1,))",
        0,
        ["ReduceMean", "ReduceMean"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_case(case):
    step, body, count, left = CASES[case]
    assert ops(rewritten(HEAD + body + "\noutput(y)", step, count)) == left
