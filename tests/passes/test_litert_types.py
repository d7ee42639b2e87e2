"""The table of types that kernels take, held against LiteRT: every entry must run and be right."""

import numpy as np
import pytest

from edgepack.ir.dtypes import DType
from edgepack.ir.text import parse
from edgepack.passes.tflite.dtypes import TAKES
from edgepack.run.litert import LiteRTRuntime
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.tflite import write_tflite

IMAGE = "x: {d}[1, 4, 4, 4] = input()\n"
ONE = "x: {d}[2, 3] = input()\n"
TWO = ONE + "z: {d}[2, 3] = input()\n"
ROWS = "i: int32[2] = const([1, 0])\n"

_UNARY = """
    Relu Relu6 ReluN1To1 Relu0To1 Sigmoid Tanh HardSwish Gelu Elu Exp Log Sqrt Rsqrt Square Sin Cos
    Floor Ceil Round Softmax LogSoftmax L2Norm Abs Neg Sign LogicalNot
"""
_BINARY = """
    Add Sub Mul Div Maximum Minimum Pow FloorDiv FloorMod SquaredDifference LogicalAnd LogicalOr
    BitwiseXor RightShift Equal NotEqual Less LessEqual Greater GreaterEqual Atan2 PRelu
"""
_REDUCTIONS = "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceAny ReduceAll"

GRAPHS = {
    **{op: f"{ONE}y = {op}(x)" for op in _UNARY.split()},
    **{op: f"{TWO}y = {op}(x, z)" for op in _BINARY.split()},
    **{op: f"{ONE}y = {op}(x, axes=(1,))" for op in _REDUCTIONS.split()},
    "LeakyRelu": ONE + "y = LeakyRelu(x, alpha=0.1)",
    "MatMul": ONE + "z: {d}[3, 4] = input()\ny = MatMul(x, z)",
    "FullyConnected": ONE + "w = random(4, 3)\ny = FullyConnected(x, w)",
    "Conv2d": IMAGE + "w = random(2, 3, 3, 4)\ny = Conv2d(x, w)",
    "DepthwiseConv2d": IMAGE + "w = random(1, 3, 3, 4)\ny = DepthwiseConv2d(x, w)",
    "ConvTranspose2d": IMAGE + "w = random(2, 3, 3, 4)\ny = ConvTranspose2d(x, w)",
    "AveragePool2d": IMAGE + "y = AveragePool2d(x, kernel=(2, 2))",
    "MaxPool2d": IMAGE + "y = MaxPool2d(x, kernel=(2, 2))",
    "ResizeBilinear": IMAGE + "y = ResizeBilinear(x, size=(8, 8))",
    "ResizeNearest": IMAGE + "y = ResizeNearest(x, size=(8, 8))",
    "DepthToSpace": IMAGE + "y = DepthToSpace(x, block=2)",
    "SpaceToDepth": IMAGE + "y = SpaceToDepth(x, block=2)",
    "Lrn": IMAGE + "y = Lrn(x, radius=1)",
    "ArgMax": ONE + "y = ArgMax(x, axis=1)",
    "ArgMin": ONE + "y = ArgMin(x, axis=1)",
    "CumSum": ONE + "y = CumSum(x, axis=1)",
    "TopK": ONE + "y, k = TopK(x, k=2)",
    "Concat": TWO + "y = Concat(x, z, axis=0)",
    "Split": ONE + "y, z = Split(x, axis=1, sizes=(1, 2))",
    "Pad": ONE + "y = Pad(x, pads=((1, 0), (0, 2)))",
    "Gather": ONE + ROWS + "y = Gather(x, i)",
    "GatherNd": ONE + "i: int32[2, 1] = const([[1], [0]])\ny = GatherNd(x, i)",
    "ScatterNd": ONE + "i: int32[2, 1] = const([[1], [0]])\ny = ScatterNd(i, x, shape=(4, 3))",
    "OneHot": ROWS + "x: int32[2] = input()\ny = OneHot(x, depth=3, to='{d}')",
    "Reverse": ONE + "y = Reverse(x, axes=(1,))",
}
CASES = [(op, dtype) for op in GRAPHS for dtype in sorted(TAKES[op])]


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_litert_takes_it(op, dtype):
    graph = parse(GRAPHS[op].format(d=dtype) + "\noutput(y)")
    rng = np.random.default_rng(0)
    arrays = [
        (rng.random(v.shape) < 0.5).astype(v.dtype.numpy)
        if v.dtype is DType.BOOL
        else rng.uniform(1, 6, v.shape).astype(v.dtype.numpy)  # in the domain of every operator
        for v in graph.inputs
    ]
    want = ReferenceRuntime(graph).run(arrays)[0]
    got = LiteRTRuntime(write_tflite(graph)).run(arrays)[0]
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=1e-4)


def test_only_operators_without_a_builtin_are_left_out():
    left = set(TAKES) - set(GRAPHS)
    assert left == {
        "Erf", "LayerNorm", "RmsNorm", "BatchNorm",  # decomposed, in real numbers
        "Conv3d", "ConvTranspose3d", "DynamicUpdateSlice",  # compared with LiteRT by the writer
    }  # fmt: skip
