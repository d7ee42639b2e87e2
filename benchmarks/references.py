"""Small networks that others published in int8 too: what our int8 is beside theirs.

On the same inputs, which `features` makes where the networks' own are not here. Where only the int8
file was published, the real model is what that file stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks import features
from benchmarks.commands import MICRO, Command
from benchmarks.compare import BOTH, INT8, Makers, Network, ours
from benchmarks.datasets import Data
from benchmarks.places import shared
from benchmarks.twin import real_twin

_REFERENCE: Final = "reference"


def visual_wake_words() -> tuple[Network, Makers]:
    """MLPerf Tiny's person detector, a MobileNet."""
    model = shared("models", "vww_mobilenet.h5")
    return _beside("VWW", model, features.visual_wake_words(), "vww_mobilenet_int8.tflite")


def anomalies() -> tuple[Network, Makers]:
    """MLPerf Tiny's autoencoder of machine sounds."""
    model = shared("models", "ad_autoencoder.h5")
    return _beside("AD", model, features.anomalies(), "ad_autoencoder_int8.tflite")


def wake_words() -> tuple[Network, Makers]:
    """MLPerf Tiny's streaming wake word, of which no int8 file was published."""
    return _beside("SWW", shared("models", "sww_conv.h5"), features.wake_words())


def noise_suppression() -> tuple[Network, Makers]:
    """TensorFlow Lite Micro's DTLN: two LSTMs that make a mask."""
    theirs = "dtln_noise_suppression.tflite"
    return _beside("DTLN", real_twin(shared("models", theirs)), features.noisy_speech(), theirs)


def handwriting() -> tuple[Network, Makers]:
    """TensorFlow Lite Micro's LSTM that reads digits line by line."""
    theirs = "mnist_lstm_int8.tflite"
    return _beside("MNIST-LSTM", real_twin(shared("models", theirs)), features.digits(), theirs)


NETWORKS: Final = (visual_wake_words, anomalies, wake_words, noise_suppression, handwriting)


def _beside(
    name: str, model: Path, data: Data, theirs: str | None = None
) -> tuple[Network, Makers]:
    calibration = data.file(name.lower())
    every = ("--calibration", calibration, "--samples", str(len(data.calibration)))
    net = Network(name, model, data, every, ("--data-free",), MICRO)
    made: Mapping[tuple[str, str], Callable[[], Command]] = {}
    if theirs is not None:
        reference = shared("models", theirs)
        made = {("int8", _REFERENCE): lambda: Command((), reference)}
    return net, {**ours(net, "int8", BOTH + INT8, efforts=(0, 1), free=False), **made}
