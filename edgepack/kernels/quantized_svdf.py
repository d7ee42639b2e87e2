"""The quantized SVDF, bit for bit as TensorFlow Lite Micro's."""

from __future__ import annotations

import numpy as np

from edgepack.ir import Array, Node
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_scale import double, exact_matmul, offset, saturate, scale, zero
from edgepack.kernels.recurrent import shifted
from edgepack.kernels.registry import quantized


@quantized("Svdf")
def svdf(node: Node, x: Array, feature: Array, time: Array, b: Array | None, state: Array) -> Array:
    """The features are saturated to the state's type before they are weighted over time.

    Like the runtime, it takes no notice of a fused activation.
    """
    kept, out = node.input(4), node.output
    sums = exact_matmul(offset(node.input(0), x), feature.astype(np.int64).T)
    real = double(scale(node.input(0))) * double(scale(node.input(1))) / double(scale(kept))
    whole = np.clip(fp.multiply(sums, *fp.quantize_multiplier(real)), *kept.dtype.limits)
    newest = (whole + zero(kept)).astype(kept.dtype.numpy)
    history = shifted(state, newest, time.shape[1]).astype(np.int64) - zero(kept)
    weighted = (history * time.astype(np.int64)).sum(axis=-1)
    y = weighted.reshape(len(x), -1, node.attrs["rank"]).sum(axis=-1)
    y = y if b is None else y + b.astype(np.int64)
    last = double(scale(kept)) * double(scale(node.input(2))) / double(scale(out))
    return saturate(out, fp.multiply(fp.wrap32(y), *fp.quantize_multiplier(last)) + zero(out))
