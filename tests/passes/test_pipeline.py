from equivalence import ops, rewritten

from edgepack.passes.pipeline import canonicalize, optimize

BLOCK = """
x: float32[1, 8, 8, 4] = input()
w = random(4, 3, 3, 4)
wd = random(1, 3, 3, 4)
g = random(4)
v = const([1, 2, 3, 4])
zero = const(0)
six = const(6)
p = Pad(x, pads=((0, 0), (1, 1), (1, 1), (0, 0)))
c = Conv2d(p, w)
n = BatchNorm(c, g, g, g, v)
lo = Maximum(n, zero)
hi = Minimum(lo, six)
d = DepthwiseConv2d(hi, wd, pad=((1, 1), (1, 1)))
m = BatchNorm(d, g, g, g, v)
s = Add(m, hi)
a = AveragePool2d(s, kernel=(8, 8))
r = Reshape(a, shape=(1, 4))
f = random(4, 5)
b = random(5)
z = MatMul(r, f)
y = Add(z, b)
output(y)
"""


def test_a_residual_block_becomes_what_runtimes_run():
    graph = rewritten(BLOCK, optimize, None)
    assert ops(graph) == ["Conv2d", "DepthwiseConv2d", "Add", "ReduceMean", "FullyConnected"]
    assert graph.nodes[0].attrs["activation"] == "relu6"


def test_statistics_outlive_canonicalization():
    graph = rewritten(BLOCK, canonicalize, None)
    assert ops(graph).count("BatchNorm") == 2


def test_nothing_is_left_to_do_the_second_time():
    graph = rewritten(BLOCK, optimize, None)
    assert optimize(graph) == 0
