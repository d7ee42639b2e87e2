import numpy as np
import pytest

from edgepack.api.lower import canonical
from edgepack.calibrate.collect import collect
from edgepack.calibrate.data_free import data_free_statistics
from edgepack.calibrate.synthetic import synthetic_inputs
from edgepack.errors import BadModel
from edgepack.ir.text import parse
from edgepack.passes.legalize_tflite import legalize_tflite

HEAD = """
x: float32[1, 32, 32, 3] = input()
w = random(4, 3, 3, 3)
g = const([0.5, 1.0, 2.0, 3.0])
b = const([-1.0, 0.0, 1.0, 2.0])
m = const([0.1, 0.2, 0.3, 0.4])
v = const([1.0, 2.0, 3.0, 4.0])
"""


def _graph(body: str):
    graph = canonical(parse(f"{HEAD}{body}"))
    legalize_tflite(graph)
    return graph


def test_outputs_of_batchnorm_get_its_moments():
    graph = _graph("c = Conv2d(x, w)\ny = BatchNorm(c, g, b, m, v)\noutput(y)")
    assert [n.op for n in graph.nodes] == ["Conv2d"]
    made = {}
    data_free_statistics(graph, (0, 1), visit=lambda node, arrays: made.update({node.name: arrays}))
    free = data_free_statistics(graph, (0, 1))
    assert free.basis == "synthetic images and BatchNorm statistics"
    assert list(made) == [graph.nodes[0].name]
    # of the last channel, whose mean and five deviations reach farthest
    seen = free.seen[graph.outputs[0].name]
    assert 17 * 0.999 <= seen.high < 17 * 1.5
    assert -13 * 1.5 < seen.low <= -13 * 0.999


@pytest.mark.parametrize(("op", "least", "most"), [("Relu", 17 * 0.999, 26), ("Relu6", 6, 6)])
def test_the_activation_comes_after_what_is_put_right(op, least, most):
    graph = _graph(f"c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\ny = {op}(d)\noutput(y)")
    seen = data_free_statistics(graph, (0, 1)).seen[graph.outputs[0].name]
    assert seen.low == 0
    assert least <= seen.high <= most


def test_what_flows_on_has_been_put_right():
    graph = _graph(
        "c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\nw2 = random(2, 1, 1, 4)\n"
        "y = Conv2d(d, w2)\noutput(y)"
    )
    first, second = graph.nodes
    inputs = {}
    data_free_statistics(graph, (0, 1), visit=lambda n, arrays: inputs.update({n.name: arrays}))
    rows = np.concatenate([a.reshape(-1, 4) for a in inputs[second.name]])
    np.testing.assert_allclose(rows.mean(axis=0), [-1, 0, 1, 2], atol=1e-4)
    np.testing.assert_allclose(rows.std(axis=0), [0.5, 1, 2, 3], rtol=1e-4)


def test_without_batchnorm_it_is_what_synthetic_inputs_show():
    graph = _graph("y = Conv2d(x, w, activation='relu')\noutput(y)")
    free = data_free_statistics(graph, (-1, 1), seed=5)
    seen = collect(graph, synthetic_inputs(graph, (-1, 1), seed=5))
    name = graph.outputs[0].name
    assert free.basis == "synthetic images"
    assert not free.guessed
    np.testing.assert_allclose(free.seen["x"].mean, seen["x"].mean, rtol=1e-6)
    assert free.seen[name].high >= seen[name].high * (1 - 1e-6)
    np.testing.assert_allclose(free.seen[name].sample, seen[name].sample, atol=1e-5)


def test_signals_alone_are_guesses():
    graph = parse("x: float32[1, 16] = input()\nw = random(4, 16)\n"
                  "y = FullyConnected(x, w)\noutput(y)")  # fmt: skip
    free = data_free_statistics(graph, (-1, 1))
    assert free.basis == "synthetic signals"
    assert free.guessed


def test_names_that_no_longer_fit_are_left_alone():
    graph = _graph("c = Conv2d(x, w)\nd = BatchNorm(c, g, b, m, v)\ny = Relu(d)\noutput(y)")
    graph.source.batch_moments = {"y": graph.source.batch_moments["y"]}
    graph.nodes[0].output.name = "other"
    assert data_free_statistics(graph, (0, 1)).basis == "synthetic images"


def test_numbers_without_a_scale_are_refused():
    graph = parse("x: float32[1, 4] = input()\nw = full(1e38, 2, 4)\n"
                  "y = FullyConnected(x, w)\noutput(y)")  # fmt: skip
    with pytest.raises(BadModel, match="no scale"):
        data_free_statistics(graph, (0, 1e5))
