"""What the weights of a layer meet: patches of its input, and their second moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, Node
from edgepack.kernels.convolution import out_spatial, pad_spatial, taps
from edgepack.quantize.gptq import Float

_ROWS: Final = 384  # patches read per sample: those of one image resemble one another
_DRIFT: Final = 0.3  # variance of a channel's mean from input to input, of its square, not yet seen

PATCHED_OPS: Final = ("Conv2d", "DepthwiseConv2d", "FullyConnected")


def grouped_weights(node: Node, w: Array) -> Float:
    """Weights as [groups, rows, n], float64.

    `n` runs as in one output channel: kernel positions, then channels of the group; a depthwise
    layer has one group of one row per output channel.
    """
    if node.op == "DepthwiseConv2d":
        return w.reshape(-1, w.shape[-1]).T[:, None, :].astype(np.float64)
    groups = node.attrs.get("groups", 1)
    return w.reshape(groups, len(w) // groups, -1).astype(np.float64)


def ungrouped_weights(node: Node, w: Float, shape: tuple[int, ...]) -> Float:
    """The way back from `grouped_weights` to the weights' own `shape`."""
    return w[:, 0, :].T.reshape(shape) if node.op == "DepthwiseConv2d" else w.reshape(shape)


@dataclass(frozen=True, slots=True)
class Places:
    """Which patches to read: every `step`th row and column of the output from (top, left) on."""

    step: int
    top: int
    left: int

    @classmethod
    def drawn(cls, node: Node, rng: np.random.Generator) -> Places:
        """A grid of a few hundred places at a random offset."""
        if node.op == "FullyConnected":
            return cls(1, 0, 0)
        step = max(1, math.ceil(math.sqrt(math.prod(out_spatial(node)) / _ROWS)))
        top, left = (int(k) for k in rng.integers(0, step, 2))
        return cls(step, top, left)


def patches(node: Node, x: Array, places: Places, fill: int = 0) -> Array:
    """The patches of `x` [1, …] at `places`, [groups, rows, n] as in `grouped_weights`.

    `fill` is what zero padding is in x (the zero point of integers).
    """
    if node.op == "FullyConnected":
        return x.reshape(1, -1, node.input(1).shape[-1])
    spatial, step = out_spatial(node), places.step
    padded = pad_spatial(x, node.attrs["pad"], fill)
    views = [
        view[:, places.top :: step, places.left :: step].reshape(-1, x.shape[-1])
        for _, view in taps(padded, node.input(1).shape[1:3], node.attrs, spatial)
    ]
    rows = np.stack(views, axis=1)  # [rows, positions, channels]
    if node.op == "DepthwiseConv2d":
        rows = np.repeat(rows, node.output.shape[-1] // x.shape[-1], axis=2)
        return np.ascontiguousarray(rows.transpose(2, 0, 1))
    groups = node.attrs["groups"]
    grouped = rows.reshape(*rows.shape[:2], groups, -1).transpose(2, 0, 1, 3)
    return grouped.reshape(groups, len(rows), -1)


class Moments:
    """Means of patches x (real) and q (as quantized), E[q q'] and E[x q'], as samples come in."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[Float] = []

    def add(self, x: npt.NDArray[np.float32], q: npt.NDArray[np.float32] | None = None) -> None:
        """Take patches [groups, rows, n] of one sample; without `q` the real ones stand for it."""
        self._count += x.shape[1]
        new = [_sum(x), _product(x, x)] if q is None else [
            _sum(q), _product(q, q), _sum(x), _product(x, q)]  # fmt: skip
        self._sums = [a + b for a, b in zip(self._sums, new, strict=True)] if self._sums else new

    @property
    def means(self) -> tuple[Float, Float]:
        """E[x] and E[q], [groups, n]."""
        q, x = self._sums[0], self._sums[-2]
        return x / self._count, q / self._count

    @property
    def covariances(self) -> tuple[Float, Float]:
        """Of q with itself and of x with q, [groups, n, n]: the bias takes care of the means."""
        x, q = self.means
        gram = self._sums[1] / self._count - q[:, :, None] * q[:, None, :]
        return gram, self._sums[-1] / self._count - x[:, :, None] * q[:, None, :]

    def hedged_covariances(self, channels: int) -> tuple[Float, Float]:
        """The same for inputs that only resemble those that were seen.

        n numbers seen in few rows seem to depend on each other more than they do: a share
        n / (n + rows) of the dependence is dropped. And means of channels, of which a group has
        `channels`, differ from input to input more than they did here.
        """
        (x, q), (gram, cross) = self.means, self.covariances
        n = gram.shape[-1]
        kept = self._count / (n + self._count) + n / (n + self._count) * np.eye(n)
        channel = np.arange(n) % channels
        drift = np.where(channel[:, None] == channel, _DRIFT, 0.0) * q[:, None, :]
        return gram * kept + drift * q[:, :, None], cross * kept + drift * x[:, :, None]


def _sum(x: npt.NDArray[np.float32]) -> Float:
    total: Float = x.sum(axis=1, dtype=np.float64)
    return total


def _product(x: npt.NDArray[np.float32], q: npt.NDArray[np.float32]) -> Float:
    product: Float = np.matmul(x.transpose(0, 2, 1), q).astype(np.float64)
    return product
