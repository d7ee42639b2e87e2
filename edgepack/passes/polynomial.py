"""Arithmetic read as a polynomial, so that one rule sees every spelling of a formula.

`0.5 * x * (1 + c)`, `x * (c / 2 + 0.5)` and `(x + x * c) / 2` are one polynomial in x and c:
{(1, 0): 0.5, (1, 1): 0.5}, from the exponents of the symbols to the coefficient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.passes.match import is_real, uniform

Polynomial = dict[tuple[int, ...], float]

_ARITHMETIC: Final = ("Add", "Sub", "Mul", "Div", "Neg", "Square", "Pow")
_MAX_DEPTH: Final = 8
_MAX_POWER: Final = 4


def polynomial(
    graph: Graph, value: Value, symbols: tuple[Value, ...], depth: int = 0
) -> Polynomial | None:
    """`value` as a polynomial in `symbols`; None when it is none.

    Everything between (but `value` itself at depth 0) must have one reader only, so that a rewrite
    makes it disappear.
    """
    for index, symbol in enumerate(symbols):
        if value is symbol:
            return {tuple(int(i == index) for i in range(len(symbols))): 1.0}
    constant = uniform(value)
    if constant is not None:
        return {(0,) * len(symbols): constant}
    node = value.producer
    if node is None or depth >= _MAX_DEPTH or not _is_arithmetic(node):
        return None
    if depth and graph.only_user(value) is None:
        return None
    return _combine(graph, node, symbols, depth + 1)


def _is_arithmetic(node: Node) -> bool:
    return (
        node.op in _ARITHMETIC
        and is_real(*node.inputs, node.output)
        and node.attrs.get("activation", "none") == "none"
    )


def _combine(graph: Graph, node: Node, symbols: tuple[Value, ...], depth: int) -> Polynomial | None:
    a = polynomial(graph, node.input(0), symbols, depth)
    if a is None:
        return None
    if node.op == "Neg":
        return _scaled(a, -1.0)
    if node.op == "Square":
        return _product(a, a)
    if node.op in ("Pow", "Div"):
        number = uniform(node.input(1))
        return None if number is None else _with_number(node.op, a, number)
    b = polynomial(graph, node.input(1), symbols, depth)
    if b is None:
        return None
    if node.op == "Mul":
        return _product(a, b)
    return _sum(a, b if node.op == "Add" else _scaled(b, -1.0))


def _with_number(op: str, a: Polynomial, number: float) -> Polynomial | None:
    if op == "Div":
        return _scaled(a, 1 / number) if number else None
    if number != int(number) or not 1 <= number <= _MAX_POWER:
        return None
    result = a
    for _ in range(int(number) - 1):
        result = _product(result, a)
    return result


def _scaled(a: Polynomial, factor: float) -> Polynomial:
    return {k: v * factor for k, v in a.items()}


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    return {k: a.get(k, 0.0) + b.get(k, 0.0) for k in (*a, *b)}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for ka, va in a.items():
        for kb, vb in b.items():
            key = tuple(i + j for i, j in zip(ka, kb, strict=True))
            result[key] = result.get(key, 0.0) + va * vb
    return result


def same_polynomial(a: Polynomial | None, b: Polynomial, tolerance: float = 1e-4) -> bool:
    """Whether all coefficients agree, as far as decimals typed into a model file do."""
    if a is None:
        return False
    return all(abs(a.get(k, 0.0) - b.get(k, 0.0)) <= tolerance for k in (*a, *b))


def base(graph: Graph, value: Value, depth: int = 0) -> Value | None:
    """The one value that an arithmetic expression is about; None when there are several.

    Ends at anything with several readers, which is what the x in x * f(x) has.
    """
    node = value.producer
    inside = depth == 0 or graph.only_user(value) is not None
    if node is None or not inside or depth >= _MAX_DEPTH or not _is_arithmetic(node):
        return value
    found = {
        leaf
        for v in node.present_inputs
        if not v.is_const and (leaf := base(graph, v, depth + 1)) is not None
    }
    return next(iter(found)) if len(found) == 1 else None


def roots(graph: Graph, value: Value) -> Iterator[Value]:
    """The results of the arithmetic that follows `value`, as long as each has one reader."""
    for _ in range(_MAX_DEPTH):
        user = graph.only_user(value)
        if user is None or not _is_arithmetic(user):
            return
        value = user.output
        yield value
