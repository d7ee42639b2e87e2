"""Weights without their zeros in files: LiteRT gives the bits of the plain file."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.api.lower import lower
from edgepack.api.lowered import tflite_file
from edgepack.api.options import ExportOptions
from edgepack.compress.sparse_storage import store_sparse
from edgepack.errors import BadModel
from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.profiles import load_target
from edgepack.readers.tflite import read_tflite
from edgepack.run.litert import LiteRTRuntime

LAYERS = {
    "conv": ("x: float32[1, 8, 8, 24] = input()", (64, 3, 3, 24),
             'Conv2d(x, w, pad=((1, 1), (1, 1)), activation="relu")'),
    "pointwise": ("x: float32[1, 4, 4, 320] = input()", (96, 1, 1, 320), "Conv2d(x, w)"),
    "depthwise": ("x: float32[1, 8, 8, 96] = input()", (1, 5, 5, 96),
                  "DepthwiseConv2d(x, w, pad=((2, 2), (2, 2)))"),
    "dense": ("x: float32[1, 300] = input()", (64, 300), "FullyConnected(x, w)"),
    "transposed": ("x: float32[1, 4, 4, 24] = input()", (64, 2, 2, 24),
                   "ConvTranspose2d(x, w, stride=(2, 2))"),
}  # fmt: skip
SCHEMES = ("none", "fp16", "int8", "int16x8", "dynamic")
KEPT_DENSE = {("dense", "int8"), ("dense", "int16x8")}


def layer(name: str, scheme: str, block: int = 1) -> tuple[Graph, np.ndarray]:
    """One layer, 80% of whose weights are zero, lowered for LiteRT; and an input."""
    top, shape, call = LAYERS[name]
    graph, rng = parse(f"{top}\nw = random{shape}\ny = {call}\noutput(y)"), np.random.default_rng(0)
    weights = graph.nodes[0].input(1)
    gone = np.repeat(rng.random((*shape[:-1], shape[-1] // block)) < 0.8, block, axis=-1)
    weights.data = np.where(gone, 0, weights.const).astype(np.float32)
    x = rng.random(graph.inputs[0].shape, np.float32)
    data = x if "int" in scheme else None
    options = ExportOptions(quantize=scheme, calibration=data, io="float")
    return lower(graph, load_target("raspberry-pi-4"), options).graph, x


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", LAYERS)
def test_bits_of_the_plain_file(name: str, scheme: str, block: int) -> None:
    graph, x = layer(name, scheme, block)
    plain = tflite_file(graph)
    outcome = store_sparse(graph)
    packed = tflite_file(graph)
    if scheme == "dynamic" or (name, scheme) in KEPT_DENSE:
        assert "does not load" in outcome.refused[0].reason
        assert packed == plain
        return
    assert len(packed) < 0.9 * len(plain)
    for reference_kernels in (False, True):
        wanted, found = (
            LiteRTRuntime(file, reference_kernels=reference_kernels).run([x])[0]
            for file in (plain, packed)
        )
        assert np.ptp(wanted) > 0
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("scheme", ["none", "int8"])
@pytest.mark.parametrize("name", ["conv", "depthwise", "transposed"])
def test_read_back_and_written_the_same(name: str, scheme: str) -> None:
    graph, _ = layer(name, scheme)
    store_sparse(graph)
    file = tflite_file(graph)
    again = read_tflite(file)
    assert [n.op for n in again.nodes] == [n.op for n in graph.nodes]
    weights = [next(n for n in g.nodes if len(n.inputs) > 1).input(1) for g in (graph, again)]
    np.testing.assert_array_equal(weights[1].const, weights[0].const)
    assert len(tflite_file(again)) == len(file)


def test_a_constant_of_two_readers_is_filled_up_once() -> None:
    graph = parse(
        "x: float32[1, 64] = input()\nw = random(64, 64)\na = FullyConnected(x, w)\n"
        "y = FullyConnected(a, w)\noutput(y)"
    )
    weights = graph.nodes[0].input(1)
    weights.data = np.where(np.random.default_rng(0).random((64, 64)) < 0.8, 0, weights.const)
    plain = tflite_file(graph)
    store_sparse(graph)
    packed = tflite_file(graph)
    again = read_tflite(packed)
    assert again.nodes[0].input(1) is again.nodes[1].input(1)
    x = np.random.default_rng(1).random((1, 64), np.float32)
    wanted, found = (LiteRTRuntime(file).run([x])[0] for file in (plain, packed))
    np.testing.assert_array_equal(found, wanted)


def test_weights_that_something_else_reads_stay() -> None:
    graph = parse(
        "x: float32[1, 64] = input()\nw = random(64, 64)\na = FullyConnected(x, w)\n"
        "y = Add(a, w)\noutput(y)"
    )
    weights = graph.nodes[0].input(1)
    weights.data = np.zeros_like(weights.const)
    weights.data[0] = 1
    assert "other operators" in store_sparse(graph).refused[0].reason
    assert weights.packed is None


def test_damage_is_told() -> None:
    graph, _ = layer("dense", "none")
    store_sparse(graph)
    form = graph.nodes[0].input(1).packed
    assert form is not None
    file = tflite_file(graph)
    segments = form.segments.tobytes()  # type: ignore[union-attr]
    assert file.count(segments) == 1
    with pytest.raises(BadModel, match="damaged.*sparsity"):
        read_tflite(file.replace(segments, segments[::-1]))
