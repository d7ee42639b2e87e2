"""Layers and operators of the TensorFlow reader: the IR computes what Keras computes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from edgepack.readers.tensorflow.session import quiet_tensorflow  # noqa: E402

with quiet_tensorflow():
    import keras

    from tests.readers.tensorflow_cases import CASES

from edgepack.ir.check import check  # noqa: E402
from edgepack.readers.tensorflow import read_keras_model  # noqa: E402
from edgepack.run.reference import ReferenceRuntime  # noqa: E402


def randomized(model):
    """Weights, biases and statistics that are neither 0 nor 1."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        low, high = (0.5, 2) if "variance" in variable.path else (-0.5, 0.5)
        variable.assign(rng.uniform(low, high, variable.shape).astype(np.float32))
    return model


@pytest.mark.parametrize("name", CASES)
def test_reference_agrees_with_keras(name):
    rng = np.random.default_rng(0)
    with quiet_tensorflow():
        model = randomized(CASES[name]())
    graph = read_keras_model(model)
    check(graph)
    feeds = {v.name: rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs}
    arguments = list(feeds.values())
    if isinstance(model._inputs_struct, dict):
        arguments = feeds
    elif len(arguments) == 1 and not isinstance(model._inputs_struct, list):
        arguments = arguments[0]
    expected = keras.tree.flatten(model(arguments, training=False))
    results = ReferenceRuntime(graph).run(list(feeds.values()))
    assert len(results) == len(expected)
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("batch norm")])
def test_batchnorm_keeps_its_statistics(name):
    with quiet_tensorflow():
        model = randomized(CASES[name]())
    (node,) = read_keras_model(model).nodes
    assert node.op == "BatchNorm"
    moving = next(w for w in model.weights if "moving_variance" in w.path)
    np.testing.assert_array_equal(node.input(4).const, moving.numpy())


@pytest.mark.parametrize("name", ["conv dilated", "conv dilated, valid", "depthwise dilated"])
def test_dilation_is_no_rearrangement(name):
    with quiet_tensorflow():
        graph = read_keras_model(CASES[name]())
    assert [n.op for n in graph.nodes][1:] == ["Add"]
    assert graph.nodes[0].attrs["dilation"] == (2, 2)
