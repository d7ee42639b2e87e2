"""Bias correction: rounding the weights must not shift a layer's mean output.

Nagel et al. 2019, arXiv:1906.04721, section 4.2, from data. A layer is linear in its input before
the activation, so the shift is exactly layer(E[x]; w_q - w): the mean input tells it, padding at
the borders included, and no layer has to be run sample by sample. Since each layer's
mean is put right, the next one sees the mean that was measured on the float model.
"""

from __future__ import annotations

import numpy as np

from edgepack import kernels
from edgepack.ir import Array, Graph, Node, QuantParams
from edgepack.kernels.convolution import out_spatial, pad_spatial, taps


def bias_shift(node: Node, stored: Array, params: QuantParams, mean: Array) -> Array:
    """What quantizing the weights to `stored` adds to each output channel on average, float64 [C].

    `mean` is the mean input, in the input's shape.
    """
    return mean_output(node, params.dequantize(stored) - node.input(1).real, mean)


def mean_output(node: Node, w: Array, mean: Array) -> Array:
    """Mean of each output channel before bias and activation, float64 [C].

    `w` stands for the layer's weights, `mean` [as the input] is the mean of its inputs.
    """
    if node.op in ("Conv2d", "DepthwiseConv2d") and node.attrs["layout"] == "NHWC":
        return _of_convolution(node, w, mean)
    probe = Graph("probe")
    values = [probe.constant(mean.astype(np.float32)), probe.constant(w.astype(np.float32))]
    output = probe.add(node.op, values, {**node.attrs, "activation": "none"})
    (found,) = kernels.call(probe.nodes[0], [v.const for v in values])
    return np.asarray(found.astype(np.float64).reshape(-1, output.shape[-1]).mean(axis=0))


def _of_convolution(node: Node, w: Array, mean: Array) -> Array:
    """The same from what each kernel position meets on average: positions are summed over first."""
    padded, out = pad_spatial(mean, node.attrs["pad"]), out_spatial(node)
    met = np.stack([  # [positions, C]
        view.mean(axis=(0, 1, 2), dtype=np.float64)
        for _, view in taps(padded, w.shape[1:3], node.attrs, out)
    ])  # fmt: skip
    if node.op == "DepthwiseConv2d":
        wide = np.repeat(met, w.shape[-1] // met.shape[-1], axis=-1)
        return np.asarray((w.reshape(wide.shape) * wide).sum(axis=0))
    groups = node.attrs["groups"]
    per_group = np.split(met, groups, axis=-1)
    filters = np.split(w.reshape(len(w), *met.shape[:1], -1), groups)
    return np.concatenate([
        np.einsum("opc,pc->o", f, m) for f, m in zip(filters, per_group, strict=True)
    ])  # fmt: skip
