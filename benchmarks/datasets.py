"""The shared data as arrays, preprocessed as each model wants; kept in the cache as .npy files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.places import cache, shared

Array = npt.NDArray[np.float32]
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True)
class Data:
    """Inputs [N, H, W, C] (or [N, ...]) as the model takes them, labels [N] of the test part.

    There may be no labels, [0]; with `classes` the answer is the largest output.
    """

    calibration: Array
    x: Array
    y: npt.NDArray[np.int64]
    classes: bool = True

    def file(self, name: str, *, channels_first: bool = False) -> Path:
        """The calibration samples as a .npy file in the cache."""
        path = cache(f"{name}_{'nchw' if channels_first else 'nhwc'}.npy")
        data = self.calibration.transpose(0, 3, 1, 2) if channels_first else self.calibration
        np.save(path, np.ascontiguousarray(data))
        return path


def imagenet() -> Data:
    """100 + 300 images [224, 224, 3], (RGB - 127) / 128."""
    calibration, _ = _folder("calibration")
    return Data(calibration, *_folder("test"))


def _folder(part: str) -> tuple[Array, npt.NDArray[np.int64]]:
    from PIL import Image

    files = sorted(shared("data", "imagenet", part).iterdir())
    pixels = np.stack([np.asarray(Image.open(f).convert("RGB"), np.float32) for f in files])
    return (pixels - 127) / 128, np.array([int(f.name[:3]) for f in files])


def cifar10(*, normalized: bool) -> Data:
    """100 + 2,000 images [32, 32, 3]: RGB 0..255, or by ImageNet's mean and deviation."""
    parts = {
        part: np.load(shared("data", "cifar10", f"{part}.npz")) for part in ("calibration", "test")
    }

    def prepared(part: str) -> Array:
        pixels = parts[part]["x"].astype(np.float32)
        return (pixels / 255 - _IMAGENET_MEAN) / _IMAGENET_STD if normalized else pixels

    return Data(prepared("calibration")[:100], prepared("test"), parts["test"]["y"].reshape(-1))


def keywords() -> Data:
    """100 + 400 spectrograms of MLPerf Tiny's keyword spotting."""
    parts = {
        part: np.load(shared("data", "kws", f"{part}.npz")) for part in ("calibration", "test")
    }
    return Data(parts["calibration"]["x"], parts["test"]["x"], parts["test"]["y"].reshape(-1))
