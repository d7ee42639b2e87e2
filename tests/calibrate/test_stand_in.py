"""The stand-in's outputs are the true graph's put right, and its integers those of the true one."""

import numpy as np
import pytest

from edgepack.calibrate.data_free import data_free_statistics
from edgepack.calibrate.effort import quantize_with_effort
from edgepack.calibrate.stand_in import put_in, stand_in_weights, take_out
from edgepack.calibrate.synthetic import synthetic_inputs
from edgepack.ir import DType
from edgepack.ir.check import check
from edgepack.ir.graph import ChannelMoments
from edgepack.ir.text import parse
from edgepack.quantize.integer import quantize_integer
from edgepack.quantize.layers import nearest_weights
from edgepack.quantize.options import INTEGER_SCHEMES, QuantizeOptions
from edgepack.quantize.plan import plan_quantization
from edgepack.run.observe import Observer

BODY = """
x: float32[1, 32, 32, 3] = input()
w = random(8, 3, 3, 3)
b = random(8)
c = Conv2d(x, w, b, stride=(2, 2), pad=((0, 1), (0, 1)), activation="relu6")
d = random(1, 3, 3, 8)
m = DepthwiseConv2d(c, d, pad=((1, 1), (1, 1)), activation="relu")
p = random(6, 1, 1, 8)
y = Conv2d(m, p)
output(y)"""


def _graph():
    graph = parse(BODY)
    rng = np.random.default_rng(1)
    for node in graph.nodes[:2]:
        size = node.output.shape[-1]
        mean, deviation = rng.normal(0.5, 1, size), rng.uniform(0.5, 2, size)
        graph.source.batch_moments[node.output.name] = ChannelMoments(mean, deviation)
    return graph


def _options(**changed):
    return QuantizeOptions(INTEGER_SCHEMES[changed.pop("scheme", "int8")], **changed)


def _weights(graph):
    return [node.input(1) for node in graph.nodes if node.op.endswith("Conv2d")]


def test_its_values_are_those_that_were_put_right():
    graph, reads = _graph(), {}
    free = data_free_statistics(graph, (-1, 1), visit=lambda n, a: reads.update({n.name: a}))
    assert set(free.corrections) == {node.name for node in graph.nodes[:2]}
    stand_in = graph.copy()
    put_in(stand_in, free.corrections)
    check(stand_in)
    (inputs, *_) = synthetic_inputs(graph, (-1, 1))
    values = dict(Observer(stand_in).run(inputs))
    last = graph.nodes[-1]
    found = values[last.input(0).name]
    np.testing.assert_allclose(found, reads[last.name][0], atol=1e-3)
    before = dict(Observer(graph).run(inputs))[last.input(0).name]
    assert np.abs(found - before).max() > 1


@pytest.mark.parametrize("changed", [{}, {"per_channel": False}, {"scheme": "w4a8"}])
def test_in_and_out_again_changes_nothing(changed):
    real, options = _graph(), _options(**changed)
    free = data_free_statistics(real, (-1, 1))
    direct, around = real.copy(), real.copy()
    for graph, corrections in ((direct, {}), (around, free.corrections)):
        plan = plan_quantization(graph, free.seen, options)
        table = nearest_weights(graph, plan, free.seen, options)
        moved = stand_in_weights(table, real, corrections)
        put_in(graph, corrections)
        quantize_integer(graph, plan, moved, options)
        take_out(graph, real, corrections, table)
        check(graph)
    for one, two in zip(direct.nodes, around.nodes, strict=True):
        if one.op.endswith("Conv2d"):
            assert one.input(1).const.tobytes() == two.input(1).const.tobytes()
            assert one.input(1).quant.axis == two.input(1).quant.axis
            np.testing.assert_allclose(
                one.input(1).quant.scale, two.input(1).quant.scale, rtol=1e-5
            )
            if one.optional(2) is not None:
                scale = two.input(2).quant.scale
                np.testing.assert_allclose(
                    two.input(2).real, one.input(2).real, atol=2 * scale.max()
                )


@pytest.mark.parametrize("effort", [0, 1])
def test_layers_in_float_get_their_weights_back(effort):
    real = _graph()
    name = real.nodes[1].name
    free = data_free_statistics(real, (-1, 1))
    graph = real.copy()
    quantize_with_effort(
        graph, free.seen, _options(layers={name: None}), lambda node, precision: True,
        synthetic_inputs(real, (-1, 1)), effort=effort, corrections=free.corrections,
    )  # fmt: skip
    (node,) = (n for n in graph.nodes if n.name == name)
    np.testing.assert_array_equal(node.input(1).const, real.nodes[1].input(1).const)
    assert node.optional(2) is None


@pytest.mark.parametrize("changed", [{}, {"per_channel": False}, {"scheme": "w4a8"}])
def test_fitted_on_the_stand_in_it_errs_less_on_it(changed):
    """Against the stand-in on inputs that were not used, whose moments are those of training."""
    real, options = _graph(), _options(**changed)
    free = data_free_statistics(real, (-1, 1))
    stand_in = real.copy()
    put_in(stand_in, free.corrections)
    unseen = list(synthetic_inputs(real, (-1, 1), seed=9, count=4))
    errors = []
    for effort in (0, 1):
        graph = real.copy()
        quantize_with_effort(
            graph, free.seen, options, lambda node, precision: True,
            synthetic_inputs(real, (-1, 1)), effort=effort, corrections=free.corrections,
        )  # fmt: skip
        check(graph)
        narrow = options.precision.weights is DType.INT4
        assert all(v.dtype is DType.INT4 for v in _weights(graph)) == narrow
        assert all((v.quant.axis is None) != options.per_channel for v in _weights(graph))
        errors.append(_error_of_weights(graph, stand_in, free.corrections, unseen))
    assert errors[1] < errors[0]


def _error_of_weights(graph, stand_in, corrections, inputs):
    """What rounding the weights adds to the variance of the layers' outputs, inputs being real."""
    error = 0.0
    for node in graph.nodes:
        if node.name not in corrections:
            continue
        (twin,) = (n for n in stand_in.nodes if n.name == node.name)
        real = twin.input(1).const
        gain = corrections[node.name].gain
        shape = [1, 1, 1, -1] if node.op == "DepthwiseConv2d" else [-1, 1, 1, 1]
        probe = stand_in.copy()
        (other,) = (n for n in probe.nodes if n.name == node.name)
        rounded = (node.input(1).real * gain.reshape(shape)).astype(np.float32)
        other.set_input(1, probe.constant(rounded - real))
        other.set_input(2, None)
        other.attrs["activation"] = "none"
        observer = Observer(probe)
        for sample in inputs:
            found = dict(observer.run(sample))[other.output.name]
            error += float(found.var(axis=(0, 1, 2)).sum())
    return error
