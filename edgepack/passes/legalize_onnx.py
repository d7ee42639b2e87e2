"""From a canonical graph to one whose every node the ONNX writer translates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgepack.ir import Graph, Node, Value
from edgepack.ir.shapes import NCHW
from edgepack.passes.layout import restore_io, to_layout
from edgepack.passes.layout_perm import inverse
from edgepack.passes.manager import run_pass, run_passes
from edgepack.passes.unsigned import store_unsigned


def legalize_onnx(graph: Graph) -> int:
    """Prepare `graph` for `write_onnx`, in place; return the number of rewrites.

    Spatial operators become NCHW and inputs and outputs get the layout of the source file; what
    ONNX lacks is composed of what it has.
    """
    steps = (
        restore_io,
        decompose_batches,
        spell_out_adjoints,
        spell_out_flattening,
        complete_splits,
    )
    count = run_passes(graph, steps) + to_layout(graph, NCHW, keep_io=True)
    return count + run_pass(graph, store_unsigned)


def spell_out_adjoints(graph: Graph) -> int:
    """Transposes before a MatMul in the place of `adj_a` and `adj_b`, which ONNX lacks."""
    count = 0
    for node in graph.nodes_of("MatMul"):
        for index, name in enumerate(("adj_a", "adj_b")):
            if node.attrs[name]:
                rank = node.input(index).rank
                perm = (*range(rank - 2), rank - 1, rank - 2)
                node.set_input(index, _added(graph, "Transpose", node.input(index), perm=perm))
                node.attrs = {**node.attrs, name: False}
                count += 1
    return count


def complete_splits(graph: Graph) -> int:
    """Parts of a quantized value that lack parameters have its own."""
    parts = [(n.input(0), v) for n in graph.nodes_of("Split") for v in n.outputs]
    bare = [(x, part) for x, part in parts if x.quant is not None and part.quant is None]
    for x, part in bare:
        part.quant = x.quant
    return len(bare)


def spell_out_flattening(graph: Graph) -> int:
    """A Reshape before a FullyConnected in the place of `flatten`, which ONNX lacks."""
    nodes = [n for n in graph.nodes_of("FullyConnected") if n.attrs["flatten"]]
    for node in nodes:
        shape = (node.output.shape[0], node.input(1).shape[1])
        node.set_input(0, _added(graph, "Reshape", node.input(0), shape=shape))
        node.attrs = {**node.attrs, "flatten": False}
    return len(nodes)


def decompose_batches(graph: Graph) -> int:
    """SpaceToBatch and BatchToSpace as Pad or Slice, Reshape and Transpose.

    Each blocked dimension is split into (blocks, place in the block); the places go to the front.
    """
    nodes = graph.nodes_of("SpaceToBatch", "BatchToSpace")
    for node in nodes:
        to_batch = node.op == "SpaceToBatch"
        made = _space_to_batch(graph, node) if to_batch else _batch_to_space(graph, node)
        made.quant = node.output.quant
        graph.replace(node.output, made)
        graph.remove(node)
    return len(nodes)


def _to_front(count: int, rank: int) -> tuple[int, ...]:
    """From [N, (blocks, place)…, rest] to [place…, N, blocks…, rest]."""
    places, blocks = range(2, 2 * count + 1, 2), range(1, 2 * count, 2)
    return (*places, 0, *blocks, *range(2 * count + 1, rank))


def _space_to_batch(graph: Graph, node: Node) -> Value:
    x, block = node.input(0), node.attrs["block"]
    count = len(block)
    if any(map(any, node.attrs["pad"])):
        pads = ((0, 0), *node.attrs["pad"], *[(0, 0)] * (x.rank - 1 - count))
        x = _added(graph, "Pad", x, pads=pads)
    parts = [x.shape[0]]
    for size, b in zip(x.shape[1:], block, strict=False):
        parts += [size // b, b]
    shape = (*parts, *x.shape[1 + count :])
    split = _added(graph, "Reshape", x, shape=shape)
    moved = _added(graph, "Transpose", split, perm=_to_front(count, len(shape)))
    return _added(graph, "Reshape", moved, shape=node.output.shape)


def _batch_to_space(graph: Graph, node: Node) -> Value:
    x, block, crop = node.input(0), node.attrs["block"], node.attrs["crop"]
    count = len(block)
    split = _added(
        graph, "Reshape", x, shape=(*block, x.shape[0] // math.prod(block), *x.shape[1:])
    )
    perm = inverse(_to_front(count, split.rank))
    moved = _added(graph, "Transpose", split, perm=perm)
    sizes = [s * b for s, b in zip(x.shape[1:], block, strict=False)]
    whole = _added(graph, "Reshape", moved, shape=(moved.shape[0], *sizes, *x.shape[1 + count :]))
    if not any(map(any, crop)):
        return whole
    begin = (0, *(a for a, _ in crop), *[0] * (x.rank - 1 - count))
    stride = (1,) * x.rank
    return _added(graph, "Slice", whole, begin=begin, size=node.output.shape, stride=stride)


def _added(graph: Graph, op: str, x: Value, **attrs: Sequence[object]) -> Value:
    made = graph.add(op, [x], attrs, name=f"{x.name}_{op.lower()}")
    made.quant = x.quant
    return made
