"""Quantized networks beside float: top-1, SQNR of the logits, top-1 agreement with float.

EfficientNet-Lite0 (300 images, 100 others for calibration), and MLPerf Tiny's KWS and IC and a
ResNet-20 for CIFAR-10; every scheme that has a figure to keep, calibrated and without data, and
the peers' files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import commands, datasets, score
from benchmarks.commands import HOST, MICRO, Command
from benchmarks.figures import Figure
from benchmarks.measure import Failed, run
from benchmarks.models import efficientnet_lite0
from benchmarks.places import Missing, shared

Options = tuple[str | Path, ...]
Makers = Mapping[tuple[str, str], Callable[[], Command]]  # by (what, who)
BOTH: Options = ("--formats", "tflite,onnx")
TFLITE: Options = ("--formats", "tflite")
INT8: Options = ("--quantize", "int8")
W4A8: Options = ("--quantize", "w4a8")
# what the reference int8 model takes
KWS_DATA_FREE: Options = ("--data-free", "--input-range=-123.4,25.7")
RESNET20 = "benchmarks.models.resnet20:resnet20"


@dataclass(frozen=True, slots=True)
class Network:
    """A model, its test data, and what options calibrate it or stand in for data.

    `float_options` make its float file, which all is compared with.
    """

    name: str
    model: str | Path
    data: datasets.Data
    calibrated: Options
    data_free: Options
    target: str = HOST
    float_options: Options = ()

    def export(self, name: str, *options: str | Path) -> Callable[[], Command]:
        """What makes `edgepack export` with these options, into a folder of its own."""
        folder = f"{self.name.split()[0].lower()}_{name}".replace(" ", "_")
        every = (*options, *self.float_options)
        return lambda: commands.edgepack(folder, self.model, *every, target=self.target)


def quality() -> Iterator[Figure]:
    """Float, ours and the peers', network by network."""
    for make in (_efficientnet, _keywords, _trained_keywords, _images, _resnet):
        try:
            network, makers = make()
        except Missing as problem:
            yield Figure(make.__name__.strip("_"), "float", None, "%", str(problem))
            continue
        yield from _compared(network, makers)


def _efficientnet() -> tuple[Network, Makers]:
    model, data = efficientnet_lite0.onnx_file(), datasets.imagenet()
    samples = data.file("imagenet", channels_first=True)
    span = ("--data-free", "--input-range=-1,1")
    calibration = ("--calibration", samples)
    net = Network("EfficientNet-Lite0", model, data, calibration, span)
    torch = Network("EfficientNet-Lite0", commands.EFFICIENTNET, data, (),
                    (*span, "--input-shape", "1,3,224,224"))  # fmt: skip
    tensor: Options = ("--per-tensor",)
    return net, {
        **_ours(net, "int8", BOTH + INT8, efforts=(0, 1)),
        **_ours(net, "int8 per-tensor", BOTH + INT8 + tensor, efforts=(0, 1)),
        ("int8 data-free, PyTorch", "edgepack"):
            torch.export("torch", *TFLITE, *INT8, *torch.data_free),
        **_ours(net, "w4a8", TFLITE + W4A8, efforts=(0, 1)),
        **_ours(net, "int16x8", TFLITE + ("--quantize", "int16x8"), efforts=(0,)),
        ("int8", "ORT static"): lambda: commands.ort_static(model, samples),
        ("int8 per-tensor", "ORT static"):
            lambda: commands.ort_static(model, samples, "--per-tensor"),
        ("int8", "AI Edge Quantizer"): lambda: commands.litert_int8(samples),
        ("w4a8", "AI Edge Quantizer"): lambda: commands.litert_w4a8(samples),
    }  # fmt: skip


def _keywords() -> tuple[Network, Makers]:
    net = Network(
        "KWS DS-CNN", shared("models", "kws_dscnn_float.tflite"), datasets.keywords(),
        ("--calibration", shared("data", "kws", "calibration.npz")), KWS_DATA_FREE, MICRO,
    )  # fmt: skip
    reference = shared("models", "kws_dscnn_int8.tflite")
    return net, {
        **_small(net),
        ("int8", "MLPerf Tiny reference"): lambda: Command((), reference),
    }  # fmt: skip


