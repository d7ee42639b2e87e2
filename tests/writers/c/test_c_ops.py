"""Every quantized operator case compiled: the bytes of the reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.errors import Unsupported
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from edgepack.writers.c.variants import VARIANTS
from tests.quantized_op_cases import QUANTIZED_CASES
from tests.writers.c.compiled import Library

# Cases without a C kernel, and why.
OLD = "the first 8-bit scheme: devices with C have the signed one"
ABSENT = {name: OLD for name in QUANTIZED_CASES if name.endswith("/uint8")}
for _by_table in ("sigmoid", "tanh", "relu", "hardswish"):
    ABSENT.pop(f"{_by_table}/uint8")
ABSENT["lstm/int16"] = "int16 input and int16 state"
PRESENT = [name for name in QUANTIZED_CASES if name not in ABSENT]


def prefix_of(name: str) -> str:
    return "op_" + name.replace("/", "_")


@pytest.fixture(scope="module", params=VARIANTS)
def library(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Library:
    projects = {
        prefix_of(name): write_c(
            QUANTIZED_CASES[name].graph(), prefix=prefix_of(name), variant=request.param
        )
        for name in PRESENT
    }
    return Library(tmp_path_factory.mktemp("ops"), projects)


@pytest.mark.parametrize("name", PRESENT)
def test_the_reference_bits(library: Library, name: str) -> None:
    case = QUANTIZED_CASES[name]
    graph = case.graph()
    for seed in range(3):
        inputs = case.inputs(seed)
        got = library.run(prefix_of(name), graph, inputs)
        for g, w in zip(got, ReferenceRuntime(graph).run(inputs), strict=True):
            np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_absent_is_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="C"):
        write_c(QUANTIZED_CASES[name].graph())
