"""Every operator case, written as TFLite and run by LiteRT, against the reference kernels."""

from __future__ import annotations

import pytest

from edgepack.errors import InternalError, Unsupported
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite
from tests.op_cases import CASES, HYBRID_CASES

# The forms that no builtin has: the writer must say so, and the legalization must mend it.
ILLEGAL = {
    name
    for name in CASES
    if name.split("/")[0] in ("clip", "erf", "batchnorm", "layernorm", "rmsnorm")
} | {
    "averagepool2d/count_include_pad",
    "conv2d/odd_pad",
    "conv2d/stride_2_symmetric_pad",
    "conv3d/grouped",
    "conv3d/odd_pad",
    "convtranspose2d/cut_end",
    "convtranspose2d/dilation",
    "convtranspose2d/grouped",
    "convtranspose2d/pad_1_output_pad_1",
    "convtranspose3d/dilation",
    "convtranspose3d/grouped",
    "convtranspose3d/odd_pad",
    "logsoftmax/first",
    "maxpool2d/odd_pad_negative",
    "pad/cut",
    "pad/edge",
    "pad/nothing",
    "reverse/apart",
    "reverse/two_axes",
    "slice/scalar",
    "softmax/middle",
    "tile/scalar",
    "transpose/scalar",
}

# What LiteRT's plain kernels lack or do otherwise, seen in LiteRT 2.3.
PLAIN_KERNELS_DIFFER = {
    "elu": "not registered",
    "ceil": "not registered",
    "round": "not registered",
    "abs/int32": "registered up to version 4",
    "lrn": "leave out the last channel of each window",
}


@pytest.mark.parametrize("name", [name for name in CASES if name not in ILLEGAL])
def test_litert_agrees_with_the_reference_kernels(name: str) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    got = LiteRTRuntime(write_tflite(graph)).run(inputs)
    case.assert_agree(got, ReferenceRuntime(graph).run(inputs))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in CASES
        if name not in ILLEGAL and not {name, name.split("/")[0]} & set(PLAIN_KERNELS_DIFFER)
    ],
)
def test_litert_agrees_without_its_accelerated_kernels(name: str) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    got = LiteRTRuntime(write_tflite(graph), reference_kernels=True).run(inputs)
    case.assert_agree(got, ReferenceRuntime(graph).run(inputs))


@pytest.mark.parametrize("name", sorted(ILLEGAL))
def test_the_writer_refuses_what_no_builtin_computes(name: str) -> None:
    with pytest.raises((InternalError, Unsupported)):
        write_tflite(CASES[name].graph())


@pytest.mark.parametrize("name", CASES)
def test_litert_agrees_after_legalization(name: str) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    legalize_tflite(graph)
    got = LiteRTRuntime(write_tflite(graph)).run(inputs)
    case.assert_agree(got, ReferenceRuntime(case.graph()).run(inputs))


@pytest.mark.parametrize("plain", [False, True], ids=["accelerated", "plain"])
@pytest.mark.parametrize("name", HYBRID_CASES)
def test_hybrid_weights_agree_to_the_step_of_the_activations(name: str, plain: bool) -> None:
    case = HYBRID_CASES[name]
    graph, inputs = case.graph(), case.inputs()
    got = LiteRTRuntime(write_tflite(graph), reference_kernels=plain).run(inputs)
    case.assert_agree(got, ReferenceRuntime(graph).run(inputs))
