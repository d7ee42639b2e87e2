"""What the expressions of symbolic shapes in a `.pt2` file may consist of.

torch gives them to `sympy.sympify`, which evaluates Python. Here they are only parsed: names, whole
numbers, arithmetic, comparisons and calls of known functions pass.
"""

from __future__ import annotations

import ast
import re
from typing import TypeGuard

# Names that torch's printer (sympy.srepr) and older str() forms call; sympy's and torch's own.
FUNCTIONS = {
    "Symbol", "Dummy", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Mod", "Max", "Min",
    "Abs", "Piecewise", "ExprCondPair", "Equality", "Unequality", "Eq", "Ne", "Lt", "Le", "Gt",
    "Ge", "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "And", "Or", "Not",
    "floor", "ceiling", "FloorDiv", "CeilDiv", "CleanDiv", "ModularIndexing", "PythonMod",
    "Where", "CeilToInt", "FloorToInt", "TruncToInt", "TruncToFloat", "RoundToInt",
    "RoundDecimal", "ToFloat", "Identity", "IntTrueDiv", "FloatTrueDiv", "FloatPow",
    "PowByNatural", "IsNonOverlappingAndDenseIndicator", "sqrt",
}  # fmt: skip
# These take their first argument as text.
_OF_TEXT = {
    "Symbol": re.compile(r"[A-Za-z_]\w*", re.ASCII),
    "Dummy": re.compile(r"[A-Za-z_]\w*", re.ASCII),
    "Float": re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.ASCII),
}
_POWERS = frozenset({"Pow", "PowByNatural", "FloatPow"})
_PLAIN = (
    ast.Expression, ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.UAdd, ast.USub,
    ast.BitAnd, ast.BitOr, ast.Invert, ast.And, ast.Or, ast.Not,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.keyword, ast.Tuple,
)  # fmt: skip
_LONGEST = 20_000
_LARGEST = 2**64
_HIGHEST_POWER = 10_000  # of all exponents in one expression together
_DIGITS = 100  # of a Float


def is_plain_expression(text: str) -> bool:
    """Whether evaluating the expression can only compute, and in little time."""
    if len(text) > _LONGEST:
        return False
    try:
        tree = ast.parse(text, mode="eval")
        return all(map(_allowed, ast.walk(tree))) and _text_in_place(tree) and _powers(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        value = node.value
        return isinstance(value, bool | float | str) or (
            isinstance(value, int) and abs(value) <= _LARGEST
        )
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
    if isinstance(node, ast.keyword) and node.arg is None:
        return False
    return isinstance(node, _PLAIN)


def _text_in_place(tree: ast.AST) -> bool:
    """Whether strings are nothing else than the name of a symbol or the digits of a number."""
    strings = sum(isinstance(n, ast.Constant) and isinstance(n.value, str) for n in ast.walk(tree))
    return strings == sum(_names_text(node) for node in ast.walk(tree))


def _names_text(node: ast.AST) -> bool:
    if not (_calls(node, *_OF_TEXT) and isinstance(node.func, ast.Name) and node.args):
        return False
    first = node.args[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return False
    return bool(_OF_TEXT[node.func.id].fullmatch(first.value)) and first.value[:2] != "__"


def _powers(tree: ast.AST) -> bool:
    """Whether the powers are low: 9**9**9 computes for ever."""
    product = 1
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            product *= _exponent(node.right)
        if _calls(node, *_POWERS):
            product *= _exponent(node.args[1]) if len(node.args) == 2 else _HIGHEST_POWER + 1
        if isinstance(node, ast.keyword) and node.arg in ("precision", "dps"):
            product *= 1 if _exponent(node.value) <= _DIGITS else _HIGHEST_POWER + 1
    return product <= _HIGHEST_POWER


def _calls(node: ast.AST, *names: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _exponent(node: ast.AST) -> int:
    """The magnitude of a whole number or a fraction's larger part; too high for all else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _exponent(node.operand)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return max(1, abs(node.value))
    if _calls(node, "Integer", "Rational"):
        return max((_exponent(argument) for argument in node.args), default=1)
    return _HIGHEST_POWER + 1
