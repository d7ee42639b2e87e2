"""EfficientNet-Lite0 in int8, 100 images for calibration: accuracy on 300 and SQNR of logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import commands, datasets, score
from benchmarks.commands import Command
from benchmarks.figures import Figure
from benchmarks.measure import Failed, run
from benchmarks.models import efficientnet_lite0
from benchmarks.places import Missing

WHAT = "EfficientNet-Lite0 int8"


def quality() -> Iterator[Figure]:
    """Float, ours and the peers'."""
    model, data = efficientnet_lite0.onnx_file(), datasets.imagenet()
    samples = data.file("imagenet", channels_first=True)
    real = score.logits(model, data.x)
    yield Figure("EfficientNet-Lite0 float", "ONNX Runtime", score.accuracy(real, data.y), "%")
    int8 = ("--quantize", "int8", "--formats", "tflite,onnx", "--calibration", samples)
    makers: tuple[tuple[str, str, Callable[[], Command]], ...] = (
        ("per-channel", "edgepack", lambda: commands.edgepack("effnet_int8", model, *int8)),
        ("per-channel", "ORT static", lambda: commands.ort_static(model, samples)),
        ("per-channel", "AI Edge Quantizer", lambda: commands.litert_int8(samples)),
        ("per-tensor", "edgepack",
         lambda: commands.edgepack("effnet_int8_pt", model, *int8, "--per-tensor")),
        ("per-tensor", "ORT static", lambda: commands.ort_static(model, samples, "--per-tensor")),
    )  # fmt: skip
    for kind, who, make in makers:
        what = f"{WHAT} {kind}"
        try:
            command = make()
            run(command.argv)
        except (Missing, Failed) as problem:
            yield Figure(what, who, None, "%", str(problem))
            continue
        for path in commands.files_of(command):
            yield from _figures(what, f"{who} {path.suffix}", path, data, real)


def _figures(
    what: str, who: str, path: Path, data: datasets.Data, real: np.ndarray
) -> Iterator[Figure]:
    found = score.logits(path, data.x)
    yield Figure(what, who, score.accuracy(found, data.y), "%")
    yield Figure(f"{what}, logits", who, score.sqnr_db(real, found), "dB")
