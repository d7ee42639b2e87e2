"""Quantized networks beside float: top-1, SQNR of the logits, top-1 agreement with float.

EfficientNet-Lite0 (300 images, 100 others for calibration), MLPerf Tiny's networks, a ResNet-20
for CIFAR-10, and two networks with LSTMs; every scheme that has a figure to keep, calibrated and
without data, and the peers' files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks import commands, datasets, references
from benchmarks.commands import MICRO, Command
from benchmarks.compare import BOTH, INT8, TFLITE, Makers, Network, Options, compared, ours
from benchmarks.figures import Figure
from benchmarks.measure import Failed
from benchmarks.models import efficientnet_lite0
from benchmarks.places import Missing, shared

W4A8: Options = ("--quantize", "w4a8")
# what the reference int8 model takes
KWS_DATA_FREE: Options = ("--data-free", "--input-range=-123.4,25.7")
RESNET20 = "benchmarks.models.resnet20:resnet20"


def quality() -> Iterator[Figure]:
    """Float, ours and the peers', network by network."""
    makes = (_efficientnet, _keywords, _trained_keywords, _images, _resnet, *references.NETWORKS)
    for make in makes:
        try:
            yield from compared(*make())
        except (Missing, Failed) as problem:
            yield Figure(make.__name__.strip("_"), "float", None, "%", str(problem))


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
        **ours(net, "int8", BOTH + INT8, efforts=(0, 1)),
        **ours(net, "int8 per-tensor", BOTH + INT8 + tensor, efforts=(0, 1)),
        ("int8 data-free, PyTorch", "edgepack"):
            torch.export("torch", *TFLITE, *INT8, *torch.data_free),
        **ours(net, "w4a8", TFLITE + W4A8, efforts=(0, 1)),
        **ours(net, "int16x8", TFLITE + ("--quantize", "int16x8"), efforts=(0, 1)),
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
    return net, ours(net, "int8", TFLITE + INT8, efforts=(0,))


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
        **ours(net, "int8", BOTH + INT8, efforts=(0, 1)),
        **ours(net, "w4a8", TFLITE + W4A8, efforts=(0, 1)),
    }
