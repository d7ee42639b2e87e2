"""Whole processes that convert EfficientNet-Lite0: wall time, processor time and peak memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import commands, datasets, measure, score
from benchmarks.commands import Command
from benchmarks.figures import Figure
from benchmarks.models import efficientnet_lite0
from benchmarks.places import Missing

REPEATS = 3
LATENCY_ROUNDS = 60
Makers = Mapping[str, Callable[[], Command]]


def conversion() -> Iterator[Figure]:
    """Float from PyTorch, float from ONNX, and int8 in both formats with the report."""
    model = efficientnet_lite0.onnx_file()
    data = datasets.imagenet().file("imagenet", channels_first=True)
    plain = ("--quantize", "none", "--formats", "tflite")
    int8 = ("--quantize", "int8", "--formats", "tflite,onnx", "--calibration", data)
    torch = ("--input-shape", "1,3,224,224")
    yield from _race("torch -> float TFLite", {
        "edgepack": lambda: commands.edgepack("torch", commands.EFFICIENTNET, *plain, *torch),
        "litert-torch": lambda: commands.litert_torch("effnet.tflite"),
    })  # fmt: skip
    yield from _race("ONNX -> float TFLite", {
        "edgepack": lambda: commands.edgepack("float", model, *plain),
        "onnx2tf": lambda: commands.onnx2tf(model),
    })  # fmt: skip
    yield from _race("-> int8, 100 samples", {
        "edgepack (both formats, report)": lambda: commands.edgepack("effnet_int8", model, *int8),
        "ORT static (ONNX)": lambda: commands.ort_static(model, data),
        "litert-torch + quantizer": lambda: commands.litert_int8(data),
    })  # fmt: skip


def _race(what: str, makers: Makers) -> Iterator[Figure]:
    argvs = {}
    for who, make in makers.items():
        try:
            argvs[who] = make().argv
        except Missing as problem:
            yield Figure(what, who, None, "s", str(problem))
    results = measure.paired(argvs, REPEATS)
    ours = results[next(iter(makers))]
    for who, runs in results.items():
        if not runs:
            yield Figure(what, who, None, "s", "failed")
            continue
        seconds = measure.median_seconds(runs)
        ratio = (
            f"{seconds / measure.median_seconds(ours):.2f}x ours"
            if ours and runs is not ours
            else ""
        )
        yield Figure(what, who, seconds, "s", ratio)
        yield Figure(f"{what}, processor time", who, measure.median_cpu(runs), "s")
        yield Figure(f"{what}, peak memory", who, measure.median_peak(runs), "MB")


def latency() -> Iterator[Figure]:
    """Int8 inference on this machine with two threads; the files of `quality` and `conversion`."""
    model = efficientnet_lite0.onnx_file()
    data = datasets.imagenet()
    npy = data.file("imagenet", channels_first=True)
    int8 = ("--quantize", "int8", "--formats", "tflite,onnx", "--calibration", npy)
    ours = commands.edgepack("effnet_int8", model, *int8)
    for suffix, who, peer in (
        (".tflite", "AI Edge Quantizer", lambda: commands.litert_int8(npy)),
        (".onnx", "ORT static", lambda: commands.ort_static(model, npy)),
    ):
        yield from _latency(suffix, ours, who, peer, data)


def _latency(
    suffix: str, ours: Command, who: str, peer: Callable[[], Command], data: datasets.Data
) -> Iterator[Figure]:
    what = f"int8 {suffix} latency, 2 threads"
    files = {"edgepack": _made(ours) / f"model{suffix}"}
    try:
        files[who] = _made(peer())
    except (Missing, measure.Failed) as problem:
        yield Figure(what, who, None, "ms", str(problem))
    times = score.latencies_ms(files, data.x[:1], LATENCY_ROUNDS)
    for name, value in times.items():
        note = "" if name == "edgepack" else f"ours is {times['edgepack'] / value:.3f}x"
        yield Figure(what, name, value, "ms", note)


def _made(command: Command) -> Path:
    if not command.out.exists():
        measure.run(command.argv)
    return command.out
