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


def test_every_value_has_its_buffer():
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
