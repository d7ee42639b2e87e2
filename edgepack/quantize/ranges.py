"""From what was seen to the range that the integers span.

Three candidates for each tensor: the extremes (min-max), the 99.99th percentile, and the clipping
that makes the mean squared error on the sample smallest; the one with the smallest error wins.
Clipping must earn its place: errors at the tails reach the model's output more than their local
size says (large activations are the ones that decide), so they weigh in with `_CLIP_WEIGHT`. On
EfficientNet-Lite0 a weight of 1 costs 6 dB at the output; from 10 to 2,000 it makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import DType, QuantParams
from edgepack.quantize.statistics import Statistics

_PERCENTILE: Final = 99.99
_SHRINKS: Final = np.linspace(1.0, 0.3, 29)
_CLIP_WEIGHT: Final = 50.0
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
    """The range of an activation; `method` is auto, min-max, percentile or mse."""
    candidates = _candidates(seen, dtype, method)
    if len(candidates) == 1:
        return candidates[0]
    with np.errstate(over="ignore"):  # of values beyond 1e19: the first, min-max, is chosen then
        errors = [_error(seen, candidate, dtype) for candidate in candidates]
    return candidates[int(np.argmin(errors))]


def _candidates(seen: Statistics, dtype: DType, method: str) -> list[Range]:
    whole = Range(seen.low, seen.high, "min-max")
    if dtype is DType.INT16 or method == "min-max" or seen.high <= seen.low:
        return [whole]
    named = {"percentile": [_percentile(seen)], "mse": _shrunk(seen)}
    return named[method] if method in named else [whole, _percentile(seen), *_shrunk(seen)]


def _percentile(seen: Statistics) -> Range:
    low, high = np.percentile(seen.sample, [100 - _PERCENTILE, _PERCENTILE])
    if not low < high:  # of a value that is nearly always zero: what is rare is all there is
        return Range(seen.low, seen.high, "min-max")
    return Range(float(low), float(high), "percentile")


def _shrunk(seen: Statistics) -> list[Range]:
    return [Range(seen.low * k, seen.high * k, "mse") for k in _SHRINKS[1:]]


def _error(seen: Statistics, candidate: Range, dtype: DType) -> float:
    """Summed squared error of all that was seen, estimated; what is clipped weighs more."""
    params = candidate.params(dtype)
    scale = float(params.scale[0])
    bottom, top = ((limit - int(params.zero_point[0])) * scale for limit in dtype.limits)
    sample = seen.sample
    inside = np.clip(sample, bottom, top)
    rounded = float(np.square(np.rint(inside / scale) * scale - inside).mean()) * seen.count
    clipped = float(np.square(sample - inside).mean()) * seen.count
    tails = np.asarray(seen.extremes)
    beyond = float(np.square(tails - np.clip(tails, bottom, top)).sum())
    return rounded + _CLIP_WEIGHT * max(clipped, beyond)
