"""Bit operators on 64-bit integers, whose builtins take 32 bits at most, by exact arithmetic.

An integer is the sum of words of 16 bits, each times a power of two. Such a word is exact in
float32, where dividing by a power of two is exact as well.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.match import supersede
from edgepack.passes.rules import Maker
from edgepack.passes.tflite.dtypes import fits_32_bits, signed
from edgepack.passes.tflite.rules import legalizes

_I32, _I64, _U64, _F32 = DType.INT32, DType.INT64, DType.UINT64, DType.FLOAT32
_WORDS: Final = (48, 32, 16, 0)  # the bit that each begins at
_LAST: Final = 62  # the largest power of two that an int64 holds


@legalizes("BitwiseXor")
def exclusive_or(graph: Graph, node: Node) -> bool:
    """Word by word, in int32; those whose numbers fit in 32 bits anyway are only cast."""
    if not _is_wide(node):
        return False
    make = Maker(graph, node)
    a, b = (_words(make, _signed(make, v)) for v in node.present_inputs)
    total: Value | None = None
    for begin, x, y in zip(_WORDS, a, b, strict=True):
        narrow = [_cast(make, _scaled(make, v, 2.0**-begin), _I32) for v in (x, y)]
        word = _cast(make, make("BitwiseXor", *narrow), _I64)
        word = make("Mul", word, make.constant(1 << begin, _I64))
        total = word if total is None else make("Add", total, word)
    _finish(graph, node, make, total)
    return True


@legalizes("RightShift")
def right_shift(graph: Graph, node: Node) -> bool:
    """floor(a / 2 ** b): without the bits that are lost, each word is divided exactly.

    Shifts by all bits leave the sign; unsigned integers then lose the copies of it.
    """
    if not _is_wide(node):
        return False
    make = Maker(graph, node)
    a, b = (_signed(make, v) for v in node.present_inputs)
    by_all = b.data is None or not ((b.data >= 0) & (b.data <= _LAST)).all()
    none = make.constant(0, _I64)
    if node.output.dtype is _U64 and by_all:  # numbers of 2 ** 63 or more look negative
        b = make("Where", make("Less", b, none), make.constant(64, _I64), b)
    b = make("Minimum", make("Maximum", b, none), make.constant(64, _I64))
    near = make("Minimum", b, make.constant(_LAST, _I64))
    powers = make.constant([1 << i for i in range(_LAST + 1)], _I64)
    lost = make("FloorMod", a, make("Gather", powers, near, attrs={"axis": 0}))
    shares = make.constant([2.0**-i for i in range(_LAST + 1)], _F32)
    share = make("Gather", shares, near, attrs={"axis": 0})
    total: Value | None = None
    for word in _words(make, make("Sub", a, lost)):
        part = _cast(make, make("Mul", _cast(make, word, _F32), share), _I64)
        total = part if total is None else make("Add", total, part)
    negative = make("Less", a, none)
    if by_all:
        sign = make("Where", negative, make.constant(-1, _I64), none)
        total = make("Where", make("Greater", b, make.constant(_LAST, _I64)), sign, total)
    if node.output.dtype is _U64:
        copies = np.array([0, -(1 << 63), *(1 << (64 - i) for i in range(2, 65))], np.int64)
        more = make("Gather", make.constant(copies, _I64), b, attrs={"axis": 0})
        total = make("Add", total, make("Where", negative, more, none))
    _finish(graph, node, make, total)
    return True


def _is_wide(node: Node) -> bool:
    wide = node.output.dtype in (_I64, _U64)
    return wide and not all(map(fits_32_bits, node.present_inputs))


def _signed(make: Maker, value: Value) -> Value:
    """The bits of `value` as int64."""
    if value.dtype is not _U64:
        return value
    if value.data is not None:
        return make.graph.constant(value.data.view(np.int64), value.name)
    return signed(make, value)


def _words(make: Maker, value: Value) -> list[Value]:
    """int64 multiples of powers of two whose sum is `value`: the first signed, the rest not."""
    words = []
    for begin in _WORDS[:-1]:
        rest = make("FloorMod", value, make.constant(1 << begin, _I64))
        words.append(make("Sub", value, rest))
        value = rest
    return [*words, value]


def _scaled(make: Maker, word: Value, factor: float) -> Value:
    return make("Mul", _cast(make, word, _F32), make.constant(factor, _F32))


def _cast(make: Maker, value: Value, dtype: DType) -> Value:
    return make("Cast", value, attrs={"to": str(dtype)})


def _finish(graph: Graph, node: Node, make: Maker, total: Value | None) -> None:
    """Let `total` stand for the node's output, as the type that this has."""
    assert total is not None
    op = "Bitcast" if node.output.dtype is _U64 else "Reshape"
    attrs = {"to": str(_U64)} if op == "Bitcast" else {"shape": total.shape}
    supersede(graph, node.output, op, [total], attrs)
