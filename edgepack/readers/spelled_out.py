"""Functions without an operator of their own, spelled out in the same way for every reader."""

from __future__ import annotations

import math
from typing import Final

from edgepack.ir import Value
from edgepack.readers.emitter import Emitter

SELU_ALPHA: Final = 1.67326319217681884765625
SELU_SCALE: Final = 1.05070102214813232421875
_CLAMPS: Final = {(0.0, math.inf): "Relu", (0.0, 6.0): "Relu6", (-1.0, 1.0): "ReluN1To1"}


def elu(b: Emitter, x: Value, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> Value:
    """scale * x, where negative scale * alpha * (exp(inner * x) - 1); `inner` is positive.

    As a multiple of elu(inner * x), which is inner * x where that is positive.
    """
    y = b.emit("Elu", scaled(b, x, inner))
    if alpha * inner != 1:
        y = b.emit("LeakyRelu", y, alpha=alpha * inner)
    return scaled(b, y, scale / inner)


def softplus(b: Emitter, x: Value) -> Value:
    """log(1 + exp(x)) as relu(x) + log(1 + exp(-|x|)), in which exp never overflows."""
    small = b.emit("Exp", b.emit("Neg", b.emit("Abs", x)))
    return b.emit("Add", b.emit("Relu", x), b.emit("Log", b.emit("Add", small, 1.0)))


def softsign(b: Emitter, x: Value) -> Value:
    """x / (1 + |x|)."""
    return b.emit("Div", x, b.emit("Add", b.emit("Abs", x), 1.0))


def mish(b: Emitter, x: Value) -> Value:
    """x * tanh(softplus(x))."""
    return b.emit("Mul", x, b.emit("Tanh", softplus(b, x)))


def clip(b: Emitter, x: Value, low: float = -math.inf, high: float = math.inf) -> Value:
    """min(max(x, low), high) by the operator made for these limits; `high` wins over `low`."""
    low = min(low, high)
    if (low, high) == (-math.inf, math.inf):
        return x
    if x.dtype.is_float:
        op = _CLAMPS.get((low, high))
        return b.emit(op, x) if op else b.emit("Clip", x, min=float(low), max=float(high))
    y = x if low == -math.inf else b.emit("Maximum", x, int(low))
    return y if high == math.inf else b.emit("Minimum", y, int(high))


def scaled(b: Emitter, x: Value, factor: float) -> Value:
    """factor * x; x itself when that changes nothing."""
    return x if factor == 1 else b.emit("Mul", x, factor)
