"""Operators of the com.microsoft domain: what ONNX Runtime's optimizer leaves in saved models."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import Value
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.families.convolution import convolve
from edgepack.readers.onnx.families.dense import product
from edgepack.readers.onnx.registry import reads


@reads("com.microsoft::Gelu", "com.microsoft::BiasGelu", "com.microsoft::FastGelu")
def gelu(ctx: Context, node: Call) -> Value:
    """x * Phi(x) of x or x + bias; the fast one by tanh."""
    x, bias = node.input(0), node.optional(1)
    x = x if bias is None else ctx.emit("Add", x, bias)
    return ctx.emit("Gelu", x, approximate=node.op == "FastGelu")


@reads("com.microsoft::QuickGelu")
def quick_gelu(ctx: Context, node: Call) -> Value:
    """x * sigmoid(alpha * x)."""
    x = node.input(0)
    return ctx.emit("Mul", x, ctx.emit("Sigmoid", ctx.emit("Mul", x, node.attr("alpha", 1.702))))


@reads("com.microsoft::FusedMatMul")
def fused_matmul(ctx: Context, node: Call) -> Value:
    """alpha * a @ b with the last two dimensions of either turned."""
    a, b = (
        _turned(ctx, node.input(i)) if node.attr(name, 0) else node.input(i)
        for i, name in enumerate(("transA", "transB"))
    )
    y = product(ctx, a, b)
    alpha = node.attr("alpha", 1.0)
    return y if alpha == 1.0 else ctx.emit("Mul", y, alpha)


def _turned(ctx: Context, x: Value) -> Value:
    return ctx.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2])


@reads("com.microsoft::FusedConv")
def fused_conv(ctx: Context, node: Call) -> Value:
    """Conv, then the sum with another value, then an activation."""
    y = convolve(ctx, node, node.input(0), node.input(1), node.optional(2))
    other = node.optional(3)
    y = y if other is None else ctx.emit("Add", y, other)
    parameters = node.attr("activation_params", ())
    match node.attr("activation", ""):
        case "":
            return y
        case "Relu" | "Sigmoid" | "Tanh" as name:
            return ctx.emit(name, y)
        case "LeakyRelu":
            return ctx.emit("LeakyRelu", y, alpha=parameters[0])
        case "Clip":
            return ctx.emit("Clip", y, min=parameters[0], max=parameters[1])
        case "HardSigmoid":
            line = ctx.emit("Add", ctx.emit("Mul", y, parameters[0]), parameters[1])
            return ctx.emit("Clip", line, min=0.0, max=1.0)
        case name:
            raise ValueError(f"activation {name!r}")


@reads("com.microsoft::SkipLayerNormalization", "com.microsoft::SkipSimplifiedLayerNormalization")
def skip_layer_norm(ctx: Context, node: Call) -> Sequence[Value | None]:
    """Normalization of a sum; the sum itself is the last output."""
    simple = "Simplified" in node.op
    bias_at = 3 if simple else 4
    total = ctx.emit("Add", node.input(0), node.input(1))
    if node.optional(bias_at) is not None:
        total = ctx.emit("Add", total, node.input(bias_at))
    inputs = [total, node.input(2)]
    if not simple and node.optional(3) is not None:
        inputs.append(node.input(3))
    eps = node.attr("epsilon", 1e-12 if not simple else 1e-6)
    y = ctx.emit("RmsNorm" if simple else "LayerNorm", *inputs, axis=-1, eps=eps)
    return [y, None, None, total]
