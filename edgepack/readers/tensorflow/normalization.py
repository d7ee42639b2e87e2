"""Normalizations; batch normalization stays a node of its own, with its statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import Array, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.call import Call, Const
from edgepack.readers.tensorflow.registry import reads


@reads("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(call: Call) -> Sequence[object]:
    """BatchNorm with the moving statistics; the other outputs are those again."""
    if call.attrs.get("is_training", True):
        raise Refused(
            "batch normalization with the statistics of the batch itself has no equivalent",
            "export the model for inference (training=False)",
        )
    axis = 1 if call.layout == "NCHW" else -1
    eps = float(call.attrs.get("epsilon", 1e-4))
    y = call.emit("BatchNorm", *call.values(), eps=eps, axis=axis)
    return [y, *call.inputs[3:5]]


def spelled_out_batch_norm(call: Call) -> Value | None:
    """BatchNorm where an addition ends tf.nn.batch_normalization; None where it does not.

    inv = rsqrt(var + eps) * gamma, then x * inv + (beta - mean * inv): only the multiplication of x
    and the addition are left when constants are folded, and how these came about says the rest.
    """
    product, shift = call.inputs
    if isinstance(product, Const):
        product, shift = shift, product
    if not isinstance(product, Value) or not isinstance(shift, Const):
        return None
    multiply = product.producer
    if multiply is None or multiply.op != "Mul":
        return None
    found = _statistics(shift)
    if found is None:
        return None
    inverse, statistics = found
    x, factor = multiply.input(0), multiply.input(1)
    if x.is_const:
        x, factor = factor, x
    if not factor.is_const or not np.array_equal(factor.const, inverse):
        return None
    gamma, beta, mean, var, eps = statistics
    axis = _channel_axis(x, gamma.shape)
    arrays = [a.reshape(-1).astype(np.float32) for a in (gamma, beta, mean, var)]
    if axis is None or any(a.size != x.shape[axis] for a in arrays):
        return None
    constants = [call.const(a) for a in arrays]
    return call.emit("BatchNorm", x, *constants, eps=eps, axis=axis)


def _channel_axis(x: Value, shape: tuple[int, ...]) -> int | None:
    """The one dimension of `x` along which statistics of this shape vary; None for several."""
    aligned = (1,) * (x.rank - len(shape)) + shape
    wide = [i for i, size in enumerate(aligned) if size != 1]
    if len(aligned) != x.rank or len(wide) > 1:
        return None
    return wide[0] if wide else x.rank - 1


_Statistics = tuple[Array, Array, Array, Array, float]


def _statistics(shift: Const) -> tuple[Array, _Statistics] | None:
    """(inv, (gamma, beta, mean, var, eps)) of beta - mean * inv, or of -mean * inv."""
    if shift.origin is None:
        return None
    op, inputs = shift.origin
    beta, product = (inputs[0], inputs[1]) if op == "Sub" else (None, shift)
    if product.origin is None or product.origin[0] != "Mul":
        return None
    for mean, inverse in (product.origin[1], product.origin[1][::-1]):
        scale = _scale(inverse)
        if scale is None:
            continue
        gamma, var, eps = scale
        center = mean.array if beta is not None else -mean.array
        offset = np.zeros_like(center) if beta is None else beta.array
        factor = np.ones_like(var) if gamma is None else gamma
        return inverse.array, (factor, offset, center, var, eps)
    return None


def _scale(inverse: Const) -> tuple[Array | None, Array, float] | None:
    """(gamma or None, var, eps) of rsqrt(var + eps) * gamma."""
    if inverse.origin is None:
        return None
    op, inputs = inverse.origin
    if op == "Mul":
        for root, gamma in (inputs, inputs[::-1]):
            found = _scale(root)
            if found is not None and found[0] is None:
                return gamma.array, found[1], found[2]
        return None
    if op != "Rsqrt" or inputs[0].origin is None or inputs[0].origin[0] not in ("Add", "AddV2"):
        return None
    var, eps = inputs[0].origin[1]
    return (None, var.array, float(eps.array)) if eps.array.size == 1 else None


@reads("LRN")
def local_response_norm(call: Call) -> Value:
    """Lrn."""
    attrs = {key: float(call.attrs.get(key, 1.0)) for key in ("bias", "alpha", "beta")}
    radius = int(call.attrs.get("depth_radius", 5))
    return call.emit("Lrn", call.value(0), radius=radius, **attrs)
