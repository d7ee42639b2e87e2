"""Small networks: keyword spotting, image classification (MLPerf Tiny) and CIFAR-10 ResNet-20."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import commands, datasets, score
from benchmarks.commands import MICRO, edgepack
from benchmarks.figures import Figure
from benchmarks.measure import Failed, run
from benchmarks.places import Missing, cache, shared

_INT8 = ("--quantize", "int8", "--formats", "tflite,onnx", "--io", "float")


def networks() -> Iterator[Figure]:
    """Accuracy float and int8, and the time of our export."""
    yield from _keywords()
    yield from _images()
    yield from _resnet()


def _ours(
    what: str, model: str | Path, data: datasets.Data, npz: Path, *more: str
) -> Iterator[Figure]:
    name = what.split()[0].lower()
    options = (*_INT8, "--calibration", npz, *more)
    command = edgepack(f"{name}_int8", model, *options, target=MICRO)
    try:
        done = run(command.argv)
    except Failed as problem:
        yield Figure(f"{what} int8", "edgepack", None, "%", str(problem))
        return
    for suffix in (".tflite", ".onnx"):
        found = score.logits(commands.file_of(command, suffix), data.x)
        yield Figure(f"{what} int8", f"edgepack {suffix}", score.accuracy(found, data.y), "%")
    yield Figure(
        f"{what} export, whole process",
        "edgepack",
        done.seconds,
        "s",
        f"cpu {done.cpu_seconds:.1f} s",
    )


def _keywords() -> Iterator[Figure]:
    what, data = "KWS DS-CNN, 400 clips", datasets.keywords()
    model, npz = (
        shared("models", "kws_dscnn_float.tflite"),
        shared("data", "kws", "calibration.npz"),
    )
    yield Figure(f"{what} float", "LiteRT", _accuracy(model, data), "%")
    yield Figure(
        f"{what} int8",
        "MLPerf Tiny reference",
        _accuracy(shared("models", "kws_dscnn_int8.tflite"), data),
        "%",
    )
    yield from _ours(what, model, data, npz)


def _images() -> Iterator[Figure]:
    what, data = "IC ResNet-8, 2000 images", datasets.cifar10(normalized=False)
    model, npz = shared("models", "ic_resnet8.h5"), shared("data", "cifar10", "calibration.npz")
    plain = edgepack(
        "ic_float", model, "--quantize", "none", "--formats", "tflite", target=commands.HOST
    )
    try:
        run(plain.argv)
        yield Figure(
            f"{what} float",
            "edgepack .tflite",
            _accuracy(commands.file_of(plain, ".tflite"), data),
            "%",
        )
    except Failed as problem:
        yield Figure(f"{what} float", "edgepack .tflite", None, "%", str(problem))
    yield from _ours(what, model, data, npz)
    try:
        command = commands.tflite_converter(model, data.file("cifar10"))
        run(command.argv)
        yield Figure(f"{what} int8", "TFLiteConverter", _accuracy(command.out, data), "%")
    except (Missing, Failed) as problem:
        yield Figure(f"{what} int8", "TFLiteConverter", None, "%", str(problem))


def _resnet() -> Iterator[Figure]:
    what, data = "CIFAR-10 ResNet-20, 2000 images", datasets.cifar10(normalized=True)
    weights, npz = (
        shared("models", "cifar10_resnet20.pth"),
        shared("data", "cifar10", "calibration.npz"),
    )
    factory = "benchmarks.models.resnet20:resnet20"
    more = ("--weights", str(weights), "--preprocess", "imagenet-torch")
    plain = edgepack(
        "resnet20_float", factory, "--quantize", "none", "--formats", "tflite", *more[:2]
    )
    run(plain.argv)
    yield Figure(
        f"{what} float",
        "edgepack .tflite",
        _accuracy(commands.file_of(plain, ".tflite"), data),
        "%",
    )
    yield from _ours(what, factory, data, npz, *more)
    yield from _mct(what, weights, data)


def _mct(what: str, weights: Path, data: datasets.Data) -> Iterator[Figure]:
    test = cache("cifar10_test.npz")
    np.savez(test, x=np.ascontiguousarray(data.x.transpose(0, 3, 1, 2)), y=data.y)
    try:
        command = commands.mct(weights, data.file("cifar10n", channels_first=True), test)
        done = run(command.argv).json()
    except (Missing, Failed) as problem:
        yield Figure(f"{what} int8", "Sony MCT PTQ", None, "%", str(problem))
        return
    yield Figure(f"{what} int8", "Sony MCT PTQ (simulated)", 100 * done["accuracy"], "%")
    yield Figure(f"{what} quantization alone", "Sony MCT PTQ", done["seconds"], "s")


def _accuracy(path: Path, data: datasets.Data) -> float:
    return score.accuracy(score.logits(path, data.x), data.y)
