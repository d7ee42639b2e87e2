"""Torch computes what the reference kernels compute, and its gradients are those of the slopes."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import CASES

from edgepack.calibrate.torch_graph import is_differentiable, torch_function
from edgepack.errors import Unsupported
from edgepack.ir.text import parse
from edgepack.run.reference import ReferenceRuntime

torch = pytest.importorskip("torch")


def _supported(name: str) -> bool:
    graph = CASES[name].graph()
    return bool(graph.nodes) and all(map(is_differentiable, graph.nodes))


# They count, keep a state, have no slope, or stay float in every integer graph.
ABSENT = {
    "argmax", "argmin", "atan2", "batchtospace", "bitcast", "bitwisexor", "ceil", "conv3d",
    "convtranspose3d", "cumsum", "dynamicupdateslice", "floor", "floordiv", "floormod", "gathernd",
    "logicaland", "logicalnot", "logicalor", "lrn", "lstm", "onehot", "pow", "reduceall",
    "reduceany", "reduceprod", "rightshift", "round", "scatternd", "sign", "spacetobatch", "topk",
}  # fmt: skip
SUPPORTED = [name for name in CASES if _supported(name)]


@pytest.mark.parametrize("name", SUPPORTED)
def test_equals_the_reference(name: str) -> None:
    graph = CASES[name].graph()
    first = CASES[name].inputs()
    # a second sample in the same call: nothing may leak from one into the other
    second = [x / 2 if x.dtype == np.float32 else x for x in first]
    stacked = [torch.from_numpy(np.stack(pair)) for pair in zip(first, second, strict=True)]
    outputs = torch_function(graph)(stacked)
    for index, sample in enumerate([first, second]):
        for got, want in zip(outputs, ReferenceRuntime(graph).run(sample), strict=True):
            np.testing.assert_allclose(got[index].numpy(), want, rtol=1e-4, atol=1e-4)


def test_the_gradient_is_the_slope() -> None:
    graph = parse("""
        x: float32[1, 4, 4, 2] = input()
        w = random(3, 3, 3, 2)
        a = Conv2d(x, w, pad=((1, 1), (1, 1)))
        b = Sigmoid(a)
        y = ReduceMean(b, axes=(1, 2))
        output(y)
    """)
    function = torch_function(graph)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 4, 4, 2), np.float32))
    x.requires_grad_()
    (y,) = function([x])
    y.square().sum().backward()
    step = 1e-2 * torch.sign(x.grad)
    with torch.no_grad():
        (up,), (down,) = function([x + step]), function([x - step])
    slope = (up.square().sum() - down.square().sum()) / 2
    np.testing.assert_allclose(slope, (x.grad * step).sum(), rtol=1e-2)


def test_names_what_torch_lacks() -> None:
    graph = parse("x: float32[2, 6] = input()\nv, i = TopK(x, k=2)\noutput(v)")
    with pytest.raises(Unsupported, match="TopK.*no differentiable kernel"):
        torch_function(graph)


def test_what_is_absent() -> None:
    real = {name.split("/")[0] for name in CASES}
    missing = real - {name.split("/")[0] for name in SUPPORTED}
    assert missing == ABSENT, "add a kernel to calibrate/torch_kernels.py, or a line to ABSENT"
