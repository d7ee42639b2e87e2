"""Matrix products, Gemm and Einsum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import Value
from edgepack.readers.emitter import Refused, stored_constant
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
    y = _product(ctx, left, right)
    shape = list(y.shape)
    if b.rank == 1:
        del shape[-1]
    if a.rank == 1:
        del shape[-1 if b.rank == 1 else -2]
    return ctx.reshape(y, shape)


def is_weight(x: Value) -> bool:
    """Whether `x` is a constant or the dequantized form of one."""
    return x.is_const or stored_constant(x) is not None


def _product(ctx: Context, a: Value, b: Value) -> Value:
    if b.rank == 2 and is_weight(b) and not a.is_const:
        return ctx.emit("FullyConnected", a, ctx.transpose(b, (1, 0)))
    return ctx.emit("MatMul", a, b)


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
    if is_weight(weights):
        y = ctx.emit("FullyConnected", a, weights, row)
        return y if c is None or row is not None else ctx.emit("Add", y, c)
    y = ctx.emit("MatMul", a, weights, adj_b=True)
    return y if c is None else ctx.emit("Add", y, c)


def _bias_row(ctx: Context, c: Value, size: int) -> Value | None:
    if not is_weight(c) or c.size not in (1, size) or (c.rank == 2 and c.shape[0] != 1):
        return None
    if c.size == size:
        return ctx.reshape(c, (size,))
    return ctx.broadcast(ctx.reshape(c, (1,)), (size,))


# -- Einsum ----------------------------------------------------------------------------------------


@reads("Einsum")
def einsum(ctx: Context, node: Call) -> Value:
    """Operands are joined two at a time, by a matrix product over what is summed."""
    equation = node.required("equation").replace(" ", "")
    terms, target = _parse(equation, [v.rank for v in node.present])
    pairs = [_diagonal(ctx, v, t) for v, t in zip(node.present, terms, strict=True)]
    while len(pairs) > 1:
        (a, left), (b, right), *rest = pairs
        keep = set(target).union(*(t for _, t in rest))
        pairs = [_join(ctx, a, left, b, right, keep), *rest]
    value, term = _sum_out(ctx, *pairs[0], set(target))
    return ctx.transpose(value, [term.index(c) for c in target])


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """One letter per dimension for each operand and for the result; capitals for `...`."""
    left, arrow, target = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"Einsum {equation!r} with {len(ranks)} inputs")
    free = [chr(code) for code in range(0x100, 0x140)]  # letters that no equation uses
    extra = max(
        (r - len(t) + 3 for t, r in zip(terms, ranks, strict=True) if "..." in t), default=0
    )
    dots = "".join(free[:extra])
    if not arrow:
        letters = sorted(set(left) - set(",."))
        target = ("..." if "..." in left else "") + "".join(
            c for c in letters if left.count(c) == 1
        )
    full = []
    for term, rank in zip(terms, ranks, strict=True):
        used = rank - len(term) + 3
        full.append(term.replace("...", dots[extra - used :] if used else ""))
        if len(full[-1]) != rank:
            raise ValueError(f"Einsum {equation!r} with an input of rank {rank}")
    return full, target.replace("...", dots)


def _diagonal(ctx: Context, x: Value, term: str) -> tuple[Value, str]:
    """Take the diagonal of dimensions that carry the same letter."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first, second = term.index(letter), term.rindex(letter)
            size = x.shape[first]
            rest = [i for i in range(x.rank) if i not in (first, second)]
            moved = ctx.transpose(x, [first, second, *rest])
            flat = ctx.reshape(moved, (size * size, *moved.shape[2:]))
            picks = ctx.const(np.arange(size, dtype=np.int64) * (size + 1))
            x = ctx.emit("Gather", flat, picks, axis=0)
            term = letter + "".join(term[i] for i in rest)
    return x, term


def _sum_out(ctx: Context, x: Value, term: str, keep: set[str]) -> tuple[Value, str]:
    axes = [i for i, c in enumerate(term) if c not in keep]
    if not axes:
        return x, term
    y = ctx.reduce("ReduceSum", x, axes, keepdims=False)
    return y, "".join(c for c in term if c in keep)


def _join(
    ctx: Context, a: Value, left: str, b: Value, right: str, keep: set[str]
) -> tuple[Value, str]:
    a, left = _sum_out(ctx, a, left, keep | set(right))
    b, right = _sum_out(ctx, b, right, keep | set(left))
    shared = [c for c in left if c in right]
    batch = [c for c in shared if c in keep]
    inner = [c for c in shared if c not in keep]
    rows, cols = [c for c in left if c not in shared], [c for c in right if c not in shared]
    sizes = dict(zip(left, a.shape, strict=True))
    for letter, size in zip(right, b.shape, strict=True):
        if sizes.setdefault(letter, size) not in (size, 1) and size != 1:
            raise Refused(f"dimension {letter} is {sizes[letter]} and {size}")
        sizes[letter] = max(sizes[letter], size)
    a = _grouped(ctx, a, left, (batch, rows, inner), sizes)
    b = _grouped(ctx, b, right, (batch, inner, cols), sizes)
    y = product(ctx, a, b)
    letters = [*batch, *rows, *cols]
    return ctx.reshape(y, [sizes[c] for c in letters]), "".join(letters)


def _grouped(
    ctx: Context, x: Value, term: str, groups: tuple[list[str], ...], sizes: dict[str, int]
) -> Value:
    """`x` with its batch letters first, then each other group of letters as one dimension."""
    order = [c for group in groups for c in group]
    x = ctx.transpose(x, [term.index(c) for c in order])
    x = ctx.broadcast(x, [sizes[c] for c in order])
    batch, *flat = groups
    shape = [sizes[c] for c in batch]
    return ctx.reshape(x, shape + [int(np.prod([sizes[c] for c in g], dtype=int)) for g in flat])
