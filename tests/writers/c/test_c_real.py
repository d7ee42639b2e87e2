"""Operators on real numbers, and those that move any elements, against the reference kernels."""

from __future__ import annotations

import pytest

from edgepack.errors import Unsupported
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from tests.op_cases import CASES
from tests.writers.c.compiled import Library

OPERATORS = (
    "Abs", "Add", "AveragePool2d", "BatchToSpace", "BroadcastTo", "Clip", "Concat", "Conv2d",
    "ConvTranspose2d", "DepthToSpace", "DepthwiseConv2d", "Div", "Elu", "Exp", "FullyConnected",
    "Gelu", "HardSwish", "L2Norm", "LeakyRelu", "Log", "LogSoftmax", "MatMul", "MaxPool2d",
    "Maximum", "Minimum", "Mul", "Neg", "PRelu", "Pad", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceSum", "Relu", "Relu0To1", "Relu6", "ReluN1To1", "Reshape", "ResizeBilinear",
    "ResizeNearest", "Reverse", "Rsqrt", "Sigmoid", "Slice", "Softmax", "SpaceToBatch",
    "SpaceToDepth", "Split", "Sqrt", "Square", "SquaredDifference", "Sub", "Tanh", "Tile",
    "Transpose", "Where",
)  # fmt: skip
# Cases of these operators that have no kernel; integers here are no quantized ones.
REFUSED = {
    "abs/int32", "add/int32", "add/int64", "averagepool2d/count_include_pad", "clip/int32",
    "concat/empty", "convtranspose2d/dilation", "convtranspose2d/grouped", "div/int32_toward_zero",
    "logsoftmax/first", "matmul/broadcast", "maximum/int32", "minimum/int32", "mul/int32",
    "mul/int64", "neg/int32", "neg/int64", "pad/int32_value", "pad/value", "reducemax/int32",
    "reducemean/int32", "reducemin/int32", "reducesum/int32", "slice/nothing", "softmax/middle",
    "squareddifference/int32", "sub/int32", "sub/int64",
}  # fmt: skip
KNOWN = {op.lower() for op in OPERATORS}
NAMES = [name for name in CASES if name.split("/")[0] in KNOWN and name not in REFUSED]


def prefix_of(name: str) -> str:
    return "real_" + name.replace("/", "_")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    projects = {
        prefix_of(name): write_c(CASES[name].graph(), prefix=prefix_of(name)) for name in NAMES
    }
    return Library(tmp_path_factory.mktemp("real"), projects)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_has_no_kernel_is_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="no C kernel"):
        write_c(CASES[name].graph())


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_numbers(library: Library, name: str) -> None:
    case = CASES[name]
    graph, inputs = case.graph(), case.inputs()
    case.assert_agree(
        library.run(prefix_of(name), graph, inputs), ReferenceRuntime(graph).run(inputs)
    )
