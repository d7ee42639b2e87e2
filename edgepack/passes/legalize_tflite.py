"""A graph for the TFLite writer: afterwards each node has one builtin operator that LiteRT runs."""

from __future__ import annotations

from collections.abc import Callable

from edgepack.ir import DType, Graph, Node
from edgepack.ir.check import check
from edgepack.passes.activations import fuse_activation
from edgepack.passes.constants import fold_constants
from edgepack.passes.identities import merge_reshapes, merge_transposes, remove_identities
from edgepack.passes.manager import run_pass, run_to_fixpoint
from edgepack.passes.match import live, unquantized
from edgepack.passes.tflite import (  # noqa: F401 (register)
    alternatives,
    arithmetic,
    axes,
    recurrent,
    wide_bits,
    windows,
)
from edgepack.passes.tflite.dtypes import Casts
from edgepack.passes.tflite.interface import copy_outputs
from edgepack.passes.tflite.rules import ALTERNATIVES, RULES
from edgepack.writers.tflite.names import builtins_of

Supports = Callable[[str, DType], bool]


def legalize_tflite(graph: Graph, supports: Supports | None = None) -> int:
    """Rewrite `graph` in place into TFLite's forms; return the number of rewrites.

    `supports(builtin, dtype)` says what the runtime at hand can run: operators that it has neither
    for the node's dtype nor for int8 (quantization comes later) are spelled out where that is
    possible, and left for the caller to report where it is not. Layouts
    must be NHWC already (`passes.layout.to_layout`). What has no TFLite form stays as it is; the
    writer lists it.
    """
    casts = Casts()

    def legalize(graph: Graph) -> int:
        return sum(_legalize_node(graph, node, casts, supports) for node in live(graph))

    total = run_pass(graph, fold_constants)
    total += run_to_fixpoint(graph, (legalize,))
    tidy = (fold_constants, remove_identities, merge_reshapes, merge_transposes, fuse_activation)
    total += run_to_fixpoint(graph, tidy)
    total += run_pass(graph, copy_outputs)
    check(graph, after="legalize_tflite")
    return total


def _legalize_node(graph: Graph, node: Node, casts: Casts, supports: Supports | None) -> bool:
    if RULES.legalize(graph, node):
        return True
    if node in graph and casts.legalize(graph, node):
        return True
    alternative = ALTERNATIVES.get(node.op)
    if supports is None or alternative is None or not unquantized(node):
        return False
    kinds = (node.output.dtype, DType.INT8)  # the node may still be quantized
    if all(any(supports(name, kind) for kind in kinds) for name in builtins_of(node)):
        return False
    return alternative(graph, node)
