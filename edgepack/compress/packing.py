"""Weights stored in the form that takes least, where TensorFlow Lite Micro unpacks it.

Every layer's weights are packed by themselves, and only where that saves more than the operator
that unpacks them costs in the file. What is saved in flash is paid in SRAM: the weights of the
layer that runs lie in the arena, unpacked (`plan_tflm` counts them).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from edgepack.compress.frame import Context, Outcome, Refusal, technique
from edgepack.compress.sparse_storage import RUNTIME as UNZIPS_ZEROS
from edgepack.compress.sparse_storage import store_sparse
from edgepack.devices import Target
from edgepack.ir import DType, Graph, Node, Packed, Sparse, Value, row
from edgepack.schema.decode import CODINGS, pack
from edgepack.strict_toml import Table

RUNTIME: Final = "tflm"
_OPERATOR_BYTES: Final = 100  # of the operator and its two tensors in a file, without their data
_UNPACKED: Final = ("Conv2d", "DepthwiseConv2d", "FullyConnected", "ConvTranspose2d")
_NEEDS: Final = (
    "weights are unpacked by TensorFlow Lite Micro's operator DECODE: register it with "
    "AddDecode() (releases from the middle of 2025 on have it)"
)


def pack_weights(
    graph: Graph, codings: Sequence[str] = CODINGS, layers: Collection[str] | None = None
) -> Outcome:
    """Give the weights of layers (all, or those named) the smallest of `codings`, in place."""
    changed, refused = [], []
    for node, weights in packable(graph):
        if layers is not None and node.name not in layers:
            continue
        found = _smallest(weights, codings)
        if isinstance(found, str):
            refused.append(Refusal(node.name, found))
            continue
        weights.packed = found
        coding = CODINGS[found.ancillary[0]]
        changed.append(f"{node.name}: {weights.nbytes:,} to {found.nbytes:,} bytes ({coding})")
    return Outcome(tuple(changed), tuple(refused), (_NEEDS,) if changed else ())


def packable(graph: Graph) -> list[tuple[Node, Value]]:
    """The layers whose kernels take weights that are made while the model runs, each array once."""
    found: dict[int, tuple[Node, Value]] = {}
    for node in graph.nodes_of(*_UNPACKED):
        weights = node.optional(row(node.op).quant.weight or 1)
        if weights is not None and weights.is_const:
            found.setdefault(id(weights), (node, weights))
    return list(found.values())


def refusal_on(target: Target) -> str | None:
    """Why packed weights gain nothing on `target`; None where they do."""
    if target.runtime.id == RUNTIME:
        return None
    return (
        f"{target.runtime.name} does not unpack weights, and dense ones take the same bytes "
        "whatever their values"
    )


def zeros_refusal_on(target: Target) -> str | None:
    """Why zeros among weights gain nothing on `target`; None where they do."""
    return None if target.runtime.id == UNZIPS_ZEROS else refusal_on(target)


def stored_for(target: Target, graph: Graph) -> Graph:
    """A copy whose constants are stored as they are but in forms that `target` unpacks."""
    forms = {RUNTIME: Packed, UNZIPS_ZEROS: Sparse}
    taken, plain = forms.get(target.runtime.id), graph.copy()
    for value in plain.constants():
        if taken is None or not isinstance(value.packed, taken):
            value.packed = None
    return plain


def same_numbers(graph: Graph, stored: Graph) -> bool:
    """Whether `stored`, made of a copy of `graph`, differs from it at most in how it is stored."""
    before, after = ([v.data for v in each.constants()] for each in (graph, stored))
    ops = ([node.op for node in each.nodes] for each in (graph, stored))
    return next(ops) == next(ops) and list(map(id, before)) == list(map(id, after))


def _smallest(weights: Value, codings: Sequence[str]) -> Packed | str:
    """The weights in their smallest form, or why they stay as they are."""
    if weights.dtype is DType.INT4:
        return "its weights are int4 already, and DECODE makes none"
    found, reasons = [], []
    for coding in codings:
        try:
            found.append(pack(weights, coding))
        except ValueError as problem:
            reasons.append(str(problem))
    if not found:
        return "; ".join(reasons)
    best = min(found, key=lambda packed: packed.nbytes)
    if best.nbytes + _OPERATOR_BYTES >= weights.nbytes:
        return f"{weights.nbytes:,} bytes would take {best.nbytes + _OPERATOR_BYTES:,} packed"
    return best


def _read(table: Table) -> tuple[str, ...]:
    coding = table.text("coding", "smallest", one_of=("smallest", *CODINGS))
    return CODINGS if coding == "smallest" else (coding,)


@technique("code", read=_read, stage="stored")
def code(graph: Graph, codings: tuple[str, ...], context: Context) -> Outcome:
    """Store weights by tables, Huffman codes or without their zeros, whichever is smallest."""
    if context.target.runtime.id == UNZIPS_ZEROS and "prune" in codings:
        return store_sparse(graph)
    reason = refusal_on(context.target)
    return Outcome(refused=(Refusal("", reason),)) if reason else pack_weights(graph, codings)