def _trained_keywords() -> tuple[Network, Makers]:
    """As it was trained, with BatchNorm: not quite the same weights as the float file's."""
    net = replace(
        _keywords()[0], name="KWS-SavedModel", model=shared("models", "kws_dscnn_savedmodel")
    )
    return net, _ours(net, "int8", TFLITE + INT8, efforts=(0,))


def _images() -> tuple[Network, Makers]:
    model, data = shared("models", "ic_resnet8.h5"), datasets.cifar10(normalized=False)
    net = Network(
        "IC ResNet-8", model, data,
        ("--calibration", shared("data", "cifar10", "calibration.npz")),
        ("--data-free", "--input-range=0,255"), MICRO,
    )  # fmt: skip
    samples = data.file("cifar10")
    return net, {
        **_small(net),
        ("int8", "TFLiteConverter"): lambda: commands.tflite_converter(model, samples),
    }


def _resnet() -> tuple[Network, Makers]:
    data = datasets.cifar10(normalized=True)
    calibration = shared("data", "cifar10", "calibration.npz")
    net = Network(
        "ResNet-20", RESNET20, data,
        ("--calibration", calibration, "--preprocess", "imagenet-torch"),
        ("--data-free", "--input-range=-2.12,2.64"), MICRO,
        ("--weights", shared("models", "cifar10_resnet20.pth")),
    )  # fmt: skip
    return net, _small(net)


def _small(net: Network) -> Makers:
    return {
        **_ours(net, "int8", BOTH + INT8, efforts=(0, 1)),
        **_ours(net, "w4a8", TFLITE + W4A8, efforts=(0, 1)),
    }


def _ours(net: Network, what: str, options: Options, efforts: tuple[int, ...]) -> Makers:
    """Calibrated and data-free, with each effort; inputs and outputs are real."""
    made: dict[tuple[str, str], Callable[[], Command]] = {}
    for data, given in (("", net.calibrated), (" data-free", net.data_free)):
        for effort in efforts:
            name = f"{what}{data}, effort {effort}"
            effort_option: Options = ("--effort", str(effort), "--io", "float")
            made[name, "edgepack"] = net.export(name, *options, *given, *effort_option)
    return made


def _compared(net: Network, makers: Makers) -> Iterator[Figure]:
    plain = net.export("float", "--quantize", "none", *TFLITE)()
    run(plain.argv)
    path = commands.file_of(plain, ".tflite")
    real = Answers.of(path, net.data)
    yield Figure(
        f"{net.name} float", "edgepack .tflite", score.accuracy(real.given, net.data.y), "%"
    )
    for (what, who), make in makers.items():
        name = f"{net.name} {what}"
        try:
            command = make()
            if command.argv:
                run(command.argv)
        except (Missing, Failed) as problem:
            yield Figure(name, who, None, "%", str(problem))
            continue
        for file in commands.files_of(command):
            yield from _figures(
                name, f"{who} {file.suffix}", Answers.of(file, net.data), real, net.data
            )


@dataclass(frozen=True, slots=True)
class Answers:
    """What a file gives, [N, classes], and what goes into the softmax at its end, if known."""

    given: score.Array
    logits: score.Array | None

    @classmethod
    def of(cls, path: Path, data: datasets.Data) -> Answers:
        """Of every test sample."""
        given, cut = score.logits(path, data.x), score.before_softmax(path)
        logits = None if cut is None else given if cut == path else score.logits(cut, data.x)
        return cls(given, logits)


def _figures(
    what: str, who: str, found: Answers, real: Answers, data: datasets.Data
) -> Iterator[Figure]:
    yield Figure(what, who, score.accuracy(found.given, data.y), "%")
    yield Figure(f"{what}, as float", who, score.agreement(real.given, found.given), "%")
    if found.logits is not None and real.logits is not None:
        yield Figure(f"{what}, logits", who, score.sqnr_db(real.logits, found.logits), "dB")
