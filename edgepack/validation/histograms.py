"""How the numbers of a layer are spread, in float and as quantized: counts for the report."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgepack.ir import Array, QuantParams
from edgepack.report import Histogram

_BINS: Final = 48  # about; of integers, each bin has equally many steps


def histogram_of(real: Array, stored: Array, quant: QuantParams | None) -> Histogram | None:
    """Counts of the float32 numbers `real` and of what the graph `stored` for them; equal shapes.

    None where there is nothing to see: no finite numbers, or all of them equal. Bins of integers
    are whole steps wide and centred on them, so that no number changes its bin by rounding alone.
    """
    other = stored if quant is None else quant.dequantize(stored)
    seen = np.concatenate([real.ravel(), other.ravel()]).astype(np.float64)
    seen = seen[np.isfinite(seen)]
    if not seen.size or seen.min() == seen.max():
        return None
    edges = _edges(float(seen.min()), float(seen.max()), quant)
    return Histogram(
        low=float(edges[0]),
        high=float(edges[-1]),
        float_=_counts(real, edges),
        quantized=_counts(other, edges),
    )


def _edges(low: float, high: float, quant: QuantParams | None) -> npt.NDArray[np.float64]:
    if quant is None or quant.axis is not None:
        return np.linspace(low, high, _BINS + 1, dtype=np.float64)
    scale = float(quant.scale[0])
    first, last = round(low / scale), round(high / scale)
    steps = -(-(last - first + 1) // _BINS)
    bins = -(-(last - first + 1) // steps)
    return np.asarray((first - 0.5 + steps * np.arange(bins + 1)) * scale, np.float64)


def _counts(numbers: Array, edges: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Numbers in each bin; the outer bins take those just beyond."""
    finite = numbers[np.isfinite(numbers)].astype(np.float64)
    counts, _ = np.histogram(np.clip(finite, edges[0], edges[-1]), edges)
    return tuple(int(count) for count in counts)
