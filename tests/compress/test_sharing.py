"""Weights near those of another layer are stored once; filters made of others are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack.compress.frame import Context
from edgepack.compress.sharing import share
from edgepack.errors import BadInput
from edgepack.ir import Array, Graph
from edgepack.profiles import load_target
from edgepack.report import Report
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite
from tests.small_models import TARGET

RNG = np.random.default_rng(0)
W = RNG.standard_normal((16, 3, 3, 16)).astype(np.float32)
FACTORS = RNG.uniform(0.5, 2, (16, 1, 1, 1)).astype(np.float32)


def chain(*weights: Array) -> Graph:
    """Convolutions, one after another."""
    graph = Graph("chain")
    value = graph.add_input("x", (1, 8, 8, 16))
    for index, w in enumerate(weights):
        bias = np.linspace(-1, 1, len(w), dtype=np.float32)
        inputs = [value, graph.constant(w, f"w{index}"), graph.constant(bias, f"b{index}")]
        attrs = {"pad": ((1, 1), (1, 1)), "activation": "relu"}
        value = graph.add("Conv2d", inputs, attrs, name=f"conv{index}")
    graph.outputs = [value]
    return graph


def exported(graph: Graph, folder: Path, **options: Any) -> Report:
    path = folder / "net.tflite"
    path.write_bytes(write_tflite(graph))
    x = np.random.default_rng(1).standard_normal((10, 8, 8, 16)).astype(np.float32)
    return edgepack.export(
        str(path), TARGET, folder / "out", calibration=x, io="int8", formats="tflite,onnx,c",
        **options,
    )  # fmt: skip


def shared(graph: Graph, least_db: float = 30.0) -> Any:
    context = Context(load_target(TARGET), lambda: iter(()), has_data=False)
    return share(graph, least_db, context)


def test_factors_of_channels_are_scales(tmp_path: Path) -> None:
    near = W * FACTORS + 0.003 * RNG.standard_normal(W.shape).astype(np.float32)
    report = exported(chain(W, near, -W), tmp_path, compress=["share,sqnr=35"])
    (step,) = report.compression
    (line,) = step.changed
    assert line.startswith("conv1: the weights of conv0")
    assert "2,304 bytes saved" in line
    fewer = (step.before.file_bytes or 0) - (step.after.file_bytes or 0)
    assert 2304 - 64 <= fewer <= 2304 + 64
    assert step.after.sqnr_db is not None
    assert step.after.sqnr_db > 30
    assert report.agreement["tflite_vs_onnx_max_lsb"] in (0, 1)  # scales of its own there, too


def test_real_weights_that_are_near() -> None:
    graph = chain(W, W * np.float32(1.001), W * 2)
    x = RNG.standard_normal((1, 8, 8, 16)).astype(np.float32)
    (before,) = ReferenceRuntime(graph).run([x])
    found = shared(graph, 50)
    assert [line.split(":")[0] for line in found.changed] == ["conv1"]
    first, second, third = (node.input(1).const for node in graph.nodes)
    assert second is first
    assert third is not first
    (after,) = ReferenceRuntime(graph).run([x])
    assert 0 < np.abs(after - before).max() <= 0.0011 * np.abs(before).max()


def test_nothing_near() -> None:
    other = RNG.standard_normal(W.shape).astype(np.float32)
    graph = chain(W, other)
    found = shared(graph)
    assert found.changed == ()
    assert "within 30 dB" in found.refused[0].reason
    assert [node.input(1).const is w for node, w in zip(graph.nodes, (W, other), strict=True)]


FILTERS = {
    "negated": lambda f: -f,
    "turned": lambda f: np.rot90(f),
    "mirrored": lambda f: f[:, ::-1],
    "channels in another order": lambda f: f[..., ::-1],
    "all of it": lambda f: -np.rot90(f[:, ::-1, ::-1], 3),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_made_of_others_are_refused(name: str) -> None:
    w = W.copy()
    w[5] = FILTERS[name](w[2])
    (refusal,) = (r for r in shared(chain(w)).refused if r.layer)
    assert refusal.layer == "conv0"
    assert refusal.reason.startswith("1 of 16 filters are others negated")


def test_filters_by_chance_are_not() -> None:
    assert [r.layer for r in shared(chain(W)).refused] == [""]


def test_bad_threshold(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="share.sqnr"):
        exported(chain(W), tmp_path, compress=["share,sqnr=0"])
