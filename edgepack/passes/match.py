"""The questions that passes ask of a graph, and the edits that keep names and parameters right."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ir import OPS, Array, Graph, Node, Value

_log = logging.getLogger("edgepack.passes")

Vector = npt.NDArray[np.float64]

# Operators into which activations are fused. Transposed convolutions are not among them: TFLite's
# has fused activations only since version 4, and TensorFlow Lite Micro not at all.
_ACTIVATED_BY_THEMSELVES = ("ConvTranspose2d", "ConvTranspose3d", "Lstm", "Svdf")
ACTIVATED = tuple(
    op
    for op, row in OPS.items()
    if "activation" in row.attrs and op not in _ACTIVATED_BY_THEMSELVES
)


def declined(rule: str, node: Node, why: str) -> None:
    """Log a near miss: `rule` nearly applied to `node`."""
    _log.debug("%s leaves %s %s alone: %s", rule, node.op, node.name, why)


# -- questions -------------------------------------------------------------------------------------


def live(graph: Graph, *ops: str) -> Iterator[Node]:
    """The nodes of these operators (all without any), skipping those removed meanwhile."""
    for node in graph.nodes_of(*ops) if ops else graph.nodes:
        if node in graph:
            yield node


def producer(value: Value | None, *ops: str) -> Node | None:
    """The node of one of `ops` that makes `value`, else None."""
    node = None if value is None else value.producer
    return node if node is not None and node.op in ops else None


def sole_producer(graph: Graph, value: Value | None, *ops: str) -> Node | None:
    """Like `producer`, but None when anything besides one node needs `value`."""
    node = producer(value, *ops)
    if node is None or value is None or graph.only_user(value) is None:
        return None
    return node


def is_real(*values: Value | None) -> bool:
    """Whether all of these (None skipped) are float and none is quantized."""
    return all(v is None or (v.dtype.is_float and v.quant is None) for v in values)


def all_real(node: Node) -> bool:
    """Whether a node computes with real numbers only."""
    return is_real(*node.inputs, *node.outputs)


def unquantized(node: Node) -> bool:
    """Whether no value of a node has quantization parameters (plain integers are fine)."""
    return all(v.quant is None for v in (*node.present_inputs, *node.outputs))


def uniform(value: Value | None) -> float | None:
    """The number that fills a constant; None when it is no constant or not all the same."""
    if value is None or value.data is None or not value.size:
        return None
    first = value.data.flat[0]
    if value.size > 1 and not (value.data == first).all():
        return None
    return float(value.real.flat[0] if value.quant else first)


def variable_and_constant(node: Node) -> tuple[Value, Value] | None:
    """(computed input, constant input) of a node with two inputs, in either order."""
    a, b = node.input(0), node.input(1)
    if b.is_const and not a.is_const:
        return a, b
    if a.is_const and not b.is_const:
        return b, a
    return None


def channel_axis(node: Node) -> int:
    """Index of the output's channel dimension, counted from the front."""
    if node.attrs.get("layout") == "NCHW":
        return 1
    return node.output.rank - 1


def channel_vector(value: Value, shape: tuple[int, ...], axis: int) -> Vector | None:
    """A constant as one number per index of `axis` of a value of `shape`, float64 [shape[axis]].

    None when it varies along another dimension, or when `shape` would grow by broadcasting.
    """
    if value.data is None or value.rank > len(shape):
        return None
    dims = (1,) * (len(shape) - value.rank) + value.shape
    if dims[axis] not in (1, shape[axis]) or any(d != 1 for i, d in enumerate(dims) if i != axis):
        return None
    return np.broadcast_to(value.real.reshape(-1).astype(np.float64), (shape[axis],))


def close(a: float | None, b: float, tolerance: float = 1e-5) -> bool:
    """Whether `a` is `b` as far as a model file can tell (float32, short decimals)."""
    return a is not None and abs(a - b) <= tolerance * max(1.0, abs(b))


def as_float32(array: Array) -> Array:
    """The array in float32, the type of all real constants after the readers."""
    return np.ascontiguousarray(array, np.float32)


# -- edits -----------------------------------------------------------------------------------------


def may_take_over(graph: Graph, old: Value, new: Value) -> bool:
    """Whether `new` can stand for `old` with no change that a user of the model would see.

    An output of the graph must stay a value of its own: neither an input, nor a constant, nor
    another output.
    """
    if not graph.is_output(old):
        return True
    return new.producer is not None and not graph.is_output(new)


def take_over(graph: Graph, old: Value, new: Value) -> None:
    """Let `new` stand for `old`, with its name and parameters, and remove what made only `old`."""
    graph.replace(old, new)
    if old.name != new.name and not graph.is_output(new):
        name, old.name = old.name, graph.fresh(old.name)
        new.name = name
    if old.producer is not None:
        retire(graph, old.producer)


def bypass(graph: Graph, old: Value, new: Value) -> None:
    """Let readers of `old` take `new`, an existing value, which keeps its own name."""
    graph.replace(old, new)
    if old.producer is not None:
        retire(graph, old.producer)


def retire(graph: Graph, node: Node) -> None:
    """Remove `node` if nothing needs it any more, and then what made its inputs."""
    open_nodes = [node]
    while open_nodes:
        last = open_nodes.pop()
        if last not in graph or any(v.users or graph.is_output(v) for v in last.outputs):
            continue
        open_nodes += [v.producer for v in last.present_inputs if v.producer is not None]
        graph.remove(last)


def supersede(
    graph: Graph,
    old: Value,
    op: str,
    inputs: Sequence[Value | None],
    attrs: Mapping[str, Any] | None = None,
) -> Value:
    """Make `old` by a new node instead; the new value has its name, dtype and parameters."""
    name = old.producer.name if old.producer else old.name
    new = graph.add(op, inputs, attrs, name=name)
    new.quant = old.quant
    take_over(graph, old, new)
    return new
