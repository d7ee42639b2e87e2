"""What saturates behind a value gets no steps before it."""

import pytest

from edgepack.calibrate.collect import collect
from edgepack.ir import DType
from edgepack.ir.text import parse
from edgepack.quantize.options import Precision, QuantizeOptions
from edgepack.quantize.plan import plan_quantization
from tests.quantize.test_tails import samples_of

HEAD = """
    x: float32[1, 64] = input()
    k = full(8.0, 1)
    a = Mul(x, k)
"""
CASES = {
    "hard swish": ("y = HardSwish(a)", (-3.0, None)),
    "sigmoid": ("y = Sigmoid(a)", (-6.25, 6.25)),
    "tanh behind a reshape": ("r = Reshape(a, shape=(1, 8, 8))\n    y = Tanh(r)", (-3.125, 3.125)),
    "two readers": ("h = HardSwish(a)\n    t = Tanh(a)\n    y = Add(h, t)", (-3.125, None)),
    "a linear reader as well": ("s = Sigmoid(a)\n    y = Mul(a, s)", (None, None)),
    "the user": ("y = HardSwish(a)\n    z = Add(y, y)\n    output(a)", (None, None)),
}


def span(text, precision=None):
    graph = parse(HEAD + "    " + text + ("" if "output" in text else "\n    output(y)"))
    seen = collect(graph, samples_of(graph))
    options = QuantizeOptions(precision or Precision(), method="min-max")
    plan = plan_quantization(graph, seen, options)
    (value,) = (node.output for node in graph.nodes if node.name == "a")
    storage = plan.stored(value)
    scale, zero = float(storage.params.scale[0]), int(storage.params.zero_point[0])
    low, high = ((limit - zero) * scale for limit in storage.dtype.limits)
    return (low, high), (seen["a"].low, seen["a"].high), scale


@pytest.mark.parametrize("case", CASES)
def test_range_before_what_saturates(case):
    text, bounds = CASES[case]
    found, seen, scale = span(text)
    for limit, bound, extreme in zip(found, bounds, seen, strict=True):
        assert limit == pytest.approx(extreme if bound is None else bound, abs=scale)


def test_sixteen_bits_are_enough_for_all():
    found, seen, scale = span("y = Sigmoid(a)", Precision(DType.INT16, DType.INT8))
    assert found[1] >= max(-seen[0], seen[1]) - scale
