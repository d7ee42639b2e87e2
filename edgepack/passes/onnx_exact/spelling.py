"""The table of spellings, and what each asks of a node.

A spelling takes a node that computes with quantized integers and returns the integers of its output
(`Ints`, saturated to the output's type when they are stored) or, where that is not a quantized
value, the value itself. `kernels.quantized_*` say what each computes; the spellings follow them
line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgepack.errors import Finding, Unsupported
from edgepack.ir import Array, Graph, Node, Value
from edgepack.kernels.quantized_scale import limits, params, zero
from edgepack.passes.onnx_exact.ints import Ints, from_value
from edgepack.registry import Registry

Spelling = Callable[[Graph, Node], Ints | Value]

SPELLINGS: Final[Registry[Spelling]] = Registry("exact spellings")
spells = SPELLINGS


def stored(graph: Graph, node: Node, index: int) -> Ints:
    """The integers of an input as they are stored."""
    return from_value(graph, node.input(index))


def centred(graph: Graph, node: Node, index: int) -> Ints:
    """The integers of an input less their zero points."""
    value = node.input(index)
    return stored(graph, node, index) - per_channel(value, params(value).zero_point)


def per_channel(value: Value, numbers: Array) -> Array:
    """One number for each channel of `value`, shaped to broadcast against it; or the only one."""
    axis = params(value).axis
    if axis is None:
        return numbers.reshape(())
    return numbers.reshape([-1 if i == axis else 1 for i in range(value.rank)])


def constant(node: Node, index: int) -> Value:
    """An input that must be a constant. Raises Unsupported."""
    value = node.input(index)
    if not value.is_const:
        finding = Finding(node.name, node.op, str(value.dtype), "its weights are computed")
        raise Unsupported("there is no exact spelling", [finding])
    return value


def centred_constant(node: Node, index: int) -> Array:
    """A constant input's integers less their zero points. Raises Unsupported."""
    value = constant(node, index)
    return np.asarray(value.const.astype(np.int64) - per_channel(value, params(value).zero_point))


def finish(node: Node, x: Ints) -> Ints:
    """Integers less the output's zero point, shifted by it and clamped by the activation."""
    return (x + zero(node.output)).clipped(*limits(node))
