"""Elementwise operators and activations, reductions and normalizations along one axis."""

from __future__ import annotations

from typing import Any, Final

from edgepack.ir import DType, Node
from edgepack.schema import tflite as fmt
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers, require
from edgepack.writers.tflite.convolution import activation

# IR operator: (TFLite builtin, its option table or None), all options at the schema's defaults
_PLAIN: Final[dict[str, tuple[str, str | None]]] = {
    "Relu": ("RELU", None),
    "Relu6": ("RELU6", None),
    "ReluN1To1": ("RELU_N1_TO_1", None),
    "Relu0To1": ("RELU_0_TO_1", None),
    "PRelu": ("PRELU", None),
    "Elu": ("ELU", None),
    "Sigmoid": ("LOGISTIC", None),
    "Tanh": ("TANH", None),
    "HardSwish": ("HARD_SWISH", "HardSwishOptions"),
    "Exp": ("EXP", "ExpOptions"),
    "Log": ("LOG", None),
    "Sqrt": ("SQRT", None),
    "Rsqrt": ("RSQRT", None),
    "Abs": ("ABS", "AbsOptions"),
    "Neg": ("NEG", "NegOptions"),
    "Square": ("SQUARE", "SquareOptions"),
    "Sin": ("SIN", None),
    "Cos": ("COS", "CosOptions"),
    "Floor": ("FLOOR", None),
    "Ceil": ("CEIL", None),
    "Round": ("ROUND", None),
    "Sign": ("SIGN", None),
    "LogicalNot": ("LOGICAL_NOT", "LogicalNotOptions"),
    "LogicalAnd": ("LOGICAL_AND", "LogicalAndOptions"),
    "LogicalOr": ("LOGICAL_OR", "LogicalOrOptions"),
    "BitwiseXor": ("BITWISE_XOR", None),
    "RightShift": ("RIGHT_SHIFT", None),
    "Maximum": ("MAXIMUM", "MaximumMinimumOptions"),
    "Minimum": ("MINIMUM", "MaximumMinimumOptions"),
    "Pow": ("POW", "PowOptions"),
    "FloorDiv": ("FLOOR_DIV", "FloorDivOptions"),
    "FloorMod": ("FLOOR_MOD", "FloorModOptions"),
    "Atan2": ("ATAN2", None),
    "SquaredDifference": ("SQUARED_DIFFERENCE", "SquaredDifferenceOptions"),
    "Equal": ("EQUAL", "EqualOptions"),
    "NotEqual": ("NOT_EQUAL", "NotEqualOptions"),
    "Less": ("LESS", "LessOptions"),
    "LessEqual": ("LESS_EQUAL", "LessEqualOptions"),
    "Greater": ("GREATER", "GreaterOptions"),
    "GreaterEqual": ("GREATER_EQUAL", "GreaterEqualOptions"),
    "Where": ("SELECT_V2", "SelectV2Options"),
    "Quantize": ("QUANTIZE", "QuantizeOptions"),
}
_FUSED: Final = {
    "Add": ("ADD", "AddOptions"),
    "Sub": ("SUB", "SubOptions"),
    "Mul": ("MUL", "MulOptions"),
    "Div": ("DIV", "DivOptions"),
}


@lowers(*_PLAIN)
def plain(node: Node, out: TFLiteBuilder) -> None:
    """Operators without options."""
    builtin, options = _PLAIN[node.op]
    out.emit(builtin, node, options=options)


@lowers(*_FUSED)
def fused(node: Node, out: TFLiteBuilder) -> None:
    """Arithmetic with a fused activation, of 16-bit numbers with scales of any value."""
    builtin, options = _FUSED[node.op]
    fields: dict[str, Any] = {"fused_activation_function": activation(node)}
    if node.op in ("Add", "Sub"):
        fields["pot_scale_int16"] = False
    out.emit(builtin, node, options=options, **fields)


@lowers("LeakyRelu")
def leaky_relu(node: Node, out: TFLiteBuilder) -> None:
    """LEAKY_RELU."""
    out.emit("LEAKY_RELU", node, options="LeakyReluOptions", alpha=node.attrs["alpha"])


@lowers("Gelu")
def gelu(node: Node, out: TFLiteBuilder) -> None:
    """GELU."""
    out.emit("GELU", node, options="GeluOptions", approximate=node.attrs["approximate"])


