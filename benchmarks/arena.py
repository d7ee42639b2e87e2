"""Predicted arenas beside what TensorFlow Lite Micro used on a 32-bit Cortex-M4."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.places import Missing, peer, shared

# arena_used_bytes with CMSIS-NN and with the reference kernels
MEASURED = {
    "ic_resnet8_int8": (54_996, 54_340),
    "kws_dscnn_int8": (22_820, 22_772),
    "vww_mobilenet_int8": (100_708, 100_660),
    "ad_autoencoder_int8": (2_580, 2_260),
}
KERNELS = ("CMSIS-NN", "reference kernels")


def arena() -> Iterator[Figure]:
    """Ours for both kernel sets, and mcufit's estimate."""
    for name, measured in MEASURED.items():
        path = shared("models", f"{name}.tflite")
        for kernels, used, predicted in zip(KERNELS, measured, _predicted(path), strict=True):
            note = f"measured {used:,}: {100 * (predicted / used - 1):+.1f}%"
            yield Figure(f"arena of {name}, {kernels}", "edgepack", predicted, "B", note)
        yield _mcufit(name, path, measured[0])


def _predicted(path: Path) -> list[int]:
    from edgepack.plan.abi import CORTEX_M
    from edgepack.plan.micro_file import micro_model_from_file
    from edgepack.plan.tflm import plan_tflm
    from edgepack.plan.tflm_requests import CMSIS_NN_DSP, REFERENCE

    model = micro_model_from_file(path.read_bytes())
    plans = (plan_tflm(model, kernels=k, abi=CORTEX_M) for k in (CMSIS_NN_DSP, REFERENCE))
    return [plan.arena_bytes for plan in plans]


def _mcufit(name: str, path: Path, used: int) -> Figure:
    what = f"arena of {name}, CMSIS-NN"
    try:
        program = Path(peer("mcufit", "mcufit")).with_name("mcufit")
    except Missing as problem:
        return Figure(what, "mcufit", None, "B", str(problem))
    argv = [str(program), "check", str(path), "--board", "nano33ble", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True)
    estimate = int(json.loads(done.stdout)["estimate"]["total_arena_bytes"])
    note = f"measured {used:,}: {100 * (estimate / used - 1):+.1f}%"
    return Figure(what, "mcufit", estimate, "B", note)
