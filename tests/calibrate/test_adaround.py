"""A layer as rows is the layer; a search finds the rounding that a small layer wants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from op_cases import CASES

from edgepack.calibrate.adaround import ROW_OPS, layer_rows, times_weights
from edgepack.calibrate.torch_kernels import activate
from edgepack.run.reference import ReferenceRuntime

torch = pytest.importorskip("torch")

LAYERS = [
    name for name, case in CASES.items() if any(name.startswith(op.lower() + "/") for op in ROW_OPS)
]


@pytest.mark.parametrize("name", LAYERS)
def test_rows_times_weights_are_the_layer(name: str) -> None:
    graph, inputs = CASES[name].graph(), CASES[name].inputs()
    (node,) = graph.nodes
    other = [x[..., ::-1].copy() for x in inputs]  # a second sample
    wanted = np.stack([ReferenceRuntime(graph).run(sample)[0] for sample in (inputs, other)])
    x = torch.from_numpy(np.stack([inputs[0], other[0]]))
    places = torch.arange(2 * math.prod(node.output.shape[:-1]))
    rows = layer_rows(torch, node, x, places)
    y = times_weights(torch, node, rows, torch.tensor(node.input(1).const))
    bias = node.optional(2)
    y = activate(node, y if bias is None else y + torch.tensor(bias.const)).numpy()
    np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-4)
