"""Synthetic inputs for calibration without data: pictures of leaves, or smooth signals.

A network that was trained on photographs answers to edges, areas and shades; on white noise its
activations are far from what they will be (on EfficientNet-Lite0, 13 dB at the output with ranges
and means from white noise, 22 dB with those from leaves, 23 dB with those from photographs). The
leaves are the dead leaves model of natural images (Lee, Mumford and Huang 2001; that networks learn
from such pictures: Baradad et al. 2021, arXiv:2106.05963): discs and rectangles of all sizes, the
small ones the most frequent, cover one another; each has a colour and a shade across it.

What is no picture (spectrograms, sequences, vectors) gets 1/f noise around zero whose strength
differs by feature and by sample, since such features mostly stay far from their extremes.

All is drawn within the declared range of the inputs, from a seed: the same on every machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, Graph, Value

_Picture = npt.NDArray[np.float32]
_COLOURS: Final = (1, 3, 4)  # channels of pictures
_SMALLEST_PICTURE: Final = 24  # pixels along the shorter side
_LEAVES: Final = 150
_SMALLEST_LEAF: Final = 2.0  # radius in pixels
_COLOUR: Final = 0.3  # of a leaf's brightness: how far its channels differ
_SHADE: Final = 0.15  # standard deviation of the brightness from a leaf's middle to its rim
_FAINTEST: Final = 1 / 16  # of the strongest signal


def synthetic_inputs(
    graph: Graph, span: tuple[float, float], *, seed: int = 0, count: int = 16
) -> Iterator[list[Array]]:
    """`count` sets of inputs of `graph`, real ones within `span`, in the graph's own layout.

    Whole numbers are drawn where they are indices of a table, and zero elsewhere.
    """
    for index in range(count):
        yield [_draw(value, span, seed, index) for value in graph.inputs]


def is_picture(value: Value) -> bool:
    """Whether a value has the shape of pictures: four dimensions, 1, 3 or 4 channels, large."""
    return _channel_axis(value) is not None


def _channel_axis(value: Value) -> int | None:
    if value.rank != 4:
        return None
    for axis, sides in ((3, value.shape[1:3]), (1, value.shape[2:4])):
        if value.shape[axis] in _COLOURS and min(sides) >= _SMALLEST_PICTURE:
            return axis
    return None


def _draw(value: Value, span: tuple[float, float], seed: int, index: int) -> Array:
    rng = np.random.default_rng([seed, index, zlib.crc32(value.name.encode())])
    if not value.dtype.is_float:
        return rng.integers(0, _table_rows(value), value.shape).astype(value.dtype.numpy)
    low, high = span
    axis = _channel_axis(value)
    if axis is None:
        drawn = _signal(rng, value.shape, low, high)
    else:
        drawn = low + (high - low) * _pictures(rng, value, axis)
    return np.clip(drawn, low, high).astype(value.dtype.numpy)


def _table_rows(value: Value) -> int:
    """How many rows the smallest table has that `value` picks from; 1 when it picks from none."""
    rows = [
        node.input(0).shape[node.attrs["axis"]]
        for node in value.users
        if node.op == "Gather" and node.input(1) is value
    ]
    return min(rows, default=1)


# -- pictures --------------------------------------------------------------------------------------


def _pictures(rng: np.random.Generator, value: Value, axis: int) -> _Picture:
    """Pictures within 0..1 in the shape of `value`, whose channels are on `axis`."""
    batch, channels = value.shape[0], value.shape[axis]
    height, width = (size for i, size in enumerate(value.shape) if i not in (0, axis))
    drawn = np.stack([leaves(rng, height, width, channels) for _ in range(batch)])
    return np.ascontiguousarray(np.moveaxis(drawn, 3, axis))


def leaves(rng: np.random.Generator, height: int, width: int, channels: int) -> _Picture:
    """A picture of leaves, [height, width, channels] within 0..1."""
    picture = np.empty((height, width, channels), np.float32)
    picture[:] = rng.random(channels)
    largest = max(height, width) / 2
    for _ in range(_LEAVES):
        radius = _SMALLEST_LEAF * (largest / _SMALLEST_LEAF) ** rng.random()
        _cover(picture, rng, radius)
    return np.clip(picture, 0, 1)


def _cover(picture: _Picture, rng: np.random.Generator, radius: float) -> None:
    """Put one leaf somewhere on the picture."""
    height, width, channels = picture.shape
    y, x = rng.random() * height, rng.random() * width
    angle, flatness = rng.random() * np.pi, 0.2 + 0.8 * rng.random()
    is_disc = rng.random() < 0.5
    colour = (1 - _COLOUR) * rng.random() + _COLOUR * rng.random(channels)
    slope_y, slope_x = _SHADE * rng.standard_normal(2)

    top, left = max(0, int(y - radius)), max(0, int(x - radius))
    patch = picture[top : int(y + radius) + 2, left : int(x + radius) + 2]
    down = (np.arange(top, top + patch.shape[0]) - y)[:, None] / radius
    across = (np.arange(left, left + patch.shape[1]) - x)[None, :] / radius
    if is_disc:
        inside = down**2 + across**2 < 1
    else:
        along = down * np.cos(angle) + across * np.sin(angle)
        beside = across * np.cos(angle) - down * np.sin(angle)
        inside = (np.abs(along) < np.sqrt(0.5)) & (np.abs(beside) < np.sqrt(0.5) * flatness)
    shade = slope_y * down + slope_x * across
    patch[inside] = (shade[..., None] + colour).astype(np.float32)[inside]


# -- signals ---------------------------------------------------------------------------------------


def _signal(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Array:
    """1/f noise in `shape`, positive up to `high`, negative down to `low`, mostly far from both."""
    middle = min(max(0.0, low), high)
    features = shape[-1:] if len(shape) > 2 else ()
    strength = _FAINTEST ** rng.random((shape[0], *(1,) * (len(shape) - 1)))
    strength = strength * _FAINTEST ** rng.random(features)
    wave = strength * _smooth(rng, shape) / 3
    if middle in (low, high):  # there is one side only
        wave = np.abs(wave) if middle == low else -np.abs(wave)
    drawn: Array = middle + np.where(wave > 0, wave * (high - middle), wave * (middle - low))
    return drawn


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """1/f noise of unit variance along all dimensions but the first."""
    axes = tuple(i for i in range(1, len(shape)) if shape[i] > 1)
    noise = rng.standard_normal(shape)
    if not axes:
        return noise
    grids = np.meshgrid(*(np.fft.fftfreq(shape[i]) * shape[i] for i in axes), indexing="ij")
    frequency = np.sqrt(sum(grid**2 for grid in grids)).clip(min=1.0)
    kept = [size if i in axes else 1 for i, size in enumerate(shape)]
    spectrum = np.fft.fftn(noise, axes=axes) / frequency.reshape(kept)
    wave: Array = np.fft.ifftn(spectrum, axes=axes).real
    return wave / max(float(wave.std()), 1e-12)
