"""The graph's view of a model must be that of the file which the TFLite writer makes of it."""

import os
from pathlib import Path

import pytest

from edgepack.ir import OPS
from edgepack.ir.text import parse
from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.micro_graph import FORMS, micro_model_from_graph
from edgepack.plan.tflm import plan_tflm
from edgepack.plan.tflm_requests import CMSIS_NN_DSP
from edgepack.readers.tflite.read import read_tflite
from edgepack.writers.tflite.builder import lowers
from edgepack.writers.tflite.write import write_tflite

SHARED = Path(os.environ.get("EDGEPACK_SHARED", Path(__file__).parents[3] / "shared"))

X = "x: float32[1, 6, 8, 4] = input()\n"
CASES = {
    "reshape": "y = Reshape(x, shape=(1, 192))",
    "transpose": "y = Transpose(x, perm=(0, 2, 1, 3))",
    "pad": "y = Pad(x, pads=((0, 0), (1, 1), (1, 1), (0, 0)))",
    "pad with a value": "y = Pad(x, pads=((0, 0), (1, 1), (1, 1), (0, 0)), value=1.5)",
    "pad by reflection": 'y = Pad(x, pads=((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")',
    "mean": "y = ReduceMean(x, axes=(1, 2))",
    "sum over one axis": "y = ReduceSum(x, axes=(1,))",
    "maximum": "y = ReduceMax(x, axes=(1, 2), keepdims=True)",
    "slice": "y = Slice(x, begin=(0, 1, 1, 0), size=(1, 2, 2, 4), stride=(1, 1, 1, 1))",
    "slice by strides": "y = Slice(x, begin=(0, 1, 1, 0), size=(1, 2, 2, 4), stride=(1, 2, 2, 1))",
    "split": "y, z = Split(x, axis=3, sizes=(2, 2))",
    "split in unequal parts": "y, z = Split(x, axis=3, sizes=(1, 3))",
    "resize": "y = ResizeBilinear(x, size=(12, 16))",
    "transposed convolution": "w = random(5, 3, 3, 4)\ny = ConvTranspose2d(x, w, stride=(2, 2))",
    "convolution without bias": "w = random(5, 3, 3, 4)\ny = Conv2d(x, w, pad=((1, 1), (1, 1)))",
    "depthwise convolution": "w = random(1, 3, 3, 4)\nb = random(4)\ny = DepthwiseConv2d(x, w, b)",
    "pooling": "y = MaxPool2d(x, kernel=(2, 2), stride=(2, 2))",
    "concatenation": "y = Concat(x, x, axis=3)",
    "gather": "i: int32[2] = const([0, 2])\ny = Gather(x, i, axis=3)",
    "gather of tuples": "i: int32[1, 1] = const([[0]])\ny = GatherNd(x, i)",
    "index of the maximum": 'y = ArgMax(x, axis=3, to="int32")',
    "running sum": "y = CumSum(x, axis=1)",
    "pixels and channels": "z = DepthToSpace(x, block=2)\ny = SpaceToDepth(x, block=2)",
    "batch and pixels": "y = SpaceToBatch(x, block=(2, 2), pad=((0, 0), (0, 0)))",
    "selection": "c = Greater(x, x)\ny = Where(c, x, x)",
    "matrix product": "w = random(4, 7)\ny = MatMul(x, w)",
    "dense": "w = random(7, 4)\ny = FullyConnected(x, w)",
    "parametric relu": "a = random(1, 1, 4)\ny = PRelu(x, a)",
    "softmax": "y = Softmax(x)",
    "reverse": "y = Reverse(x, axes=(1,))",
    "top k": "y, z = TopK(x, k=2)",
}


@pytest.mark.parametrize("case", CASES)
def test_graph_and_file_need_the_same(case):
    outputs = "y, z" if "z = " in CASES[case] else "y"
    graph = parse(f"{X}{CASES[case]}\noutput({outputs})")
    model, written = micro_model_from_graph(graph), micro_model_from_file(write_tflite(graph))
    assert [op.kind for op in model.ops] == [op.kind for op in written.ops]
    assert plan_tflm(model) == plan_tflm(written)


def test_every_operator_that_can_be_written_has_its_form():
    assert set(FORMS) == set(lowers.table)
    assert set(FORMS) <= set(OPS)


# The same on real models, read and written: with CMSIS-NN on a Cortex-M4
MEASURED = {
    "ic_resnet8_int8": 54_996,
    "kws_dscnn_int8": 22_820,
    "vww_mobilenet_int8": 100_708,
    "ad_autoencoder_int8": 2_580,
}


@pytest.mark.parametrize("name", MEASURED)
def test_real_models(name):
    path = SHARED / "models" / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not there (set EDGEPACK_SHARED)")
    graph = read_tflite(path)
    models = micro_model_from_graph(graph), micro_model_from_file(write_tflite(graph))
    arenas = [plan_tflm(model, kernels=CMSIS_NN_DSP).arena_bytes for model in models]
    assert arenas == [MEASURED[name]] * 2
