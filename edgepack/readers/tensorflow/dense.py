"""Matrix products and einsum."""

from __future__ import annotations

import math

from edgepack.ir import Value
from edgepack.readers.emitter import Refused
from edgepack.readers.tensorflow.call import Call, Const
from edgepack.readers.tensorflow.registry import reads


@reads("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def matmul(call: Call) -> Value:
    """FullyConnected where the second is a constant matrix, else MatMul."""
    flip_a, flip_b = (_flag(call, side) for side in ("a", "b"))
    a, b = call.value(0), call.item(1)
    if isinstance(b, Const) and b.array.ndim == 2 and not flip_a and a.rank >= 2:
        weights = b.array if flip_b else b.array.T
        return call.emit("FullyConnected", a, call.const(weights, name="weight"), None)
    return call.emit("MatMul", a, call.as_value(b), adj_a=flip_a, adj_b=flip_b)


def _flag(call: Call, side: str) -> bool:
    index = "ab".index(side)
    names = (f"transpose_{side}", f"adj_{'xy'[index]}", f"grad_{'xy'[index]}")
    return any(bool(call.attrs.get(name, False)) for name in names[:2])


@reads("Einsum")
def einsum(call: Call) -> Value:
    """One or two operands: sums, transposes and one matrix product."""
    equation = str(call.attrs["equation"]).replace(" ", "")
    terms, _, out = equation.partition("->")
    operands = call.values()
    names = _spell_out(terms.split(","), out, [v.rank for v in operands])
    *sides, out = names
    if any(len(set(side)) < len(side) for side in sides):
        raise Refused(f"einsum {equation} repeats a letter in one operand, without equivalent")
    if len(sides) == 1:
        x, left = _sum_over(call, operands[0], sides[0], set(sides[0]) - set(out))
        return call.transpose(x, [left.index(c) for c in out])
    if len(sides) != 2:
        raise Refused(f"einsum {equation} of {len(sides)} operands has no equivalent")
    return _product(call, (operands[0], sides[0]), (operands[1], sides[1]), out)


def _spell_out(sides: list[str], out: str, ranks: list[int]) -> list[str]:
    """The terms with letters of their own for `...`."""
    extra = [r - len(s.replace("...", "")) for s, r in zip(sides, ranks, strict=True)]
    most = max((e for s, e in zip(sides, extra, strict=True) if "..." in s), default=0)
    letters = "".join(chr(0x3B1 + i) for i in range(most))  # greek: never in an equation
    full = [s.replace("...", letters[most - e :]) for s, e in zip(sides, extra, strict=True)]
    return [*full, out.replace("...", letters)]


def _sum_over(call: Call, x: Value, names: str, gone: set[str]) -> tuple[Value, str]:
    axes = [i for i, c in enumerate(names) if c in gone]
    if not axes:
        return x, names
    rest = "".join(c for c in names if c not in gone)
    return call.emit("ReduceSum", x, axes=axes), rest


def _product(call: Call, a: tuple[Value, str], b: tuple[Value, str], out: str) -> Value:
    x, left = _sum_over(call, *a, set(a[1]) - set(b[1]) - set(out))
    y, right = _sum_over(call, *b, set(b[1]) - set(a[1]) - set(out))
    sizes = dict(zip(left, x.shape, strict=True)) | dict(zip(right, y.shape, strict=True))
    batch = [c for c in out if c in left and c in right]
    inner = [c for c in left if c in right and c not in out]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]

    def arranged(value: Value, names: str, *groups: list[str]) -> Value:
        order = [c for group in groups for c in group]
        turned = call.transpose(value, [names.index(c) for c in order])
        shape = [*(sizes[c] for c in batch)]
        shape += [math.prod(sizes[c] for c in group) for group in groups[1:]]
        return call.reshape(turned, shape)

    lhs = arranged(x, left, batch, rows, inner)
    if not batch and y.is_const:
        weights = arranged(y, right, batch, columns, inner)
        product = call.emit("FullyConnected", lhs, weights, None)
    else:
        product = call.emit("MatMul", lhs, arranged(y, right, batch, inner, columns))
    order = [*batch, *rows, *columns]
    product = call.reshape(product, [sizes[c] for c in order])
    return call.transpose(product, [order.index(c) for c in out])
