"""ONNX Runtime's static quantization: MODEL.onnx CALIBRATION.npy OUT.onnx [--per-tensor]."""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import quantization as q
from onnxruntime.quantization.shape_inference import quant_pre_process

source, data, out = sys.argv[1:4]


class Reader(q.CalibrationDataReader):
    """The samples one by one."""

    def __init__(self) -> None:
        self.samples = iter(np.load(data, mmap_mode="r"))

    def get_next(self):  # noqa: ANN201, D102
        sample = next(self.samples, None)
        return None if sample is None else {"input": np.array(sample[None])}


prepared = str(Path(out).with_suffix(".prepared.onnx"))
quant_pre_process(source, prepared)
q.quantize_static(
    prepared, out, Reader(), quant_format=q.QuantFormat.QDQ, activation_type=q.QuantType.QInt8,
    weight_type=q.QuantType.QInt8, per_channel="--per-tensor" not in sys.argv,
)  # fmt: skip
print(json.dumps({"out": out}))
