"""litert-torch: FACTORY OUT.tflite [--calibration X.npy [--weight-bits N]].

int8 by AI Edge Quantizer when calibration data are given.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

start = time.perf_counter()
parser = argparse.ArgumentParser()
parser.add_argument("factory")
parser.add_argument("out")
parser.add_argument("--calibration")
parser.add_argument("--weight-bits", default="8")
options = parser.parse_args()
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import litert_torch  # noqa: E402

imported = time.perf_counter()
module, _, name = options.factory.partition(":")
model = getattr(importlib.import_module(module), name)()
ready = time.perf_counter()
real = options.out if options.calibration is None else options.out + ".float"
litert_torch.convert(model, model.example_inputs).export(real)
if options.calibration:
    from ai_edge import quantize

    quantize(real, options.calibration, options.out, options.weight_bits)
print(json.dumps({"import_s": imported - start, "convert_s": time.perf_counter() - ready}))
