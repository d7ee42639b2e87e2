"""Quantize and Dequantize around real operators, read as integer operators.

ONNX says "int8 convolution" as Dequantize (every input), Conv in real numbers, Quantize. Where all
the parameters are what TFLite's specification asks of the operator, the three are one integer node:

    Quantize(f(Dequantize(x), Dequantize(w), Dequantize(b))) = f_int(x, w, b)
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, QuantParams, Value, row
from edgepack.passes.constants import constant_like
from edgepack.passes.match import (
    Vector,
    bypass,
    declined,
    is_real,
    live,
    may_take_over,
    producer,
    retire,
    supersede,
    take_over,
)

_BIAS_TOLERANCE: Final = 1e-3  # relative, of a bias' scale: it is a product of two float32
_INT32: Final = np.iinfo(np.int32)


def cancel_quantize_pairs(graph: Graph) -> int:
    """Quantize(Dequantize(x)) = x where the parameters and types are equal; count the pairs."""
    count = 0
    for node in live(graph, "Quantize"):
        before = producer(node.input(0), "Dequantize")
        if before is None:
            continue
        x = before.input(0)
        if x.dtype is not node.output.dtype or x.quant != node.output.quant:
            declined("cancel_quantize_pairs", node, "it changes type or parameters")
        elif may_take_over(graph, node.output, x):
            bypass(graph, node.output, x)
            count += 1
    return count


def move_constants_under_dequantize(graph: Graph) -> int:
    """Transpose(Dequantize(c)) = Dequantize(Transpose(c)) for constants; Reshape likewise.

    A Reshape must keep the dimension that the scales belong to.
    """
    count = 0
    for node in live(graph, "Transpose", "Reshape"):
        before = producer(node.input(0), "Dequantize")
        if before is None or not before.input(0).is_const:
            continue
        constant = before.input(0)
        quant = constant.quant
        axis = None if quant is None or quant.axis is None else _moved_axis(node, quant.axis)
        if quant is None or (quant.axis is not None and axis is None):
            declined("move_constants_under_dequantize", node, "it mixes channels")
            continue
        data = constant.const
        perm = node.attrs.get("perm")
        moved = data.reshape(node.attrs["shape"]) if perm is None else data.transpose(perm)
        new = constant_like(graph, constant, moved, quant.moved(axis))
        supersede(graph, node.output, "Dequantize", [new])
        count += 1
    return count


def _moved_axis(node: Node, axis: int) -> int | None:
    if node.op == "Transpose":
        return int(node.attrs["perm"].index(axis))
    old, new = node.input(0).shape, node.output.shape
    outer = math.prod(old[:axis])
    for index, dim in enumerate(new):
        if dim == old[axis] and math.prod(new[:index]) == outer:
            return index
    return None


def signed_instead_of_unsigned(graph: Graph) -> int:
    """uint8 with zero point z between Quantize and Dequantize = int8 with zero point z - 128.

    The same real numbers in the type that integer kernels are written for. Inputs and outputs of
    the graph keep their type behind a Quantize that only shifts.
    """
    count = 0
    for node in live(graph, "Dequantize"):
        x = node.input(0)
        if x.dtype is DType.UINT8 and x.quant is not None:
            node.set_input(0, _signed(graph, x))
            if x.producer is not None:
                retire(graph, x.producer)
            count += 1
    for node in live(graph, "Quantize"):
        out = node.output
        if out.dtype is DType.UINT8 and graph.is_output(out) and is_real(*node.inputs):
            supersede(graph, out, "Quantize", [_signed(graph, out)], {"to": str(DType.UINT8)})
            count += 1
    return count


def _signed(graph: Graph, x: Value) -> Value:
    """The int8 twin of a uint8 value."""
    assert x.quant is not None
    quant = QuantParams(x.quant.scale, x.quant.zero_point - 128, x.quant.axis)
    if x.data is not None:
        return graph.constant((x.data.astype(np.int16) - 128).astype(np.int8), x.name, quant)
    maker = producer(x, "Quantize")
    source = x if maker is None else maker.input(0)
    new = graph.add("Quantize", [source], {"to": str(DType.INT8)}, name=f"{x.name}/int8")
    new.quant = quant
    return new


def fold_qdq(graph: Graph) -> int:
    """Turn each real operator between Dequantize and Quantize into an integer one; count them.

    Where the operator's output has prescribed parameters, or those of its inputs, and the Quantize
    asks for others, a Quantize between integers follows: at most one step of rounding more, and no
    real numbers. Declines where the operator has no integer form, where weights are asymmetric or
    the bias' scale is not input scale * weight scale, where the real result has other readers, and
    where types would mix.
    """
    count = 0
    for node in live(graph):
        if node.op in ("Quantize", "Dequantize") or not is_real(*node.outputs):
            continue
        if not any(producer(v, "Dequantize") for v in node.present_inputs):
            continue
        why = _fold(graph, node)
        if why:
            declined("fold_qdq", node, why)
        else:
            count += 1
    return count


def _fold(graph: Graph, node: Node) -> str:
    """Fold one node; the reason when it cannot be done, before anything is changed."""
    ends = [_quantize_after(graph, v) for v in node.outputs]
    quantizes = [q for q in ends if q is not None]
    if len(quantizes) < len(ends):
        return "its real result is read by something other than one Quantize"
    inputs = [_integer_input(graph, node, i) for i in range(len(node.inputs))]
    if any(new is None and old is not None for new, old in zip(inputs, node.inputs, strict=True)):
        return "an input is not dequantized"
    why = _breaks_rule(node, inputs, [q.output for q in quantizes])
    if why:
        return why
    inputs = _brought_together(graph, node, inputs, quantizes[0].output)
    outputs = graph.add_multi(node.op, inputs, node.attrs, name=node.name)
    for new, quantize in zip(outputs, quantizes, strict=True):
        out = quantize.output
        new.quant = _given_parameters(node, inputs, out)
        if new.quant == out.quant:
            take_over(graph, out, new)
        else:
            supersede(graph, out, "Quantize", [new], {"to": str(out.dtype)})
    retire(graph, node)
    return ""


def _brought_together(
    graph: Graph, node: Node, inputs: list[Value | None], out: Value
) -> list[Value | None]:
    """For an operator whose inputs share parameters: those of the output where they differ."""
    own = [v for v in inputs if v is not None and v.quant is not None]
    if row(node.op).quant.output != "same" or all(v.quant == own[0].quant for v in own):
        return inputs
    return [_requantized(graph, v, out) if v in own else v for v in inputs]


def _requantized(graph: Graph, value: Value | None, like: Value) -> Value | None:
    if value is None or value.quant == like.quant:
        return value
    new = graph.add("Quantize", [value], {"to": str(like.dtype)}, name=f"{value.name}/requantized")
    new.quant = like.quant
    return new


def _given_parameters(node: Node, inputs: list[Value | None], out: Value) -> QuantParams | None:
    """What the integer kernel's output has: prescribed, shared with the inputs, or as asked."""
    rule = row(node.op).quant
    if rule.output == "fixed":
        return QuantParams.per_tensor(*rule.fixed[out.dtype])
    if rule.output == "same":
        return next(v.quant for v in inputs if v is not None and v.quant is not None)
    return out.quant


