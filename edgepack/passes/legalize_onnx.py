"""From a canonical graph to one whose every node the ONNX writer translates."""

from __future__ import annotations

from functools import partial

from edgepack.ir import Graph
from edgepack.ir.shapes import NCHW
from edgepack.passes import compositions
from edgepack.passes.constants import fold_constants
from edgepack.passes.layout import restore_io, to_layout
from edgepack.passes.manager import run_pass, run_passes, run_to_fixpoint
from edgepack.passes.match import live
from edgepack.passes.onnx import arithmetic, recurrent, shape  # noqa: F401 (register)
from edgepack.passes.onnx.rules import RULES
from edgepack.passes.onnx.wide_integers import compare_wide_integers
from edgepack.passes.rules import on_reals
from edgepack.passes.unsigned import store_unsigned


def legalize_onnx(graph: Graph, *, spelled: bool = False) -> int:
    """Prepare `graph` for `write_onnx`, in place; return the number of rewrites.

    Spatial operators become NCHW and inputs and outputs get the layout of the source file; what
    ONNX lacks is composed of what it has. `spelled`: `spell_exactly` has been here before.
    """
    count = run_pass(graph, restore_io)
    if not spelled:
        count += compare_wide_integers(graph)
    count += run_to_fixpoint(graph, (apply_rules,))
    count += to_layout(graph, NCHW, keep_io=True)
    fold_reshapes = partial(fold_constants, ops=("Reshape",))
    count += run_to_fixpoint(graph, (spell_out_batchnorm, fold_reshapes))
    return count + run_passes(graph, (complete_splits, store_unsigned))


def apply_rules(graph: Graph) -> int:
    """Bring each node into a form that ONNX has; return how many were changed."""
    return sum(RULES.legalize(graph, node) for node in live(graph))


def spell_out_batchnorm(graph: Graph) -> int:
    """BatchNormalization is of the second dimension: of others as arithmetic; count them.

    After the layout pass, by which most of them come to be of the second dimension.
    """
    others = [n for n in live(graph, "BatchNorm") if n.attrs["axis"] % n.output.rank != 1]
    return sum(on_reals(compositions.batchnorm)(graph, node) for node in others)


def complete_splits(graph: Graph) -> int:
    """Parts of a quantized value that lack parameters have its own."""
    parts = [(n.input(0), v) for n in graph.nodes_of("Split") for v in n.outputs]
    bare = [(x, part) for x, part in parts if x.quant is not None and part.quant is None]
    for x, part in bare:
        part.quant = x.quant
    return len(bare)
