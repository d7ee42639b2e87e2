"""AI Edge Quantizer: FLOAT.tflite CALIBRATION.npy OUT.tflite."""

import json
import sys

import numpy as np


def quantize(real: str, data: str, out: str) -> None:
    """Static int8, its stock recipe, calibrated on every sample of `data`."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    signatures = Interpreter(real).get_signature_list()
    (key,) = signatures
    (name,) = signatures[key]["inputs"]
    samples = [{name: np.array(x[None])} for x in np.load(data, mmap_mode="r")]
    tool = quantizer.Quantizer(real, recipe.static_wi8_ai8())
    tool.quantize(tool.calibrate({key: samples})).export_model(out, overwrite=True)


if __name__ == "__main__":
    quantize(*sys.argv[1:4])
    print(json.dumps({"out": sys.argv[3]}))