def _quantize_after(graph: Graph, value: Value) -> Node | None:
    user = graph.only_user(value)
    return user if user is not None and user.op == "Quantize" else None


def _integer_input(graph: Graph, node: Node, index: int) -> Value | None:
    value = node.optional(index)
    if value is None:
        return None
    before = producer(value, "Dequantize")
    if before is not None:
        return before.input(0)
    if row(node.op).quant.bias == index and value.is_const:
        return _quantized_bias(graph, node, value)
    return value if not value.dtype.is_float else None


def _quantized_bias(graph: Graph, node: Node, bias: Value) -> Value | None:
    scale = _accumulator_scale(node)
    if scale is None:
        return None
    q = np.rint(bias.const.astype(np.float64) / scale)
    data = np.clip(q, _INT32.min, _INT32.max).astype(np.int32)
    quant = QuantParams.per_channel(np.broadcast_to(scale, data.shape), 0)
    return graph.constant(data, bias.name, quant)


def _accumulator_scale(node: Node) -> Vector | None:
    """Input scale times weight scales, float64 [1] or [channels]."""
    x, w = producer(node.input(0), "Dequantize"), producer(node.input(1), "Dequantize")
    if x is None or w is None or x.input(0).quant is None or w.input(0).quant is None:
        return None
    product: Vector = _scale(x.input(0)) * _scale(w.input(0))
    return product


def _scale(value: Value) -> Vector:
    assert value.quant is not None
    return value.quant.scale.astype(np.float64)


def _breaks_rule(node: Node, inputs: list[Value | None], outputs: list[Value]) -> str:
    rule = row(node.op).quant
    x, out = inputs[0], outputs[0]
    if x is None or x.quant is None or any(v.dtype is not x.dtype for v in outputs):
        return "input and output types differ"
    if rule.output in ("float", "integer"):
        return "it has no integer form"
    real = [v for v in inputs if v is not None and v.quant is not None]
    if rule.output == "fixed" and out.dtype not in rule.fixed:
        return f"it has no {out.dtype} form"
    if rule.weight is not None:
        return _breaks_weights(node, inputs)
    return "" if all(v.dtype is x.dtype for v in real) else "types mix"


def _breaks_weights(node: Node, inputs: list[Value | None]) -> str:
    rule = row(node.op).quant
    x, w = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    assert x is not None
    if w is None or w.quant is None or not w.is_const or w.dtype is not DType.INT8:
        return "its weights are not constant int8"
    if w.quant.zero_point.any() or w.quant.axis not in (None, rule.axis):
        return "its weights are asymmetric, or scaled along another dimension"
    if bias is None:
        return ""
    if bias.quant is None or bias.dtype is not DType.INT32 or bias.quant.zero_point.any():
        return "its bias is not int32 with zero point 0"
    expected = _scale(x) * _scale(w)
    if not np.allclose(bias.quant.scale, expected, rtol=_BIAS_TOLERANCE, atol=0):
        return "its bias has another scale than input times weights"
    return ""
