import numpy as np
import pytest

from edgepack.api.lower import canonical
from edgepack.ir.text import parse
from edgepack.quantize.moments import batch_moments

HEAD = """
x: float32[1, 8, 8, 3] = input()
w = random(2, 3, 3, 3)
g = const([-0.5, 2.0])
b = const([1.0, -3.0])
m = const([0.1, 0.2])
v = const([1.0, 2.0])
"""

NAMES = {
    "alone": ("c = Conv2d(x, w)\ny = BatchNorm(c, g, b, m, v)", {"y"}),
    "before an activation": (
        "c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\ny = Relu6(d)",
        {"d", "y"},
    ),
    "before one that is not fused": (
        "c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\ny = HardSwish(d)",
        {"d"},
    ),
    "read twice": (
        "c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\ne = Relu(d)\ny = Add(d, e)",
        {"d"},
    ),
    "declines: gamma is computed": (
        "c = Conv2d(x, w)\nh = Add(g, k)\ny = BatchNorm(c, h, b, m, v)",
        set(),
    ),
    "declines: another axis": (
        "i: float32[1, 2, 8, 8] = input()\ny = BatchNorm(i, g, b, m, v, axis=1)",
        set(),
    ),
    "none there": ("y = Conv2d(x, w)", set()),
}


@pytest.mark.parametrize(("body", "names"), NAMES.values(), ids=NAMES.keys())
def test_moments_by_name(body, names):
    inputs = "k: float32[2] = input()\n" if "k)" in body else ""
    found = batch_moments(parse(f"{HEAD}{inputs}{body}\noutput(y)"))
    assert set(found) == names
    for moments in found.values():
        np.testing.assert_array_equal(moments.mean, [1, -3])
        np.testing.assert_array_equal(moments.deviation, [0.5, 2])


def test_they_outlive_fusing_and_copying():
    body = "c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\ny = Relu(d)\noutput(y)"
    graph = canonical(parse(f"{HEAD}{body}")).copy()
    (node,) = graph.nodes
    assert node.attrs["activation"] == "relu"
    assert graph.source.batch_moments[node.output.name].mean.tolist() == [1, -3]
