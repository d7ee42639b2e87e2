"""What compares integers beyond 32 bits is right in ONNX Runtime, whose own kernels are not."""

import numpy as np
import pytest
from equivalence import ops

from edgepack.ir.text import parse
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.passes.onnx.wide_integers import compare_wide_integers
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx

CASES = {
    "maximum": "y = Maximum(x, z)",
    "minimum": "y = Minimum(x, z)",
    "maximum with a constant": "c: {0} = const(2147483653)\ny = Maximum(x, c)",
    "minimum with a constant": "c: {0} = const(2147483653)\ny = Minimum(x, c)",
    "clip": "y = Clip(x, min=3.0, max=3000000000.0)",
    "clip from below": "y = Clip(x, min=7.0, max=1e999)",
    "relu": "y = Relu(x)",
    "relu6": "y = Relu6(x)",
    "relu -1 to 1": "y = ReluN1To1(x)",
    "sign": "y = Sign(x)",
    "largest, last axis": "y = ReduceMax(x, axes=(2,), keepdims=False)",
    "largest, inner axis": "y = ReduceMax(x, axes=(1,), keepdims=True)",
    "smallest, two axes": "y = ReduceMin(x, axes=(0, -1), keepdims=False)",
    "smallest of all": "y = ReduceMin(x, axes=(0, 1, 2), keepdims=True)",
    "place of the largest": "y = ArgMax(x, axis=1)",
    "place of the smallest": "y = ArgMin(x, axis=-1)",
    "the five largest": "y, i = TopK(x, k=5)",
    "comparison": "y = LessEqual(x, z)",
}
HEAD = "x: {0}[5, 7, 9] = input()\nz: {0}[7, 9] = input()\n"


def feeds(dtype, seed):
    """Numbers whose high words are often equal, and their low words often beyond 2**31."""
    rng = np.random.default_rng(seed)
    shapes = ((5, 7, 9), (7, 9))
    low = 0 if dtype == "uint32" else -3
    words = [rng.integers(low, 1 if low == 0 else 3, shape, "int64") for shape in shapes]
    return [
        (word * 2**32 + rng.integers(0, 2**32, word.shape, "int64")).astype(dtype) for word in words
    ]


@pytest.mark.parametrize("dtype", ["int64", "uint32"])
@pytest.mark.parametrize("name", CASES)
def test_all_bits_are_compared(name, dtype):
    graph = parse(f"{HEAD}{CASES[name]}\noutput(y)".format(dtype))
    legal = graph.copy()
    legalize_onnx(legal)
    runtime = OrtRuntime(write_onnx(legal))
    for seed in range(3):
        arrays = feeds(dtype, seed)
        np.testing.assert_array_equal(
            runtime.run(arrays)[0], ReferenceRuntime(graph).run(arrays)[0]
        )


@pytest.mark.parametrize("dtype", ["int32", "uint16", "float32"])
@pytest.mark.parametrize("op", ["Maximum(x, z)", "Relu(x)", "Sign(x)", "ReduceMax(x, axes=(1,))"])
def test_declines_what_has_right_kernels(op, dtype):
    graph = parse(f"{HEAD}y = {op}\noutput(y)".format(dtype))
    before = ops(graph)
    assert compare_wide_integers(graph) == 0
    assert ops(graph) == before


def test_declines_a_clip_without_bounds():
    graph = parse(f"{HEAD}y = Clip(x, min=-1e999, max=1e999)\noutput(y)".format("int64"))
    assert compare_wide_integers(graph) == 0
