"""Element by element: 8-bit functions by table, pairs with broadcasting, 16-bit functions.

Whatever makes 8 bits of 8 bits alone is a table of 256, filled by the reference kernel.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgepack import kernels
from edgepack.ir import Array, DType, Node, Value
from edgepack.kernels import fixed_point as fp
from edgepack.kernels.quantized_activation import SIGMOID, s_curve_scaling, tabulated16
from edgepack.kernels.quantized_scale import double, limits, scale, zero
from edgepack.kernels.registry import QUANTIZED
from edgepack.writers.c.broadcast import each_pair
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless

_BYTES: Final = (DType.INT8, DType.UINT8)


def pair(real: Any) -> tuple[int, int]:
    """An ep_scale_t for a real multiplier."""
    multiplier, shift = fp.quantize_multiplier(real)
    return int(multiplier), -int(shift)


def ratio(a: Value, b: Value) -> tuple[int, int]:
    """An ep_scale_t from the units of `a` to those of `b`."""
    return pair(double(scale(a)) / double(scale(b)))


# -- tables ----------------------------------------------------------------------------------------


def variable(node: Node) -> Value | None:
    """The one input that is computed, when all others are constants of one element."""
    computed = [v for v in node.present_inputs if not v.is_const]
    single = all(v.size == 1 for v in node.present_inputs if v.is_const)
    return computed[0] if len(computed) == 1 and single else None


def by_table(node: Node, out: CBuilder) -> bool:
    """Lower a function of one byte; False when the node is none."""
    x, y = variable(node), node.output
    if x is None or x.dtype not in _BYTES or y.dtype not in (*_BYTES, DType.INT16):
        return False
    entries = table_of(node, x)
    kernel = "ep_lookup_16" if y.dtype is DType.INT16 else "ep_lookup_8"
    name = out.table(entries, f"{node.name}: table")
    out.call(kernel, name.text, out.at(x), out.at(y), y.size)
    return True


def table_of(node: Node, x: Value) -> Array:
    """The output for each byte, by its unsigned number: uint8 [256], or int16 [256]."""
    every = np.arange(256, dtype=np.uint8).view(x.dtype.numpy)
    arrays = [every if v is x else v.const.reshape(-1) for v in node.present_inputs]
    (result,) = kernels.call(node, arrays)
    flat = result.reshape(-1)
    return flat if flat.dtype == np.int16 else flat.view(np.uint8)


# -- pairs -----------------------------------------------------------------------------------------


@lowers("Add", "Sub", "SquaredDifference")
def add(node: Node, out: CBuilder) -> None:
    """Both inputs to a common scale, then their sum, difference or its square to the output's."""
    if by_table(node, out):
        return
    a, b, y = node.input(0), node.input(1), node.output
    _refuse_other_types(node)
    wide = y.dtype is DType.INT16
    one, two = double(scale(a)), double(scale(b))
    twice = 2 * max(one, two)
    if node.op == "SquaredDifference":
        spare = 0 if wide else 7
        last = twice * twice / double(np.float32(2 ** (2 * spare)) * scale(y))
    else:
        spare = 15 if wide else 20
        last = twice / (2**spare * double(scale(y)))
    low, high = limits(node)
    params = out.struct(
        "ep_add_t",
        a=pair(one / twice), b=pair(two / twice), y=pair(last),
        a_offset=-zero(a), b_offset=-zero(b), zero=zero(y), low=low, high=high, spare=spare,
    )  # fmt: skip
    names = {"Add": "ep_add", "Sub": "ep_sub", "SquaredDifference": "ep_squared_difference"}
    each_pair(node, out, names[node.op] + suffix(y), params)


def _refuse_other_types(node: Node) -> None:
    legal = all_of(node, DType.INT8) or all_of(node, DType.INT16)
    refuse_unless(legal, f"{node.input(0).dtype} and {node.input(1).dtype} inputs")
    refuse_unless(all(v.quant for v in node.present_inputs), "integers without a scale")


