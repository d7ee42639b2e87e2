"""Bias correction: rounding the weights must not shift a layer's mean output.

Nagel et al. 2019, arXiv:1906.04721, section 4.2, from data. A layer is linear in its input before
the activation, so the shift is exactly layer(E[x]; w_q - w): one evaluation on the mean input tells
it, padding at the borders included, and no layer has to be run sample by sample. Since each layer's
mean is put right, the next one sees the mean that was measured on the float model.
"""

from __future__ import annotations

import numpy as np

from edgepack import kernels
from edgepack.ir import Array, Graph, Node, QuantParams


def bias_shift(node: Node, stored: Array, params: QuantParams, mean: Array) -> Array:
    """What quantizing the weights to `stored` adds to each output channel on average, float64 [C].

    `mean` is the mean input, in the input's shape.
    """
    error = params.dequantize(stored) - node.input(1).real
    probe = Graph("probe")
    values = [probe.constant(mean.astype(np.float32)), probe.constant(error.astype(np.float32))]
    output = probe.add(node.op, values, {**node.attrs, "activation": "none"})
    (shift,) = kernels.call(probe.nodes[0], [v.const for v in values])
    return np.asarray(shift.astype(np.float64).reshape(-1, output.shape[-1]).mean(axis=0))
