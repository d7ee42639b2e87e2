"""Activation functions; those no runtime has as a builtin are spelled out."""

from __future__ import annotations

import math

from edgepack.ir import Value
from edgepack.readers import spelled_out
from edgepack.readers.emitter import Refused
from edgepack.readers.spelled_out import SELU_ALPHA, SELU_SCALE
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads


@reads("aten.relu6")
def relu6(call: Call) -> Value:
    """Relu6."""
    return call.emit("Relu6", call.value("self"))


@reads("aten.hardtanh", "aten.clamp", "aten.clip", "aten.clamp_min", "aten.clamp_max")
def clamp(call: Call) -> Value:
    """A clip to constant or computed limits."""
    low = call.get("min_val", call.get("min"))
    high = call.get("max_val", call.get("max"))
    x = call.value("self", call.dtype)
    if call.target.endswith(".Tensor"):
        for op, limit in (("Maximum", low), ("Minimum", high)):
            x = x if limit is None else call.emit(op, x, call.as_value(limit, call.dtype))
        return x
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    return spelled_out.clip(call, x, low, high)


@reads("aten.leaky_relu")
def leaky_relu(call: Call) -> Value:
    """LeakyRelu."""
    return call.emit("LeakyRelu", call.value("self"), alpha=float(call["negative_slope"]))


@reads("aten.prelu", "aten._prelu_kernel")
def prelu(call: Call) -> Value:
    """PRelu; one alpha per channel stands along dimension 1."""
    x = call.value("self")
    shape = (1, -1, *(1,) * (x.rank - 2)) if x.rank > 1 else (-1,)
    return call.emit("PRelu", x, call.reshaped("weight", shape))


@reads("aten.elu", "aten.celu", "aten.selu")
def elu(call: Call) -> Value:
    """scale * x, where negative scale * alpha * (exp(input_scale * x) - 1)."""
    x, alpha = call.value("self"), float(call.get("alpha", 1.0))
    if "selu" in call.target:
        return spelled_out.elu(call, x, SELU_ALPHA, SELU_SCALE)
    if "celu" in call.target:
        return spelled_out.elu(call, x, alpha, inner=1 / alpha)
    scale, inner = float(call.get("scale", 1.0)), float(call.get("input_scale", 1.0))
    return spelled_out.elu(call, x, alpha, scale, inner)


@reads("aten.hardswish")
def hardswish(call: Call) -> Value:
    """HardSwish."""
    return call.emit("HardSwish", call.value("self"))


@reads("aten.hardsigmoid")
def hardsigmoid(call: Call) -> Value:
    """relu6(x + 3) / 6."""
    shifted = call.emit("Add", call.value("self"), 3.0)
    return call.emit("Mul", call.emit("Relu6", shifted), 1 / 6)


@reads("aten.silu")
def silu(call: Call) -> Value:
    """x * sigmoid(x)."""
    x = call.value("self")
    return call.emit("Mul", x, call.emit("Sigmoid", x))


@reads("aten.gelu")
def gelu(call: Call) -> Value:
    """Gelu, exact or by tanh."""
    approximate = call.get("approximate", "none") == "tanh"
    return call.emit("Gelu", call.value("self"), approximate=approximate)


@reads("aten.softplus")
def softplus(call: Call) -> Value:
    """log(1 + e^(beta x)) / beta; beyond torch's threshold the two forms agree in float32."""
    x, beta = call.value("self"), float(call.get("beta", 1))
    y = spelled_out.softplus(call, spelled_out.scaled(call, x, beta))
    return spelled_out.scaled(call, y, 1 / beta)


@reads("aten.mish")
def mish(call: Call) -> Value:
    """x * tanh(softplus(x))."""
    return spelled_out.mish(call, call.value("self"))


@reads("aten.log_sigmoid", "aten.log_sigmoid_forward")
def log_sigmoid(call: Call) -> Value:
    """-softplus(-x)."""
    x = call.value("self")
    return call.emit("Neg", spelled_out.softplus(call, call.emit("Neg", x)))


@reads("aten.glu")
def glu(call: Call) -> Value:
    """First half times the sigmoid of the second."""
    x, axis = call.value("self"), call.axis()
    half = x.shape[axis] // 2
    first, second = call.split(x, axis, (half, half))
    return call.emit("Mul", first, call.emit("Sigmoid", second))


@reads("aten.softshrink")
def softshrink(call: Call) -> Value:
    """x without its clip to +-lambda."""
    x, limit = call.value("self"), float(call["lambd"])
    return call.emit("Sub", x, spelled_out.clip(call, x, -limit, limit))


@reads("aten.hardshrink")
def hardshrink(call: Call) -> Value:
    """x where |x| > lambda, else 0."""
    x = call.value("self")
    far = call.emit("Greater", call.emit("Abs", x), float(call["lambd"]))
    return call.emit("Where", far, x, 0.0)


@reads("aten.threshold")
def threshold(call: Call) -> Value:
    """x where x > threshold, else the value."""
    x = call.value("self")
    above = call.emit("Greater", x, float(call["threshold"]))
    return call.emit("Where", above, x, float(call["value"]))


@reads("aten.dropout", "aten.feature_dropout", "aten.alpha_dropout", "aten.native_dropout")
def dropout(call: Call) -> Value:
    """Nothing: a model that is run does not drop."""
    if call.get("train", False) and float(call.get("p", 0.5)) > 0:
        raise Refused(
            "dropout is active although the module is in eval mode",
            "pass training=self.training to F.dropout",
        )
    return call.value("input")