def suffix(value: Value) -> str:
    """The end of the names of kernels for the type of `value`."""
    return {DType.INT8: "_s8", DType.INT16: "_s16", DType.UINT8: "_u8"}[value.dtype]


@lowers("Mul", "Div")
def mul(node: Node, out: CBuilder) -> None:
    """One multiplier for the product or the quotient."""
    if by_table(node, out):
        return
    a, b, y = node.input(0), node.input(1), node.output
    _refuse_other_types(node)
    one, two, three = (double(scale(v)) for v in (a, b, y))
    if node.op == "Div":
        refuse_unless(y.dtype is DType.INT8, "division of 16-bit numbers")
    real = one * two / three if node.op == "Mul" else one / (two * three)
    low, high = limits(node)
    params = out.struct(
        "ep_mul_t",
        y=pair(real), a_offset=-zero(a), b_offset=-zero(b), zero=zero(y), low=low, high=high,
    )  # fmt: skip
    each_pair(node, out, f"ep_{node.op.lower()}{suffix(y)}", params)


@lowers("Maximum", "Minimum")
def maximum(node: Node, out: CBuilder) -> None:
    """All values have the same parameters."""
    if by_table(node, out):
        return
    _refuse_other_types(node)
    each_pair(node, out, f"ep_{node.op.lower()}{suffix(node.output)}")


_TRUE_WHERE: Final = {  # less, equal, greater
    "Equal": (0, 1, 0), "NotEqual": (1, 0, 1), "Less": (1, 0, 0), "LessEqual": (1, 1, 0),
    "Greater": (0, 0, 1), "GreaterEqual": (0, 1, 1),
}  # fmt: skip


@lowers(*_TRUE_WHERE)
def compare(node: Node, out: CBuilder) -> None:
    """Both sides scaled, then compared."""
    a, b = node.input(0), node.input(1)
    refuse_unless(a.dtype is DType.INT8 and b.dtype is DType.INT8, f"{a.dtype} inputs")
    refuse_unless(bool(a.quant and b.quant), "integers without a scale")
    less, equal, greater = _TRUE_WHERE[node.op]
    params = out.struct(
        "ep_compare_t",
        a=pair(double(scale(a))), b=pair(double(scale(b))),
        a_offset=-zero(a), b_offset=-zero(b), less=less, equal=equal, greater=greater,
    )  # fmt: skip
    each_pair(node, out, "ep_compare_s8", params)


@lowers("Where")
def where(node: Node, out: CBuilder) -> None:
    """By the size of an element, whatever it is."""
    bits = node.output.dtype.bits
    refuse_unless(bits in (8, 16, 32), f"{node.output.dtype} values")
    each_pair(node, out, f"ep_where_s{bits}")


@lowers("PRelu")
def prelu(node: Node, out: CBuilder) -> None:
    """One multiplier above zero, one for products below."""
    if by_table(node, out):
        return
    x, alpha, y = node.input(0), node.input(1), node.output
    refuse_unless(all_of(node, DType.INT8), f"{x.dtype} input")
    product = double(scale(x)) * double(scale(alpha)) / double(scale(y))
    params = out.struct(
        "ep_prelu_t",
        above=ratio(x, y), below=pair(product),
        a_offset=-zero(x), b_offset=-zero(alpha), zero=zero(y),
    )  # fmt: skip
    each_pair(node, out, "ep_prelu_s8", params)


# -- functions of one input ------------------------------------------------------------------------


@lowers("Elu", "Gelu", "HardSwish", "Rsqrt", "Log", "Exp", "Sqrt")
def function(node: Node, out: CBuilder) -> None:
    """A table of 256, or of 513 with lines between."""
    x, y = node.input(0), node.output
    if by_table(node, out):
        return
    legal = all_of(node, DType.INT16) and node.op not in ("HardSwish", "Rsqrt")
    refuse_unless(legal and node.op in QUANTIZED, f"{x.dtype} input")
    name = out.table(tabulated16(node).astype(np.int16), f"{node.name}: samples")
    out.call("ep_curve_s16", name.text, out.at(x), out.at(y), y.size)


