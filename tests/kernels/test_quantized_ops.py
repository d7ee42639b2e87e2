"""Every quantized operator case: the reference kernels against two runtimes, bit for bit."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from edgepack.ir import OPS
from edgepack.ir.text import parse
from edgepack.kernels.registry import QUANTIZED
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.run.tflm import TflmRuntime
from edgepack.writers.tflite import write_tflite
from tests.quantized_op_cases import QUANTIZED_CASES, QuantizedCase

IN_MICRO = [name for name, case in QUANTIZED_CASES.items() if not case.micro]
IN_LITERT = [name for name, case in QUANTIZED_CASES.items() if not case.litert]

# Operators whose output scale is fixed, or must be the input's.
BOUND = {
    "sigmoid", "tanh", "softmax", "logsoftmax", "l2norm", "maxpool2d", "averagepool2d",
    "resizebilinear", "resizenearest", "maximum", "minimum", "where", "relu6", "relun1to1",
    "relu0to1", "reducemax", "reducemin", "pad", "concat", "transpose", "slice", "argmax",
    "lstm", "svdf", "spacetobatch", "batchtospace", "depthtospace", "spacetodepth", "reshape",
    "split", "reverse", "broadcastto", "gather", "argmin",
}  # fmt: skip
FREE = [name for name in IN_MICRO if name.split("/")[0] not in BOUND]


def assert_micro_equal(case: QuantizedCase, seed: int) -> None:
    reference = ReferenceRuntime(case.graph())
    model = write_tflite(case.graph())
    inputs = case.inputs(seed)
    # a new interpreter for each run: variables would go on from the last one
    got = TflmRuntime(model, reference.inputs, reference.outputs).run(inputs)
    for g, w in zip(got, reference.run(inputs), strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("name", IN_MICRO)
def test_tflm_gives_the_same_bits(name: str) -> None:
    pytest.importorskip("tflite_micro")
    for seed in range(3):
        assert_micro_equal(QUANTIZED_CASES[name], seed)


def with_other_scales(case: QuantizedCase, seed: int) -> QuantizedCase:
    """The case with each scale multiplied by a number of its own."""
    rng = np.random.default_rng(seed)
    chosen: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        scale = np.float32(float(match[1]) * rng.uniform(0.75, 1.33))
        return chosen.setdefault(match[0], f"q({scale:.9g},")

    return dataclasses.replace(case, text=re.sub(r"q\(([0-9.e-]+),", other, case.text))


@pytest.mark.parametrize("name", FREE)
def test_tflm_gives_the_same_bits_at_other_scales(name: str) -> None:
    pytest.importorskip("tflite_micro")
    for seed in range(4):
        assert_micro_equal(with_other_scales(QUANTIZED_CASES[name], seed), seed)


@pytest.mark.parametrize("name", IN_LITERT)
def test_litert_gives_the_same_bits(name: str) -> None:
    case = QUANTIZED_CASES[name]
    reference = ReferenceRuntime(case.graph())
    model = write_tflite(case.graph())
    for seed in range(3):
        inputs = case.inputs(seed)
        got = LiteRTRuntime(model, reference_kernels=True).run(inputs)
        for g, w in zip(got, reference.run(inputs), strict=True):
            assert g.dtype == w.dtype
            assert g.shape == w.shape
            difference = np.abs(g.astype(np.float64) - w.astype(np.float64))
            assert difference.max(initial=0) <= case.litert_lsb, case.why


def test_every_tolerance_has_its_reason() -> None:
    assert all(bool(case.why) == bool(case.litert_lsb) for case in QUANTIZED_CASES.values())


def test_clip_keeps_the_limits_that_stand_for_real_ones() -> None:
    graph = parse(
        "x: int8[1, 256] @ q(0.05, -3) = input()\n"
        "y: q(0.05, -3) = Clip(x, min=-1.0, max=2.5)\noutput(y)"
    )
    x = np.arange(-128, 128, dtype=np.int8)[None]
    (y,) = ReferenceRuntime(graph).run([x])
    np.testing.assert_array_equal(y, np.clip(x, -23, 47))


def test_every_quantized_kernel_has_a_case() -> None:
    # Clip has no TFLite operator of its own; its test stands above
    cases = {name.split("/")[0] for name in QUANTIZED_CASES} | {"clip"}
    assert [op for op in QUANTIZED if op.lower() not in cases] == []
    assert set(QUANTIZED) <= set(OPS)
