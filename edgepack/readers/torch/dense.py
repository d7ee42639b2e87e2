"""Dense layers, matrix products and attention."""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import DType, Value
from edgepack.readers.emitter import Refused
from edgepack.readers.torch.call import Call
from edgepack.readers.torch.registry import reads


@reads("aten.linear")
def linear(call: Call) -> Value:
    """FullyConnected; torch's weights are [out, in] already."""
    x = call.value("input")
    if not call.is_const("weight"):
        return _bias(call, call.product(x, call.value("weight"), adj_b=True), "bias")
    return call.emit("FullyConnected", x, call.value("weight"), call.optional("bias"))


def _bias(call: Call, y: Value, name: str) -> Value:
    return y if call.get(name) is None else call.emit("Add", y, call.value(name))


@reads("aten.matmul", "aten.mm", "aten.bmm", "aten.mv", "aten.dot")
def matmul(call: Call) -> Value:
    """Products after numpy's rule for vectors, matrices and stacks of them."""
    names = list(call.arguments)
    a, b = call.value(names[0], call.dtype), call.value(names[1], call.dtype)
    a = call.reshape(a, (1, *a.shape)) if a.rank == 1 else a
    b = call.reshape(b, (*b.shape, 1)) if b.rank == 1 else b
    return call.reshape(call.product(a, b), call.shape)


@reads("aten.addmm", "aten.baddbmm", "aten.addbmm", "aten.addmv")
def addmm(call: Call) -> Value:
    """beta * self + alpha * (a times b); FullyConnected with bias where it is one."""
    names = list(call.arguments)
    if call.target.split(".")[1] == "addbmm":
        raise Refused("a sum over the products of a batch has no equivalent")
    a, b = call.value(names[1]), call.value(names[2])
    alpha, beta = float(call.get("alpha", 1)), float(call.get("beta", 1))
    plain = alpha == 1 and beta == 1 and call.is_const("self") and b.is_const and b.rank == 2
    if plain and call.array("self").shape == b.shape[1:] and not a.is_const:
        return call.emit("FullyConnected", a, call.transpose(b, (1, 0)), call.value("self"))
    b = call.reshape(b, (*b.shape, 1)) if b.rank == 1 else b
    y = call.reshape(call.product(a, b), call.shape)
    y = y if alpha == 1 else call.emit("Mul", y, alpha)
    if beta == 0:
        return y
    x = call.value("self")
    x = x if beta == 1 else call.emit("Mul", x, beta)
    return call.emit("Add", y, x)


@reads(
    "aten.scaled_dot_product_attention",
    "aten._scaled_dot_product_flash_attention_for_cpu",
    "aten._scaled_dot_product_attention_math",
)
def attention(call: Call) -> Value:
    """softmax(q k' * scale + mask) v."""
    q, k, v = (call.value(name) for name in ("query", "key", "value"))
    if float(call.get("dropout_p", 0)) > 0:
        raise Refused("dropout is active although the module is in eval mode")
    scale = float(call.get("scale", 1 / math.sqrt(q.shape[-1])))
    if call.get("enable_gqa", False) and q.shape[-3] != k.shape[-3]:
        k, v = (_repeat_heads(call, x, q.shape[-3]) for x in (k, v))
    scores = call.emit("MatMul", call.emit("Mul", q, scale), k, adj_b=True)
    scores = _mask(call, scores)
    return call.emit("MatMul", call.emit("Softmax", scores, axis=-1), v)


def _repeat_heads(call: Call, x: Value, heads: int) -> Value:
    *batch, groups, length, size = x.shape
    wide = call.reshape(x, (*batch, groups, 1, length, size))
    wide = call.broadcast(wide, (*batch, groups, heads // groups, length, size))
    return call.reshape(wide, (*batch, heads, length, size))


# Finite, so that a row that is masked throughout stays finite as well; e^-10000 is 0 in float32.
_FAR = -1e4


def _mask(call: Call, scores: Value) -> Value:
    mask = call.optional("attn_mask")
    if call.get("is_causal", False):
        allowed = np.tril(np.ones(scores.shape[-2:], np.float32))
        return call.emit("Add", scores, call.const((1 - allowed) * np.float32(_FAR), name="mask"))
    if mask is None:
        return scores
    if mask.dtype is not DType.BOOL:
        return call.emit("Add", scores, call.cast(mask, DType.FLOAT32))
    if mask.is_const:
        penalty = np.where(mask.const, 0, _FAR).astype(np.float32)
        return call.emit("Add", scores, call.const(penalty, name="mask"))
    return call.emit("Where", mask, scores, _FAR)


@reads("aten.bilinear")
def bilinear(call: Call) -> Value:
    """x1' W_o x2 for every output o: a dense layer on x1, then a weighted sum over x2."""
    first, second = call.value("input1"), call.value("input2")
    weights = call.array("weight")  # [out, in1, in2]
    out, size1, size2 = weights.shape
    flat = call.const(weights.transpose(0, 2, 1).reshape(out * size2, size1), name="weight")
    y = call.emit("FullyConnected", first, flat, None)
    y = call.reshape(y, (*first.shape[:-1], out, size2))
    y = call.emit("Mul", y, call.reshape(second, (*second.shape[:-1], 1, size2)))
    return _bias(call, call.emit("ReduceSum", y, axes=(y.rank - 1,)), "bias")


@reads("aten.outer")
def outer(call: Call) -> Value:
    """Every product of two vectors' elements."""
    a, b = call.value("self"), call.value("vec2")
    return call.emit("Mul", call.reshape(a, (a.size, 1)), b)


@reads("aten.embedding")
def embedding(call: Call) -> Value:
    """Rows of the table."""
    return call.emit("Gather", call.value("weight"), call.value("indices"), axis=0)
