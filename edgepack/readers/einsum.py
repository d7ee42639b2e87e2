"""Einsum as sums, transposes and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ir import Value
from edgepack.readers.emitter import Emitter, Refused

Operand = tuple[Value, str]  # with one letter per dimension


def contract(b: Emitter, equation: str, operands: Sequence[Value]) -> Value:
    """The einsum of the operands, joined two at a time by a product over what is summed.

    Raises ValueError for an equation that does not suit them.
    """
    terms, target = _parse(equation.replace(" ", ""), [v.rank for v in operands])
    pairs = [_diagonal(b, v, t) for v, t in zip(operands, terms, strict=True)]
    while len(pairs) > 1:
        one, two, *rest = pairs
        pairs = [_join(b, one, two, set(target).union(*(t for _, t in rest))), *rest]
    value, term = _sum_out(b, *pairs[0], set(target))
    return b.transpose(value, [term.index(c) for c in target])


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


def _diagonal(b: Emitter, x: Value, term: str) -> Operand:
    """Take the diagonal of dimensions that carry the same letter."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first, second = term.index(letter), term.rindex(letter)
            size = x.shape[first]
            rest = [i for i in range(x.rank) if i not in (first, second)]
            moved = b.transpose(x, [first, second, *rest])
            flat = b.reshape(moved, (size * size, *moved.shape[2:]))
            picks = b.const(np.arange(size, dtype=np.int64) * (size + 1))
            x = b.emit("Gather", flat, picks, axis=0)
            term = letter + "".join(term[i] for i in rest)
    return x, term


def _sum_out(b: Emitter, x: Value, term: str, keep: set[str]) -> Operand:
    axes = [i for i, c in enumerate(term) if c not in keep]
    if not axes:
        return x, term
    y = b.reduce("ReduceSum", x, axes, keepdims=False)
    return y, "".join(c for c in term if c in keep)


def _join(b: Emitter, one: Operand, two: Operand, keep: set[str]) -> Operand:
    x, left = _sum_out(b, *one, keep | set(two[1]))
    y, right = _sum_out(b, *two, keep | set(left))
    shared = [c for c in left if c in right]
    batch = [c for c in shared if c in keep]
    inner = [c for c in shared if c not in keep]
    rows, cols = [c for c in left if c not in shared], [c for c in right if c not in shared]
    sizes = dict(zip(left, x.shape, strict=True))
    for letter, size in zip(right, y.shape, strict=True):
        if sizes.setdefault(letter, size) not in (size, 1) and size != 1:
            raise Refused(f"dimension {letter} is {sizes[letter]} and {size}")
        sizes[letter] = max(sizes[letter], size)
    x = _grouped(b, x, left, (batch, rows, inner), sizes)
    y = _grouped(b, y, right, (batch, inner, cols), sizes)
    letters = [*batch, *rows, *cols]
    return b.reshape(b.product(x, y), [sizes[c] for c in letters]), "".join(letters)


def _grouped(
    b: Emitter, x: Value, term: str, groups: tuple[list[str], ...], sizes: dict[str, int]
) -> Value:
    """`x` with its batch letters first, then each other group of letters as one dimension."""
    order = [c for group in groups for c in group]
    x = b.transpose(x, [term.index(c) for c in order])
    x = b.broadcast(x, [sizes[c] for c in order])
    batch, *flat = groups
    shape = [sizes[c] for c in batch]
    return b.reshape(x, shape + [int(np.prod([sizes[c] for c in g], dtype=int)) for g in flat])
