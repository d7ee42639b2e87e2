"""Inputs for models whose own data is not here: made of the recordings and pictures that are.

Keyword spotting's inputs are real recordings as ten cepstral coefficients in 49 frames. The inverse
cosine transform makes smooth spectra of them, which other audio models then see in the units that
theirs have. A network does not get from them what it was trained for, but inputs of the same kind,
and what quantization costs is measured on the same inputs for everyone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.datasets import Array, Data, keywords
from benchmarks.places import Missing, shared

_BANDS = 40  # of the filter bank that the coefficients were made from
_ANOMALIES_DB = (-84.9, 14.9)  # what the reference int8 models' inputs hold
_MICRO_FEATURES = 26.0
_MAGNITUDES = 17.5
_NO_LABELS = np.empty(0, np.int64)


def visual_wake_words() -> Data:
    """ImageNet's 100 + 300 photographs, [96, 96, 3] in 0..1."""
    return Data(_photographs("calibration"), _photographs("test"), _NO_LABELS)


def _photographs(part: str) -> Array:
    from PIL import Image

    files = sorted(shared("data", "imagenet", part).iterdir())
    small = (Image.open(file).convert("RGB").resize((96, 96)) for file in files)
    return np.stack([np.asarray(image, np.float32) for image in small]) / 255


def anomalies() -> Data:
    """100 + 400 windows of five frames of 128 bands, [640], in the span of the machine sounds."""
    low, high = _ANOMALIES_DB

    def windows(x: Array) -> Array:
        spectra = _scaled(_spectra(x, 128), low, high)
        start = np.arange(len(x)) % (spectra.shape[1] - 5)
        return np.stack([s[i : i + 5].reshape(-1) for s, i in zip(spectra, start, strict=True)])

    return _of_recordings(windows)


def wake_words() -> Data:
    """100 + 400 clips, [30, 1, 40], in the span of TensorFlow Lite Micro's microfrontend."""
    return _of_recordings(
        lambda x: _scaled(_spectra(x, _BANDS)[:, 10:40, None], 0.0, _MICRO_FEATURES),
        classes=True,
    )


def noisy_speech() -> Data:
    """100 + 400 frames of magnitudes, [1, 257], the loudest of each recording."""

    def frames(x: Array) -> Array:
        spectra = _spectra(x, 257)
        loudest = spectra.mean(axis=2).argmax(axis=1)
        chosen = spectra[np.arange(len(x)), loudest]
        magnitudes = np.exp((chosen - chosen.max(axis=1, keepdims=True)) / 2)
        loudness = np.linspace(0.3, 1.0, len(x), dtype=np.float32)[:, None]
        return (_MAGNITUDES * loudness * magnitudes)[:, None].astype(np.float32)

    return _of_recordings(frames)


def digits() -> Data:
    """1,347 + 450 of scikit-learn's handwritten digits, [28, 28] in 0..1, made larger."""
    try:
        from PIL import Image
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as problem:
        raise Missing(f"{problem.name} is not installed: pip install scikit-learn") from problem
    x, y = load_digits(return_X_y=True)
    pixels = (x.reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    sizes = (Image.fromarray(p).resize((20, 20), Image.Resampling.BICUBIC) for p in pixels)
    large = np.pad(np.stack([np.asarray(p, np.float32) for p in sizes]), ((0, 0), (4, 4), (4, 4)))
    test = np.arange(len(y)) % 4 == 0  # of all writers
    return Data(large[~test] / 255, large[test] / 255, y[test])


def _of_recordings(make: Callable[[Array], Array], *, classes: bool = False) -> Data:
    recordings = keywords()
    return Data(make(recordings.calibration), make(recordings.x), _NO_LABELS, classes)


def _spectra(cepstra: Array, bands: int) -> Array:
    """Log spectra [N, 49, bands] of coefficients [N, 49, 10, 1] (orthonormal cosine transform)."""
    count = cepstra.shape[2]
    places = (np.arange(bands) + 0.5) / bands
    waves = np.cos(np.pi * np.arange(count)[:, None] * places) * np.sqrt(2 / _BANDS)
    waves[0] /= np.sqrt(2)
    return np.asarray(cepstra[..., 0] @ waves, np.float32)


def _scaled(x: Array, low: float, high: float) -> Array:
    """Into low..high, by what recordings have: nearly all between -18 and 8."""
    return np.clip((x + 18) / 26 * (high - low) + low, low, high).astype(np.float32)
