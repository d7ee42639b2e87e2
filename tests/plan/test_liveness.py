import pytest

from edgepack.ir.text import parse
from edgepack.plan.liveness import lifetimes
from edgepack.plan.schedule import memory_order, peak_live_bytes

CHAIN = """
x: float32[1, 8] = input()
a = Relu(x)
b = Reshape(a, shape=(8,))
c = Tanh(b)
output(c)
"""
BRANCH = """
x: float32[1, 8] = input()
a = Relu(x)
b = Tanh(a)
y = Add(a, b)
output(y)
"""
OUTPUT_READ_LAST = """
x: float32[1, 8] = input()
a = Relu(x)
b = Tanh(a)
output(a, b)
"""
VIEW_OUTLIVES = """
x: float32[1, 8] = input()
v = Reshape(x, shape=(8,))
a = Relu(x)
y = Reshape(a, shape=(8,))
z = Add(v, y)
output(z)
"""
NARROWING = """
x: float32[1, 8] = input()
a = Cast(x, to="int32")
output(a)
"""
BROADCAST = """
x: float32[1, 8] = input()
w: float32[4, 8] = input()
y = Add(x, w)
output(y)
"""
CLAMPED = """
x: float32[1, 8] = input()
y = Relu0To1(x)
output(y)
"""
SOFTMAX = """
x: float32[1, 8] = input()
y = Softmax(x)
output(y)
"""

# graph, buffers as (first value, first step, last step) when values may share memory
SHARED = {
    "a chain of elementwise operators runs in one buffer": (CHAIN, [("x", 0, 3)]),
    "not over a value that is read later": (BRANCH, [("x", 0, 3), ("b", 2, 3)]),
    "not over an output of the graph": (OUTPUT_READ_LAST, [("x", 0, 2), ("b", 2, 2)]),
    "not over a view that is read later": (VIEW_OUTLIVES, [("x", 0, 4), ("a", 2, 4)]),
    "not where the element type changes": (NARROWING, [("x", 0, 1), ("a", 1, 1)]),
    "over the operand of the output's size": (BROADCAST, [("x", 0, 1), ("w", 0, 1)]),
    "over the input of a clamp": (CLAMPED, [("x", 0, 1)]),
    "not where elements mix": (SOFTMAX, [("x", 0, 1), ("y", 1, 1)]),
}


@pytest.mark.parametrize("case", SHARED)
def test_sharing(case):
    text, expected = SHARED[case]
    times = lifetimes(parse(text), share=True)
    found = [(b.name, b.first, b.last) for b in times.buffers]
    assert found == expected


def test_without_sharing_every_value_has_its_buffer():
    times = lifetimes(parse(BRANCH))
    found = {b.name: (b.first, b.last) for b in times.buffers}
    assert found == {"x": (0, 1), "a": (1, 3), "b": (2, 3), "y": (3, 3)}


def test_constants_take_no_arena():
    graph = parse(
        "x: float32[1, 8] = input()\nw = random(4, 8)\ny = FullyConnected(x, w)\noutput(y)"
    )
    assert [b.name for b in lifetimes(graph).buffers] == ["x", "y"]


# Both wide branches first would keep both alive; each should be reduced before the next is made.
WIDE_FIRST = """
x: float32[1, 4] = input()
w1 = random(100, 4)
w2 = random(4, 100)
a = FullyConnected(x, w1)
b = FullyConnected(x, w1)
c = FullyConnected(x, w1)
d = FullyConnected(a, w2)
e = FullyConnected(b, w2)
f = FullyConnected(c, w2)
g = Add(d, e)
h = Add(g, f)
output(h)
"""


def test_memory_order_reduces_each_branch_before_the_next():
    graph = parse(WIDE_FIRST)
    order = memory_order(graph)
    assert sorted(n.name for n in order) == sorted(n.name for n in graph.nodes)
    assert peak_live_bytes(graph) == 4 * (3 * 100 + 4)
    assert peak_live_bytes(graph, order) <= 4 * (100 + 3 * 4)


def test_memory_order_is_topological():
    made = set()
    for node in memory_order(parse(WIDE_FIRST)):
        assert all(v.producer is None or v.producer in made for v in node.present_inputs)
        made.add(node)


def test_memory_order_keeps_a_chain_as_it_is():
    graph = parse(CHAIN)
    assert memory_order(graph) == graph.nodes
