"""Matrix products, Gemm and Einsum."""

from __future__ import annotations

from edgepack.ir import Value
from edgepack.readers.einsum import contract
from edgepack.readers.emitter import is_known
from edgepack.readers.onnx.context import Call, Context
from edgepack.readers.onnx.registry import reads


@reads("MatMul")
def matmul(ctx: Context, node: Call) -> Value:
    """numpy's matmul; a constant matrix on the right becomes a dense layer."""
    return product(ctx, node.input(0), node.input(1))


def product(ctx: Context, a: Value, b: Value) -> Value:
    """`a @ b` for any ranks from 1 on."""
    if not a.rank or not b.rank:
        raise ValueError("MatMul of a scalar")
    left = ctx.reshape(a, (1, a.shape[0])) if a.rank == 1 else a
    right = ctx.reshape(b, (b.shape[0], 1)) if b.rank == 1 else b
    y = ctx.product(left, right)
    shape = list(y.shape)
    if b.rank == 1:
        del shape[-1]
    if a.rank == 1:
        del shape[-1 if b.rank == 1 else -2]
    return ctx.reshape(y, shape)


@reads("Gemm")
def gemm(ctx: Context, node: Call) -> Value:
    """alpha * a @ b + beta * c; constant b and a row for c make a dense layer."""
    a, b, c = node.input(0), node.input(1), node.optional(2)
    if a.rank != 2 or b.rank != 2:
        raise ValueError(f"Gemm of {a.shape} and {b.shape}")
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    a = ctx.transpose(a, (1, 0)) if node.attr("transA", 0) else a
    weights = b if node.attr("transB", 0) else ctx.transpose(b, (1, 0))  # [out, in]
    if alpha != 1.0:
        weights = ctx.emit("Mul", weights, alpha)
    if c is not None and beta != 1.0:
        c = ctx.emit("Mul", c, beta)
    row = None if c is None else _bias_row(ctx, c, weights.shape[0])
    if is_known(weights):
        y = ctx.emit("FullyConnected", a, weights, row)
        return y if c is None or row is not None else ctx.emit("Add", y, c)
    y = ctx.emit("MatMul", a, weights, adj_b=True)
    return y if c is None else ctx.emit("Add", y, c)


def _bias_row(ctx: Context, c: Value, size: int) -> Value | None:
    if not is_known(c) or c.size not in (1, size) or (c.rank == 2 and c.shape[0] != 1):
        return None
    if c.size == size:
        return ctx.reshape(c, (size,))
    return ctx.broadcast(ctx.reshape(c, (1,)), (size,))


@reads("Einsum")
def einsum(ctx: Context, node: Call) -> Value:
    """Operands joined two at a time."""
    return contract(ctx, node.required("equation"), node.present)
