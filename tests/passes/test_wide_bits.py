import numpy as np
import pytest
from equivalence import ops

from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite

TWO = "x: {0}[200] = input()\nz: {0}[200] = input()\ny = {1}(x, z)\noutput(y)"


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("op", ["BitwiseXor", "RightShift"])
def test_all_64_bits_count(op, dtype):
    graph = parse(TWO.format(dtype, op))
    rng = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    a = rng.integers(limits.min, limits.max, 200, dtype, endpoint=True)
    b = rng.integers(limits.min, limits.max, 200, dtype, endpoint=True)
    if op == "RightShift":
        b = np.resize(np.arange(65), 200).astype(dtype)
        if dtype == "uint64":
            b[-1] = limits.max
    want = ReferenceRuntime(graph.copy()).run([a, b])[0]
    legalize_tflite(graph)
    np.testing.assert_array_equal(LiteRTRuntime(write_tflite(graph)).run([a, b])[0], want)


MANY = """
x: uint64[200] = input()
z: uint64[200] = input()
p = RightShift(x, z)
q = Add(p, z)
o = BitwiseXor(p, z)
r = Sub(q, o)
m = Mul(p, q)
y = Add(r, m)
output(y)
"""


def test_results_that_other_operators_compute_with():
    graph = parse(MANY)
    rng = np.random.default_rng(0)
    a = rng.integers(0, 1 << 64, 200, "uint64")
    b = rng.integers(0, 64, 200, "uint64")
    want = ReferenceRuntime(graph.copy()).run([a, b])[0]
    legalize_tflite(graph)
    bitcasts = graph.nodes_of("Bitcast")
    assert not {n.input(0).producer for n in bitcasts} & set(bitcasts)
    np.testing.assert_array_equal(LiteRTRuntime(write_tflite(graph)).run([a, b])[0], want)


def test_numbers_that_fit_are_only_cast():
    graph = parse(
        "a: int32[8] = input()\nb = Cast(a, to='int64')\nc = const([7, -9])\n"
        "d = Tile(c, multiples=(4,))\ny = BitwiseXor(b, d)\noutput(y)"
    )
    legalize_tflite(graph)
    assert "FloorMod" not in ops(graph)
