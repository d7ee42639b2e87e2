"""Models that are read and written again need the arena that was measured for the originals."""

import pytest

from edgepack.plan.micro_file import micro_model_from_file
from edgepack.plan.tflm import plan_tflm
from edgepack.plan.tflm_requests import CMSIS_NN_DSP
from edgepack.readers.tflite.read import read_tflite
from edgepack.writers.tflite.write import write_tflite
from tests.shared import shared

# With CMSIS-NN on a Cortex-M4
MEASURED = {
    "ic_resnet8_int8": 54_996,
    "kws_dscnn_int8": 22_820,
    "vww_mobilenet_int8": 100_708,
    "ad_autoencoder_int8": 2_580,
}


@pytest.mark.parametrize("name", MEASURED)
def test_real_models(name):
    graph = read_tflite(shared(f"models/{name}.tflite"))
    model = micro_model_from_file(write_tflite(graph))
    assert plan_tflm(model, kernels=CMSIS_NN_DSP).arena_bytes == MEASURED[name]