def _require_last_axis(node: Node) -> None:
    axis = node.attrs["axis"]
    require(node, axis in (-1, node.output.rank - 1), f"axis {axis} of {node.output.shape}")


@lowers("Softmax")
def softmax(node: Node, out: TFLiteBuilder) -> None:
    """SOFTMAX. Legal form: along the last axis."""
    _require_last_axis(node)
    out.emit("SOFTMAX", node, options="SoftmaxOptions", beta=node.attrs["beta"])


@lowers("LogSoftmax")
def log_softmax(node: Node, out: TFLiteBuilder) -> None:
    """LOG_SOFTMAX. Legal form: along the last axis."""
    _require_last_axis(node)
    out.emit("LOG_SOFTMAX", node, options="LogSoftmaxOptions")


@lowers("L2Norm")
def l2_norm(node: Node, out: TFLiteBuilder) -> None:
    """L2_NORMALIZATION."""
    out.emit("L2_NORMALIZATION", node, options="L2NormOptions")


@lowers("Lrn")
def lrn(node: Node, out: TFLiteBuilder) -> None:
    """LOCAL_RESPONSE_NORMALIZATION. Legal form: rank 4."""
    require(node, node.output.rank == 4, f"rank {node.output.rank}")
    keys = ("radius", "bias", "alpha", "beta")
    fields = {key: node.attrs[key] for key in keys}
    options = "LocalResponseNormalizationOptions"
    out.emit("LOCAL_RESPONSE_NORMALIZATION", node, options=options, **fields)


@lowers("Bitcast")
def bitcast(node: Node, out: TFLiteBuilder) -> None:
    """BITCAST. Legal form: both dtypes have the same size."""
    out.emit("BITCAST", node, options="BitcastOptions")


@lowers("Dequantize")
def dequantize(node: Node, out: TFLiteBuilder) -> None:
    """DEQUANTIZE; bfloat16 constants are widened by CAST, as DEQUANTIZE does not take them."""
    if node.input(0).dtype is DType.BFLOAT16:
        cast(node, out)
    else:
        out.emit("DEQUANTIZE", node, options="DequantizeOptions")


@lowers("Cast")
def cast(node: Node, out: TFLiteBuilder) -> None:
    """CAST."""
    source, target = fmt.tensor_type(node.input(0).dtype), fmt.tensor_type(node.output.dtype)
    out.emit("CAST", node, options="CastOptions", in_data_type=source, out_data_type=target)


# -- along axes ------------------------------------------------------------------------------------

_REDUCE: Final = {
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMin": "REDUCE_MIN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceAny": "REDUCE_ANY",
    "ReduceAll": "REDUCE_ALL",
}


@lowers(*_REDUCE)
def reduction(node: Node, out: TFLiteBuilder) -> None:
    """MEAN, SUM and their kin."""
    axes = out.constant(f"{node.name}/axes", node.attrs["axes"])
    inputs, keep = [node.input(0), axes], node.attrs["keepdims"]
    out.emit(_REDUCE[node.op], node, inputs=inputs, options="ReducerOptions", keep_dims=keep)


@lowers("ArgMax", "ArgMin")
def arg_extremum(node: Node, out: TFLiteBuilder) -> None:
    """ARG_MAX and ARG_MIN; int32 or int64 indices."""
    axis = out.constant(f"{node.name}/axis", node.attrs["axis"])
    out.emit(
        "ARG_MAX" if node.op == "ArgMax" else "ARG_MIN",
        node,
        inputs=[node.input(0), axis],
        options=f"{node.op}Options",
        output_type=fmt.tensor_type(node.output.dtype),
    )


@lowers("CumSum")
def cum_sum(node: Node, out: TFLiteBuilder) -> None:
    """CUMSUM."""
    axis = out.constant(f"{node.name}/axis", node.attrs["axis"])
    flags = {key: node.attrs[key] for key in ("exclusive", "reverse")}
    out.emit("CUMSUM", node, inputs=[node.input(0), axis], options="CumsumOptions", **flags)


@lowers("TopK")
def top_k(node: Node, out: TFLiteBuilder) -> None:
    """TOPK_V2."""
    k = out.constant(f"{node.name}/k", node.attrs["k"])
    out.emit("TOPK_V2", node, inputs=[node.input(0), k], options="TopKV2Options")
