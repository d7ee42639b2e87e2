"""From what was seen to the range that the integers span.

Candidates of `auto` for each tensor: the extremes (min-max), the 99.99th percentile, and clippings
of both ends alike (mse); the one with the smallest error wins. `kl` and `octav` are no candidates:
alone they lose up to 22 and 8 dB on EfficientNet-Lite0; at best `octav` gains 0.4 dB on small nets.
Clipping must earn its place: errors at the tails reach the model's output more than their local
size says (large activations are the ones that decide), so they weigh in with `_CLIP_WEIGHT`. On
EfficientNet-Lite0 a weight of 1 costs 6 dB at the output; from 10 to 2,000 it makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import Array, DType, QuantParams
from edgepack.quantize.statistics import Statistics

_PERCENTILE: Final = 99.99
_SHRINKS: Final = np.linspace(1.0, 0.3, 29)
_CLIP_WEIGHT: Final = 50.0
_KL_BINS: Final = 2048
_KL_STEPS: Final = 128
_KL_LEAST: Final = 0.1
_KL_FLOOR: Final = 1e-4  # probability of a bin that the integers deny
_OCTAV_ROUNDS: Final = 60
_OCTAV_CLOSE: Final = 1e-4
_SMALLEST_SPAN: Final = 1e-6
_SPAN_OF_ZERO: Final = 1.0  # of a value that is always zero: XNNPACK loads no model whose scales
#                             are more than 256 times apart


@dataclass(frozen=True, slots=True)
class Range:
    """Real numbers from `low` to `high`, and how they were chosen: `method` for the report."""

    low: float
    high: float
    method: str

    def united(self, other: Range) -> Range:
        """The smallest range that holds both."""
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Range(low, high, self.method if self.method == other.method else "union")

    def params(self, dtype: DType) -> QuantParams:
        """Scale and zero point that cover this range and hold zero exactly.

        int8 and uint8 are asymmetric; int16 is symmetric with zero point 0 (TFLite 16x8).
        """
        bottom, top = dtype.limits
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if high - low < _SMALLEST_SPAN:
            high = low + _SPAN_OF_ZERO
        if dtype is DType.INT16:
            return QuantParams.per_tensor(max(-low, high) / top, 0)
        scale = float(np.float32((high - low) / (top - bottom)))
        return QuantParams.per_tensor(scale, int(np.clip(round(bottom - low / scale), bottom, top)))


def choose_range(seen: Statistics, dtype: DType, method: str = "auto") -> Range:
    """The range of an activation; `method` is one of `options.METHODS`."""
    candidates = _candidates(seen, dtype, method)
    if len(candidates) == 1:
        return candidates[0]
    best, least = candidates[0], np.inf
    with np.errstate(over="ignore"):  # of values beyond 1e19: the first, min-max, is chosen then
        for candidate in candidates:
            error = _error(seen, candidate, dtype, least)
            if error < least:
                best, least = candidate, error
    return best


def _candidates(seen: Statistics, dtype: DType, method: str) -> list[Range]:
    whole = Range(seen.low, seen.high, "min-max")
    if dtype is DType.INT16 or method == "min-max" or seen.high <= seen.low:
        return [whole]
    if method == "percentile":
        return [_percentile(seen)]
    if method == "mse":
        return _shrunk(seen)
    if method in _SEARCHES:
        return [_SEARCHES[method](seen, dtype)]
    return [whole, _percentile(seen), *_shrunk(seen)]


def _percentile(seen: Statistics) -> Range:
    low, high = np.percentile(seen.sample, [100 - _PERCENTILE, _PERCENTILE])
    if not low < high:  # of a value that is nearly always zero: what is rare is all there is
        return Range(seen.low, seen.high, "min-max")
    return Range(float(low), float(high), "percentile")


def _shrunk(seen: Statistics) -> list[Range]:
    return [Range(seen.low * k, seen.high * k, "mse") for k in _SHRINKS[1:]]


def _kl(seen: Statistics, dtype: DType) -> Range:
    """The range whose integers tell least wrong how the values are distributed.

    Both ends shrink alike. The histogram of what is kept, what is clipped counted at the ends, is
    compared with the same histogram as the integers have it: spread evenly over each one's bins
    that are not empty. Their Kullback-Leibler divergence decides, as in TensorRT's calibration.
    """
    sample = _nonzero(seen)
    if not sample.size:
        return Range(seen.low, seen.high, "min-max")
    counts = np.histogram(sample, bins=_KL_BINS, range=(seen.low, seen.high))[0]
    middles = seen.low + (np.arange(_KL_BINS) + 0.5) * (seen.high - seen.low) / _KL_BINS
    shrinks = np.linspace(1.0, _KL_LEAST, _KL_STEPS)
    ranges = [Range(seen.low * k, seen.high * k, "kl") for k in shrinks]
    return ranges[int(np.argmin([_divergence(counts, middles, r, dtype) for r in ranges]))]


def _divergence(counts: Array, middles: Array, candidate: Range, dtype: DType) -> float:
    """Of the clipped histogram from what the integers tell of it, in nats."""
    kept = (middles >= candidate.low) & (middles <= candidate.high)
    first, last = np.flatnonzero(kept)[[0, -1]]
    inside, q = counts[first : last + 1].astype(np.float64), candidate.params(dtype)
    wanted = inside.copy()
    wanted[0] += counts[:first].sum()
    wanted[-1] += counts[last + 1 :].sum()
    steps = q.quantize(middles[first : last + 1], dtype).astype(np.int64) - dtype.limits[0]
    full = inside > 0
    size = dtype.limits[1] - dtype.limits[0] + 1
    held = np.bincount(steps, inside, size) / np.maximum(np.bincount(steps, full, size), 1)
    told = np.where(full, held[steps], 0.0)
    if not told.any():
        return np.inf
    seen = wanted > 0
    p, q_ = wanted[seen] / wanted.sum(), np.maximum(told[seen] / told.sum(), _KL_FLOOR)
    return float((p * np.log(p / q_)).sum())


def _octav(seen: Statistics, dtype: DType) -> Range:
    """Both ends where one more clipped costs what wider steps would.

    Steps of (high - low) / n cost their square / 12 for all that is inside. Setting the derivative
    of that and of what is clipped to zero at each end gives fixed points; the ends take turns.
    After Sakr et al. 2022, arXiv:2206.06501, where there is one end, that of |x|.
    """
    if not _nonzero(seen).size:
        return Range(seen.low, seen.high, "min-max")
    n = float(dtype.limits[1] - dtype.limits[0])
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    for _ in range(_OCTAV_ROUNDS):
        before, x = (low, high), seen.sample
        noise = float(np.mean((x != 0) & (x >= low) & (x <= high))) / (12 * n * n)
        high = _fixed_point(seen, 1, high, -low, noise)
        low = -_fixed_point(seen, -1, -low, high, noise)
        if np.allclose((low, high), before, rtol=_OCTAV_CLOSE, atol=0):
            break
    return Range(low, high, "octav") if low < high else Range(seen.low, seen.high, "min-max")


def _fixed_point(seen: Statistics, sign: int, end: float, other: float, noise: float) -> float:
    """One end, given the `other` one's size: where noise * (end + other) = E[max(x - end, 0)].

    Of what is beyond, the sample knows the body and the arrays' extremes the tail: the larger.
    """
    x = sign * seen.sample.astype(np.float64)
    tails = np.asarray([max(sign * low, sign * high) for low, high in seen.extremes])
    found = (_beyond(x, end, x.size), _beyond(tails, end, seen.count))
    share, total = max(found, key=lambda b: b[1] - b[0] * end)
    if share + noise == 0.0:
        return end
    return max(0.0, (total - noise * other) / (share + noise))


def _beyond(x: Array, end: float, count: int) -> tuple[float, float]:
    """Of `count` elements, the share beyond `end`, and their sum as a part of the mean."""
    beyond = x[x > end]
    return beyond.size / count, float(beyond.sum()) / count


def _nonzero(seen: Statistics) -> Array:
    """Zero is held exactly whatever the step, so it has no say where errors are shared out."""
    return np.asarray(seen.sample[seen.sample != 0])


_SEARCHES: Final[Mapping[str, Callable[[Statistics, DType], Range]]] = {"kl": _kl, "octav": _octav}


def _error(seen: Statistics, candidate: Range, dtype: DType, enough: float = np.inf) -> float:
    """Summed squared error of all that was seen, estimated; what is clipped weighs more.

    Infinity, sooner, where the extremes alone come to `enough`.
    """
    params = candidate.params(dtype)
    scale = float(params.scale[0])
    bottom, top = ((limit - int(params.zero_point[0])) * scale for limit in dtype.limits)
    tails = np.asarray(seen.extremes)
    beyond = float(np.square(tails - np.clip(tails, bottom, top)).sum())
    if _CLIP_WEIGHT * beyond >= enough:
        return np.inf
    sample = seen.sample
    inside = np.clip(sample, bottom, top)
    rounded = float(np.square(np.rint(inside / scale) * scale - inside).mean()) * seen.count
    clipped = float(np.square(sample - inside).mean()) * seen.count
    return rounded + _CLIP_WEIGHT * max(clipped, beyond)
