"""Constant folding and sharing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgepack import kernels
from edgepack.ir import Graph, Node, QuantParams, Value
from edgepack.passes.match import declined, live, take_over

# A folded constant may be this many times larger than what it is made of (int8 to float32 is 4),
# or this many bytes; anything beyond is cheaper computed on the device than stored in flash.
_GROWTH: Final = 4
_SMALL_BYTES: Final = 16384
_SAMPLED: Final = 64  # elements to compare before all of them


def fold_constants(graph: Graph, ops: Sequence[str] = ()) -> int:
    """Compute the nodes whose inputs are all constant, and those that make no elements at all.

    f(constants) = constant; of the operators `ops` only, if there are any. Declines where the
    result would be much larger than its inputs (a BroadcastTo or Tile of a small constant) and
    where no reference kernel exists.
    """
    folded = 0
    for node in live(graph, *ops):
        if _is_copy(graph, node):
            continue
        if all(not out.size for out in node.outputs):
            _put(graph, node, [np.zeros(v.shape, v.dtype.numpy) for v in node.outputs])
            folded += 1
        elif node.inputs and all(v.is_const for v in node.present_inputs) and _worth(node):
            arrays = [None if v is None else v.const for v in node.inputs]
            with np.errstate(all="ignore"):  # the device divides by zero in silence, too
                _put(graph, node, [np.asarray(a) for a in kernels.call(node, arrays)])
            folded += 1
    return folded


def _is_copy(graph: Graph, node: Node) -> bool:
    """Whether a node only makes a constant an output, which TFLite asks for."""
    if node.op not in ("Reshape", "Transpose") or not graph.is_output(node.output):
        return False
    return node.input(0).is_const and node.input(0).shape == node.output.shape


def _worth(node: Node) -> bool:
    made = sum(v.nbytes for v in node.outputs)
    if made > max(_SMALL_BYTES, _GROWTH * sum(v.nbytes for v in node.present_inputs)):
        declined("fold_constants", node, f"it would make {made} bytes")
        return False
    if kernels.find(node) is None:
        declined("fold_constants", node, "no reference kernel")
        return False
    return True


def _put(graph: Graph, node: Node, arrays: list[np.ndarray]) -> None:
    for old, array in zip(node.outputs, arrays, strict=True):
        new = graph.constant(np.ascontiguousarray(array).reshape(old.shape), old.name, old.quant)
        new.dtype = old.dtype
        take_over(graph, old, new)
        if graph.is_output(new):
            old.name, new.name = new.name, old.name


def deduplicate_constants(graph: Graph) -> int:
    """Let constants with equal dtype, shape, parameters and content be one; count the merged."""
    alike: dict[tuple[object, ...], list[Value]] = {}
    merged = 0
    for value in graph.constants():
        if not value.users or graph.is_output(value):
            continue
        # a few elements from all over tell nearly all of them apart
        some = value.const.reshape(-1)[:: value.size // _SAMPLED + 1].tobytes()
        known = alike.setdefault((value.dtype, value.shape, value.quant, some), [])
        twin = next((v for v in known if v.const.tobytes() == value.const.tobytes()), None)
        if twin is None:
            known.append(value)
        else:
            graph.replace(value, twin)
            merged += 1
    return merged


def constant_like(graph: Graph, old: Value, data: np.ndarray, quant: QuantParams | None) -> Value:
    """A new constant with the dtype and (made fresh) name of `old`."""
    new = graph.constant(np.ascontiguousarray(data), old.name, quant)
    new.dtype = old.dtype
    return new
