"""The text form of a graph: Python's syntax, one line a value. For tests and golden files.

    x: float32[1, 8, 8, 3] = input()
    w = random(4, 3, 3, 3)           # seeded by its name; also full(0.5, 4), const([1, 2])
    y = Conv2d(x, w, pad=((1, 1), (1, 1)))
    a, b = Split(y, axis=3, sizes=(2, 2))
    z = Add(a, b)
    output(z)

Quantized values say so: `x: int8[1, 8] @ q(0.5, -3) = input()`, `w: int8[4, 8] @ q([0.1, 0.2, 0.1,
0.3], axis=0) = random()`, `y: q(0.25, 0) = FullyConnected(x, w)`. A node bears the name of its
first output.
"""

from __future__ import annotations

import ast
import zlib
from textwrap import dedent
from typing import Any

import numpy as np

from edgepack.ir.dtypes import Array, DType, bfloat16_bits
from edgepack.ir.graph import Graph
from edgepack.ir.quant import QuantParams
from edgepack.ir.value import Node, Value

_SMALL = 8  # constants up to this size are printed in full


def parse(text: str) -> Graph:
    """The graph that `text` describes. Raises ValueError with the line that is not understood."""
    parser = _Parser()
    for statement in ast.parse(dedent(text).strip()).body:
        try:
            parser.statement(statement)
        except (KeyError, ValueError, TypeError, AttributeError) as problem:
            raise ValueError(
                f"line {statement.lineno}: {ast.unparse(statement)}: {problem!r}"
            ) from problem
    return parser.graph


def to_text(graph: Graph) -> str:
    """The graph in the text form; constants of more than eight elements are only declared."""
    lines = [f"{_declare(v)} = input()" for v in graph.inputs]
    seen: set[int] = set()
    for node in graph.nodes:
        for value in node.present_inputs:
            if value.is_const and id(value) not in seen:
                seen.add(id(value))
                lines.append(_constant(value))
        lines.append(_node(node))
    lines.append(f"output({', '.join(v.name for v in graph.outputs)})")
    return "\n".join(lines) + "\n"


def _quant(quant: QuantParams | None) -> str:
    if quant is None:
        return ""
    if quant.axis is None:
        return f"q({quant.scale[0]}, {quant.zero_point[0]})"
    # a float32 prints as the shortest number that reads back as itself
    return f"q([{', '.join(map(str, quant.scale))}], axis={quant.axis})"


def _declare(value: Value) -> str:
    quant = f" @ {_quant(value.quant)}" if value.quant else ""
    shape = list(value.shape) or "[()]"  # [] is not Python
    return f"{value.name}: {value.dtype}{shape}{quant}"


def _constant(value: Value) -> str:
    if value.size <= _SMALL:
        return f"{_declare(value)} = const({value.const.tolist()})"
    return f"{_declare(value)} = const(...)  # crc32 {zlib.crc32(value.const.tobytes()):08x}"


def _node(node: Node) -> str:
    arguments = ["None" if v is None else v.name for v in node.inputs]
    arguments += [f"{key}={value!r}" for key, value in node.attrs.items()]
    names = ", ".join(v.name for v in node.outputs)
    note = f": {_quant(node.output.quant)}" if node.output.quant and len(node.outputs) == 1 else ""
    shapes = " ".join(f"{v.dtype}{list(v.shape)}" for v in node.outputs)
    return f"{names}{note} = {node.op}({', '.join(arguments)})  # {shapes}"


class _Parser:
    def __init__(self) -> None:
        self.graph = Graph()
        self.env: dict[str, Value] = {}

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.graph.outputs = [self.env[_name(a)] for a in node.value.args]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
            self._assign([_name(node.target)], node.annotation, node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            target = node.targets[0]
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            self._assign([_name(n) for n in names], None, node.value)
        else:
            raise ValueError("not a value, a constant or output(...)")

    def _assign(self, names: list[str], note: ast.expr | None, call: ast.Call) -> None:
        dtype, shape, quant = _annotation(note)
        function = _name(call.func)
        if function == "input":
            values = [self.graph.add_input(names[0], shape or (), dtype or DType.FLOAT32)]
        elif function in ("const", "random", "full"):
            values = [self._constant(names[0], function, call, dtype, shape)]
        else:
            values = list(self._node(function, names, call))
        if quant is not None:
            values[0].quant = quant
        self.env.update(zip(names, values, strict=True))

    def _constant(
        self, name: str, function: str, call: ast.Call, dtype: DType | None,
        shape: tuple[int, ...] | None,
    ) -> Value:  # fmt: skip
        arguments = [_literal(a) for a in call.args]
        kind = (dtype or DType.FLOAT32).numpy
        if function == "const":
            data = np.asarray(arguments[0], kind)
        elif function == "full":
            data = np.full(tuple(arguments[1:]), arguments[0], kind)
        else:
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            real = rng.standard_normal(shape or tuple(arguments))
            data = _drawn(real, dtype or DType.FLOAT32)
        value = self.graph.constant(data, name)
        value.dtype = dtype or value.dtype
        return value

    def _node(self, op: str, names: list[str], call: ast.Call) -> tuple[Value, ...]:
        inputs = [None if isinstance(a, ast.Constant) else self.env[_name(a)] for a in call.args]
        attrs = {str(k.arg): _literal(k.value) for k in call.keywords}
        values = self.graph.add_multi(op, inputs, attrs, name=names[0])
        for value, name in zip(values, names, strict=True):
            value.name = name
        return values


def _drawn(real: Array, dtype: DType) -> Array:
    """Normal numbers; as whole ones of deviation 30, or half the largest where that is less."""
    if dtype is DType.BFLOAT16:
        return bfloat16_bits(real)
    if not dtype.is_integer:
        return real.astype(dtype.numpy)
    top = min(127, dtype.limits[1])
    return (real * min(30, top / 2)).clip(-top, top).astype(dtype.numpy)


class _NamedNumbers(ast.NodeTransformer):
    """Puts the numbers that Python prints as names in their place."""

    def visit_Name(self, node: ast.Name) -> ast.expr:  # noqa: N802  (ast's name)
        return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node


def _literal(node: ast.expr) -> Any:
    return ast.literal_eval(_NamedNumbers().visit(node))


def _name(node: ast.expr) -> str:
    if not isinstance(node, ast.Name):
        raise ValueError(f"expected a name, not {ast.unparse(node)}")
    return node.id


def _annotation(
    note: ast.expr | None,
) -> tuple[DType | None, tuple[int, ...] | None, QuantParams | None]:
    """Dtype, shape and parameters of `float32[1, 2] @ q(0.5, 3)`, each optional."""
    if note is None:
        return None, None, None
    if isinstance(note, ast.BinOp):
        return *_annotation(note.left)[:2], _annotation(note.right)[2]
    if isinstance(note, ast.Call):
        return None, None, _parse_quant(note)
    if isinstance(note, ast.Subscript):
        dims = ast.literal_eval(note.slice)
        return DType(_name(note.value)), dims if isinstance(dims, tuple) else (dims,), None
    return DType(_name(note)), None, None


def _parse_quant(call: ast.Call) -> QuantParams:
    arguments: list[Any] = [ast.literal_eval(a) for a in call.args]
    keywords = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    zero_point = arguments[1] if len(arguments) > 1 else 0
    if "axis" in keywords:
        return QuantParams.per_channel(arguments[0], keywords["axis"], zero_point)
    return QuantParams.per_tensor(arguments[0], zero_point)