@lowers("Relu", "Relu6", "ReluN1To1", "Relu0To1", "Clip", "LeakyRelu", "Abs")
def clamp(node: Node, out: CBuilder) -> None:
    """In 16 bits with multipliers above and below zero."""
    if by_table(node, out):
        return
    refuse_unless(all_of(node, DType.INT16), f"{node.input(0).dtype} input")
    x, y = node.input(0), node.output
    above = same = (2**30, -1)
    if x.quant != y.quant or node.op in ("Relu", "LeakyRelu"):
        above = ratio(x, y)
    if node.op == "Abs":
        above = same if scale(x) == scale(y) else ratio(x, y)
    slope = double(scale(x)) / double(scale(y)) * double(np.float32(node.attrs.get("alpha", 1)))
    below = pair(abs(slope)) if node.op == "LeakyRelu" else above
    low, high = _clamped(node)
    params = out.struct(
        "ep_rescale_t", above=above, below=below, offset=-zero(x), zero=zero(y), low=low, high=high
    )
    if node.op == "LeakyRelu":
        turn = -1 if slope < 0 else 1
        out.call("ep_fold_s16", params, turn, out.at(x), out.at(y), y.size)
    else:
        kernel = "ep_absolute_s16" if node.op == "Abs" else "ep_rescale_s16"
        out.call(kernel, params, out.at(x), out.at(y), y.size)


def _clamped(node: Node) -> tuple[int, int]:
    """The least and largest integer that come out, found by feeding the ends."""
    low, high = node.output.dtype.limits
    if node.op in ("LeakyRelu", "Abs"):
        return low, high
    ends = np.array(node.input(0).dtype.limits, node.input(0).dtype.numpy)
    (results,) = kernels.call(node, [ends])
    return int(results.min()), int(results.max())


@lowers("Sigmoid", "Tanh")
def s_curve(node: Node, out: CBuilder) -> None:
    """In 16 bits by a table that all such nodes share."""
    if by_table(node, out):
        return
    x, y = node.input(0), node.output
    refuse_unless(all_of(node, DType.INT16), f"{x.dtype} input")
    multiplier, shift = s_curve_scaling(node)
    table = out.table(SIGMOID.astype(np.uint16), "sigmoid").text
    out.call(f"ep_{node.op.lower()}_s16", table, multiplier, shift, out.at(x), out.at(y), y.size)


# -- conversions -----------------------------------------------------------------------------------


@lowers("Quantize")
def quantize(node: Node, out: CBuilder) -> None:
    """From real numbers, or from other integers."""
    x, y = node.input(0), node.output
    if by_table(node, out):
        return
    refuse_unless(y.quant is not None and y.quant.is_per_tensor, "one scale for each channel")
    if x.dtype is DType.FLOAT32 and y.dtype in (*_BYTES, DType.INT16):
        arguments = (out.real(float(scale(y))), zero(y), out.at(y), y.size)
        out.call(f"ep_quantize{suffix(y)}", out.at(x), *arguments)
        return
    refuse_unless(x.dtype is DType.INT16 and y.dtype in (DType.INT16, DType.INT8), f"{x.dtype}")
    low, high = y.dtype.limits
    params = out.struct(
        "ep_rescale_t",
        above=ratio(x, y), below=ratio(x, y), offset=-zero(x), zero=zero(y), low=low, high=high,
    )  # fmt: skip
    kernel = "ep_rescale_s16" if y.dtype is DType.INT16 else "ep_rescale_s16_s8"
    out.call(kernel, params, out.at(x), out.at(y), y.size)


@lowers("Dequantize")
def dequantize(node: Node, out: CBuilder) -> None:
    """Integers as real numbers."""
    x, y = node.input(0), node.output
    refuse_unless(x.dtype in (*_BYTES, DType.INT16) and y.dtype is DType.FLOAT32, f"{x.dtype}")
    refuse_unless(x.quant is not None and x.quant.is_per_tensor, "one scale for each channel")
    out.call(
        f"ep_dequantize{suffix(x)}",
        out.at(x), out.real(float(scale(x))), zero(x), out.at(y), y.size,
    )  # fmt: skip
