"""Spells quantized operators out: integer arithmetic with TensorFlow Lite Micro's rounding."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.errors import Finding, InternalError, Unsupported
from edgepack.ir import Graph, Node, Value
from edgepack.ir.shapes import NHWC
from edgepack.kernels.call import find, is_real
from edgepack.kernels.registry import QUANTIZED
from edgepack.passes.manager import run_pass
from edgepack.passes.onnx.wide_integers import compare_wide_integers
from edgepack.passes.onnx_exact import (  # noqa: F401 (they register their spellings)
    arithmetic,
    layers,
    recurrent,
    reduction,
    softmax,
    tables,
)
from edgepack.passes.onnx_exact.ints import Ints
from edgepack.passes.onnx_exact.movement import plain_fill, widen
from edgepack.passes.onnx_exact.spelling import SPELLINGS


def spell_exactly(graph: Graph) -> int:
    """Replace quantized operators of an NHWC graph by whole numbers, in place; count rewrites.

    No quantization parameters remain but those of weights of real operators, which are left alone.
    Where ONNX Runtime computes such a graph, its integers are those of the reference executor.
    Raises Unsupported with every integer operator that has no spelling.
    """
    return compare_wide_integers(graph) + run_pass(graph, _spell)


def _spell(graph: Graph) -> int:
    nodes = [node for node in graph.nodes if not is_real(node)]
    real = {id(v) for n in graph.nodes if is_real(n) for v in n.present_inputs if v.is_const}
    problems = [problem for node in nodes for problem in _spell_node(graph, node)]
    if problems:
        raise Unsupported("no exact ONNX form for these operators", problems)
    for value in graph.values():
        if id(value) not in real:
            value.quant = None
    return len(nodes)


def _spell_node(graph: Graph, node: Node) -> Sequence[Finding]:
    """Replace one node; what is in the way of it."""
    if find(node) is None or (node.op in QUANTIZED and node.op not in SPELLINGS):
        reason = "it has no integer kernel to spell out"
        return [Finding(node.name, node.op, str(node.output.dtype), reason)]
    if node.op not in QUANTIZED:
        plain_fill(graph, node)
        widen(graph, node)
        return []
    if node.attrs.get("layout", NHWC) != NHWC:
        raise InternalError("quantized operators are spelled out in NHWC", at=node.name)
    try:
        made = SPELLINGS[node.op](graph, node)
    except Unsupported as problem:
        return problem.findings
    value = _stored(made, node.output) if isinstance(made, Ints) else made
    value.quant = node.output.quant  # until all that read it are spelled
    graph.replace(node.output, value)
    graph.remove(node)
    return []


def _stored(numbers: Ints, like: Value) -> Value:
    return numbers.clipped(*like.dtype.limits).stored(like.dtype)
