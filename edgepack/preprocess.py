"""What turns raw samples into a model's input: y = (x * scale - mean) / std, and how images fit.

A spec is written on the command line (`mean=127,std=128`, `scale=1/255`, per channel
`mean=0.485/0.456/0.406`), or is the name of a file in `calibration/`, or a path to such a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepack.errors import BadData
from edgepack.strict_toml import data_folder, near, read_toml

FloatArray = npt.NDArray[np.float32]

KEYS = ("scale", "mean", "std", "resize", "channels")
RESIZES = ("stretch", "crop")
CHANNELS = ("rgb", "bgr")
SYNTAX = "expected e.g. mean=127,std=128 or scale=1/255 or mean=0.485/0.456/0.406"


@dataclass(frozen=True, slots=True)
class Preprocess:
    """y = (x * scale - mean) / std, with one value or one per channel for mean and std.

    `resize` says how an image file reaches the model's height and width: `stretch` each side, or
    scale the shorter side and `crop` the centre. `channels` is the order of colour image files.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: Literal["stretch", "crop"] = "stretch"
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        """Raise BadData for values that cannot normalise anything."""
        for name, values in (("scale", (self.scale,)), ("mean", self.mean), ("std", self.std)):
            if not all(math.isfinite(value) for value in values):
                raise BadData(f"preprocess {name} must be finite, found {values}")
        if self.scale == 0 or not all(self.std):
            raise BadData("preprocess scale and std must not be zero", hint=SYNTAX)

    @property
    def channel_count(self) -> int:
        """How many channels it is made for; 1 when it treats all alike."""
        return max(len(self.mean), len(self.std))

    @property
    def is_identity(self) -> bool:
        """Whether it leaves values as they are."""
        return (self.scale, self.mean, self.std) == (1.0, (0.0,), (1.0,))

    def check_channels(self, channels: int) -> None:
        """Raise BadData when per-channel values do not match `channels`."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise BadData(
                    f"preprocess {name} has {len(values)} values, the model's input {channels} "
                    "channels",
                    hint=f"give one value, or {channels} separated by /",
                )

    def __call__(self, values: FloatArray, channel_axis: int = -1) -> FloatArray:
        """The model's input for raw `values` (float32, any shape), channels on `channel_axis`."""
        if self.is_identity:
            return values
        shape = [1] * values.ndim
        shape[channel_axis] = -1
        mean = np.array(self.mean, np.float32).reshape(shape if len(self.mean) > 1 else ())
        std = np.array(self.std, np.float32).reshape(shape if len(self.std) > 1 else ())
        return ((values * np.float32(self.scale) - mean) / std).astype(np.float32)


def parse_preprocess(spec: str | Preprocess | None) -> Preprocess:
    """The preprocessing that `spec` (module docstring) describes; None leaves data as it is.

    Raises BadData for a name that is not in calibration/ and for a spec it cannot parse.
    """
    if isinstance(spec, Preprocess):
        return spec
    if spec is None or not spec.strip():
        return Preprocess()
    if spec.endswith(".toml"):
        return _read(Path(spec))
    if "=" not in spec:
        return _named(spec.strip())
    return _inline(spec)


def preprocess_names() -> tuple[str, ...]:
    """The named specs that ship with edgepack."""
    return tuple(sorted(path.stem for path in data_folder("calibration").glob("*.toml")))


def _named(name: str) -> Preprocess:
    names = preprocess_names()
    if name not in names:
        raise BadData(f"no preprocessing is called {name!r}", hint=f"{near(name, names)}; {SYNTAX}")
    return _read(data_folder("calibration") / f"{name}.toml")


def _inline(spec: str) -> Preprocess:
    parts: dict[str, str] = {}
    for part in spec.split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or key in parts or key not in KEYS:
            why = "is given twice" if key in parts else "is not part of a preprocess spec"
            raise BadData(f"{part.strip()!r} {why} (in {spec!r})", hint=SYNTAX)
        parts[key] = value
    resize = _choice("resize", parts.get("resize", "stretch"), RESIZES)
    channels = _choice("channels", parts.get("channels", "rgb"), CHANNELS)
    return Preprocess(
        scale=_fraction(parts.get("scale", "1")),
        mean=_numbers("mean", parts.get("mean", "0")),
        std=_numbers("std", parts.get("std", "1")),
        resize="crop" if resize == "crop" else "stretch",
        channels="bgr" if channels == "bgr" else "rgb",
    )


def _choice(key: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise BadData(f"preprocess {key} is {value!r}", hint=f"use {' or '.join(known)}")
    return value


def _numbers(key: str, text: str) -> tuple[float, ...]:
    """Numbers separated by slashes, one per channel."""
    try:
        return tuple(float(word) for word in text.split("/"))
    except ValueError:
        raise BadData(f"preprocess {key}={text!r} is not a number", hint=SYNTAX) from None


def _fraction(text: str) -> float:
    """A number or a fraction such as 1/255."""
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        raise BadData(f"preprocess scale={text!r} is not a number", hint=SYNTAX) from None


def _read(path: Path) -> Preprocess:
    table = read_toml(path, BadData)
    for key in ("id", "name", "source"):
        table.text(key, "-")
    written_out = "scale" in table and isinstance(table.raw("scale"), str)
    scale = _fraction(table.text("scale")) if written_out else table.number("scale", 1.0)
    resize = table.text("resize", "stretch", one_of=RESIZES)
    channels = table.text("channels", "rgb", one_of=CHANNELS)
    preprocess = Preprocess(
        scale=scale,
        mean=table.numbers("mean", (0.0,)),
        std=table.numbers("std", (1.0,)),
        resize="crop" if resize == "crop" else "stretch",
        channels="bgr" if channels == "bgr" else "rgb",
    )
    table.finish()
    return preprocess
