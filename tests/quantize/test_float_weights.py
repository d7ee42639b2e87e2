"""Weights of 16-bit floats: how they are rounded, and what files with them compute."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.ir import DType
from edgepack.ir.dtypes import bfloat16_bits, bfloat16_real
from edgepack.ir.text import parse
from edgepack.passes.legalize_onnx import legalize_onnx
from edgepack.quantize.float_weights import halve_weights
from edgepack.readers.tflite import read_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.ort import OrtRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.onnx import write_onnx
from edgepack.writers.tflite import write_tflite

DENSE = """
x: float32[2, 64] = input()
w = random(40, 64)
b = random(40)
y = FullyConnected(x, w, b)
output(y)
"""
HALVES = (DType.FLOAT16, DType.BFLOAT16)
X = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)


def halved(dtype):
    graph = parse(DENSE)
    assert halve_weights(graph, dtype) == 1  # the bias is too small to gain
    return graph


def test_bfloat16_rounds_as_torch_does():
    torch = pytest.importorskip("torch")
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32)
    ties = (np.arange(0x1000, 0x5000, dtype=np.uint32) << 16) | 0x8000
    real = np.concatenate([bits, ties, [0, 0x80000000, 1]]).astype(np.uint32).view(np.float32)
    real = real[np.abs(real) < 3e38]  # neither infinite nor NaN, nor about to be
    rounded = torch.from_numpy(real).bfloat16()
    np.testing.assert_array_equal(bfloat16_bits(real), rounded.view(torch.uint16).numpy())
    np.testing.assert_array_equal(bfloat16_real(bfloat16_bits(real)), rounded.float().numpy())


@pytest.mark.parametrize("dtype", HALVES)
def test_what_is_too_large_stays_finite(dtype):
    graph = parse(DENSE.replace("w = random(40, 64)", "w = full(3.4e38, 40, 64)"))
    halve_weights(graph, dtype)
    (w,) = (node.input(0) for node in graph.nodes_of("Dequantize"))
    wide = bfloat16_real(w.const) if dtype is DType.BFLOAT16 else w.const.astype(np.float32)
    np.testing.assert_allclose(wide, 65504 if dtype is DType.FLOAT16 else 3.4e38, rtol=2**-8)
    assert w.dtype is dtype


@pytest.mark.parametrize("dtype", HALVES)
def test_files_compute_with_the_rounded_weights(dtype):
    graph = halved(dtype)
    (want,) = ReferenceRuntime(graph).run([X])
    file, portable = write_tflite(graph), graph.copy()
    legalize_onnx(portable)
    runtimes = [LiteRTRuntime(file), OrtRuntime(write_onnx(portable))]
    runtimes.append(ReferenceRuntime(read_tflite(file)))
    for runtime in runtimes:
        np.testing.assert_allclose(runtime.run([X])[0], want, rtol=1e-5, atol=1e-5)
    (real,) = ReferenceRuntime(parse(DENSE)).run([X])
    error = np.abs(want - real).max() / np.abs(real).max()
    assert 0 < error < {DType.FLOAT16: 2**-11, DType.BFLOAT16: 2**-8}[dtype]


@pytest.mark.parametrize("dtype", HALVES)
def test_files_store_two_bytes_for_each_weight(dtype):
    whole = parse(DENSE)
    saved = 40 * 64 * 2
    for write in (write_tflite, write_onnx):
        less = len(write(whole)) - len(write(halved(dtype)))
        assert saved - 1000 < less <= saved
