"""The activations of recurrent cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edgepack.ir import Value
from edgepack.readers.emitter import Emitter
from edgepack.readers.spelled_out import elu, scaled, softplus, softsign


@dataclass(frozen=True, slots=True)
class Activation:
    """One of ACTIVATIONS with its two constants, where it has them."""

    name: str
    alpha: float = 0.0
    beta: float = 0.0


SIGMOID: Final = Activation("Sigmoid")
TANH: Final = Activation("Tanh")
RELU: Final = Activation("Relu")


def apply(b: Emitter, activation: Activation, x: Value) -> Value:
    """The activation of `x`."""
    return ACTIVATIONS[activation.name](b, x, activation.alpha, activation.beta)


Apply = Callable[[Emitter, Value, float, float], Value]


def _plain(op: str) -> Apply:
    return lambda b, x, alpha, beta: b.emit(op, x)


def _shifted(b: Emitter, x: Value, offset: float) -> Value:
    return x if offset == 0 else b.emit("Add", x, offset)


def _affine(b: Emitter, x: Value, alpha: float, beta: float) -> Value:
    """alpha * x + beta."""
    return _shifted(b, scaled(b, x, alpha), beta)


def _leaky_relu(b: Emitter, x: Value, alpha: float, beta: float) -> Value:
    return b.emit("LeakyRelu", x, alpha=alpha)


def _thresholded_relu(b: Emitter, x: Value, alpha: float, beta: float) -> Value:
    """X where above alpha, else 0."""
    return b.emit("Where", b.emit("Greater", x, alpha), x, 0.0)


def _scaled_tanh(b: Emitter, x: Value, alpha: float, beta: float) -> Value:
    """alpha * tanh(beta * x)."""
    return scaled(b, b.emit("Tanh", scaled(b, x, beta)), alpha)


def _hard_sigmoid(b: Emitter, x: Value, alpha: float, beta: float) -> Value:
    """alpha * x + beta, kept in 0..1."""
    return b.emit("Clip", _affine(b, x, alpha, beta), min=0.0, max=1.0)


ACTIVATIONS: Final[Mapping[str, Apply]] = {
    "Sigmoid": _plain("Sigmoid"),
    "Tanh": _plain("Tanh"),
    "Relu": _plain("Relu"),
    "Affine": _affine,
    "LeakyRelu": _leaky_relu,
    "ThresholdedRelu": _thresholded_relu,
    "ScaledTanh": _scaled_tanh,
    "HardSigmoid": _hard_sigmoid,
    "Elu": lambda b, x, alpha, beta: elu(b, x, alpha),
    "Softsign": lambda b, x, alpha, beta: softsign(b, x),
    "Softplus": lambda b, x, alpha, beta: softplus(b, x),
}
