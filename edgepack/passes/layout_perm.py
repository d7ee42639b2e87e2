"""Permutations, and how a Reshape carries one from its input to its output.

A permutation is numpy's: `y = x.transpose(p)` has `y.shape[i] == x.shape[p[i]]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from operator import mul
from typing import TypeVar

from edgepack.ir import QuantParams

Perm = tuple[int, ...]
Shape = tuple[int, ...]
_Item = TypeVar("_Item")


def identity(rank: int) -> Perm:
    """The permutation that moves nothing."""
    return tuple(range(rank))


def inverse(perm: Perm) -> Perm:
    """The permutation that undoes `perm`."""
    result = [0] * len(perm)
    for position, source in enumerate(perm):
        result[source] = position
    return tuple(result)


def compose(first: Perm, then: Perm) -> Perm:
    """`x.transpose(first).transpose(then)` as one permutation of x."""
    return tuple(first[i] for i in then)


def permuted(items: Sequence[_Item], perm: Perm) -> tuple[_Item, ...]:
    """One item a dimension, in the order of `x.transpose(perm)`."""
    return tuple(items[i] for i in perm)


def channels_last(rank: int) -> Perm:
    """NCHW to NHWC, and its kin of other ranks."""
    return (0, *range(2, rank), 1)


def channels_first(rank: int) -> Perm:
    """NHWC to NCHW, and its kin of other ranks."""
    return (0, rank - 1, *range(1, rank - 1))


def moves_only_ones(shape: Shape, perm: Perm) -> bool:
    """Whether transposing `shape` by `perm` leaves the elements where they are in memory."""
    kept = [p for p in perm if shape[p] != 1]
    return kept == sorted(kept)


def induced(perm: Perm, dropped: Iterable[int]) -> Perm:
    """What is left of `perm` when the dimensions `dropped` of its result go away.

    With y = x.transpose(perm): reducing y over `dropped` equals reducing x over the dimensions they
    come from, and then transposing by the result.
    """
    gone = set(dropped)
    kept_sources = [p for i, p in enumerate(perm) if i not in gone]
    order = sorted(kept_sources)
    return tuple(order.index(p) for p in kept_sources)


def widened(perm: Perm, rank: int, dropped: Iterable[int]) -> Perm:
    """A permutation of `rank` dimensions from which dropping `dropped` leaves `perm`.

    Of the many, the usual moves of the channel are preferred.
    """
    gone = sorted(set(dropped))
    for candidate in _usual(rank):
        if induced(candidate, gone) == perm:
            return candidate
    kept = [i for i in range(rank) if i not in gone]
    sources = [kept[i] for i in inverse(perm)] + gone  # the transposed side's dimensions, in order
    return inverse(tuple(sources))


def moved_quant(quant: QuantParams | None, perm: Perm) -> QuantParams | None:
    """The parameters of x.transpose(perm), given those of x."""
    return None if quant is None else quant.transposed(perm)


def through_reshape(shape: Shape, perm: Perm, new_shape: Shape) -> Perm | None:
    """The `q` with reshape(x.transpose(perm), new_shape) == reshape(x, …).transpose(q).

    `shape` is that of x.transpose(perm). None when the Reshape mixes dimensions that `perm` parts.
    """
    factors = _common_factors(shape, new_shape)
    if factors is None:
        return None
    old, new = factors
    wanted = [label for i in inverse(perm) for label in old[i]]
    for candidate in _usual(len(new_shape)):
        if [label for i in inverse(candidate) for label in new[i]] == wanted:
            return candidate
    return _order_groups(new, wanted)


def _usual(rank: int) -> Iterator[Perm]:
    yield identity(rank)
    if rank >= 3:
        yield channels_first(rank)
        yield channels_last(rank)


def _order_groups(groups: list[list[int]], wanted: list[int]) -> Perm | None:
    """The perm whose inverse puts the groups of labels in the order `wanted`, else None."""
    place = {label: i for i, label in enumerate(wanted)}
    keys: list[tuple[int, int]] = []
    last = -1
    for index, group in enumerate(groups):  # a dimension of one follows the dimension before it
        last = place[group[0]] if group else last
        keys.append((last, index))
    sources = sorted(range(len(groups)), key=lambda i: keys[i])
    if [label for i in sources for label in groups[i]] != wanted:
        return None
    return inverse(tuple(sources))


def _common_factors(a: Shape, b: Shape) -> tuple[list[list[int]], list[list[int]]] | None:
    """Both shapes as lists of labels of common factors; None when there is no such split."""
    if 0 in a or 0 in b:
        return None
    cuts = sorted({*accumulate(a, mul, initial=1), *accumulate(b, mul, initial=1)})
    if any(high % low for low, high in pairwise(cuts)):
        return None
    return _labels(a, cuts), _labels(b, cuts)


def _labels(shape: Shape, cuts: list[int]) -> list[list[int]]:
    bounds = [cuts.index(c) for c in accumulate(shape, mul, initial=1)]
    return [list(range(low, high)) for low, high in pairwise(bounds)]
