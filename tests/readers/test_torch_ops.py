"""Every operator of the PyTorch reader: the IR computes what torch computes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepack.ir.check import check  # noqa: E402
from edgepack.readers.torch import read_torch  # noqa: E402
from edgepack.run.reference import ReferenceRuntime  # noqa: E402
from tests.readers.torch_cases import CASES  # noqa: E402


def _flat(result):
    return list(result) if isinstance(result, tuple | list) else [result]


def exported(model, inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, tuple(inputs), strict=False)


@pytest.mark.parametrize("way", ["recorded", pytest.param("exported", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_reference_agrees_with_torch(name, way):
    torch.manual_seed(sum(map(ord, name)))
    case = CASES[name]
    model = case.make().eval()
    for key, tensor in model.state_dict().items():  # statistics other than 0 and 1
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 2)
    inputs = [x if hasattr(x, "shape") else torch.randn(x) for x in case.inputs]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about speed
        expected = _flat(model(*[x.clone() for x in inputs]))
    if way == "exported":
        graph = read_torch(exported(model, inputs))
    else:
        graph = read_torch(model, example_inputs=inputs)
    check(graph)
    results = ReferenceRuntime(graph).run([x.numpy() for x in inputs])
    assert len(results) == len(expected)
    for ours, theirs in zip(results, expected, strict=True):
        assert ours.shape == tuple(theirs.shape)
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)
