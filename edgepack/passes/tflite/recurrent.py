"""The LSTM for TFLite, whose builtin keeps its states from one run to the next.

The IR's node starts every run from zero, as the models do that it comes from; the builtin starts
where the last run ended, so that only the first run after loading would be right. A step in front
of the sequence empties the states: in it, a mark among the features is one, which closes the input
gate and the forget gate. Then c' = 0 * c + 0 * g = 0 and h' = o * tanh(0) = 0, exactly. This costs
three operators and one step, where the unrolled LSTM takes eleven operators for every step.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.rules import Maker
from edgepack.passes.tflite.rules import legalizes

CLOSED: Final = -1e4  # far below what opens a gate, and still a number in half precision

_ENTER, _FORGET = 1, 2  # the gates' input weights
_SHIFTING: Final = (17, 20, 21, 22, 23)  # with these, closed gates do not make h zero


@legalizes("Lstm")
def start_lstm_empty(graph: Graph, node: Node) -> bool:
    """Put a step that empties the states before the others, and drop its output.

    A model that was TFLite already has the builtin's states by intention, and keeps them.
    """
    if graph.source.format == "tflite" or not _can_be_emptied(node) or _starts_empty(node):
        return False
    make, x = Maker(graph, node), node.input(0)
    time, batch = (0, 1) if node.attrs["time_major"] else (1, 0)
    steps = x.shape[time]
    pads = [(0, 0)] * 3
    pads[time] = (1, 0)
    marks = np.zeros((steps + 1, x.shape[batch], 1), np.float32)
    marks[0] = 1
    mark = make.constant(marks if time == 0 else marks.swapaxes(0, 1), x)
    longer = make("Concat", make("Pad", x, attrs={"pads": pads}), mark, attrs={"axis": 2})
    inputs = [longer, *(_with_mark(make, node, i) for i in range(1, 5)), *node.inputs[5:]]
    y = make("Lstm", *inputs, attrs=node.attrs)
    begin = [0, 0, 0]
    begin[time] = 1
    cut = {"begin": begin, "size": node.output.shape, "stride": [1] * 3}
    graph.replace(node.output, make("Slice", y, attrs=cut))
    graph.remove(node)
    return True


def _can_be_emptied(node: Node) -> bool:
    weights = [node.optional(i) for i in range(1, 5)]
    real = all(v is not None and v.is_const and v.dtype is DType.FLOAT32 for v in weights)
    return (
        real
        and node.input(0).dtype is DType.FLOAT32
        and not any(node.optional(i) is not None for i in _SHIFTING)
    )


def _starts_empty(node: Node) -> bool:
    return all(bool((node.input(i).const[:, -1] == CLOSED).all()) for i in (_ENTER, _FORGET))


def _with_mark(make: Maker, node: Node, index: int) -> Value:
    """Input weights with a column for the mark."""
    weights = node.input(index).const
    of_mark = CLOSED if index in (_ENTER, _FORGET) else 0.0
    column = np.full((weights.shape[0], 1), of_mark, np.float32)
    return make.constant(np.concatenate([weights, column], axis=1), DType.FLOAT32)
