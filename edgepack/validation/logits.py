"""Agreement is judged before a softmax: after it, most differences are squeezed to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgepack.ir import Graph, Value
from edgepack.report import LayerInfo

_SQUEEZERS: Final = ("Softmax", "LogSoftmax", "Sigmoid")
_STORAGE: Final = ("Dequantize", "Quantize")  # the same numbers, kept otherwise


def before_softmax(graph: Graph) -> Graph | None:
    """A copy whose outputs are what goes into the last softmax or sigmoid; None without one."""
    cut = graph.copy()
    outputs = [_inside(value) for value in cut.outputs]
    if all(new is old for new, old in zip(outputs, cut.outputs, strict=True)):
        return None
    cut.outputs = list(dict.fromkeys(outputs))
    cut.source.output_perms = {
        name: perm
        for name, perm in cut.source.output_perms.items()
        if any(v.name == name for v in cut.outputs)
    }
    cut.remove_dead()
    return cut


def ends_in_softmax(layers: Sequence[LayerInfo]) -> bool:
    """Whether the last layers of a report are among those that `before_softmax` cuts."""
    return any(layer.op in _SQUEEZERS for layer in layers[-2:])  # a Dequantize may follow


def _inside(value: Value) -> Value:
    """`value`, or the computed value behind the operators at its end that squeeze it."""
    node = value.producer
    if node is None or node.op not in (*_SQUEEZERS, *_STORAGE):
        return value
    inner = node.input(0)
    if node.op in _STORAGE:
        deeper = _inside(inner)
        return value if deeper is inner else deeper
    return value if inner.producer is None or inner.is_const else inner
