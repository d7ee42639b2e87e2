"""Sony's Model Compression Toolkit, PTQ of ResNet-20: WEIGHTS CALIBRATION.npy TEST.npz."""

import json
import sys
import time
from pathlib import Path

import model_compression_toolkit as mct
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.models.resnet20 import resnet20  # noqa: E402

weights, calibration, test = sys.argv[1:4]
model = resnet20()
state = torch.load(weights, weights_only=True, map_location="cpu")
state = state.get("state_dict", state)
model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
data = np.load(calibration)
start = time.perf_counter()
quantized, _ = mct.ptq.pytorch_post_training_quantization(
    model, lambda: ([torch.from_numpy(np.array(x[None]))] for x in data)
)
seconds = time.perf_counter() - start
held = np.load(test)
quantized.eval()
with torch.no_grad():
    device = next(quantized.parameters()).device
    logits = [
        quantized(torch.from_numpy(x).to(device)).cpu().numpy()
        for x in np.array_split(held["x"], 20)
    ]
right = np.concatenate(logits).argmax(1) == held["y"]
print(json.dumps({"accuracy": float(right.mean()), "seconds": seconds}))
