"""Operators that move elements, and products of matrices, in ranks and orders that ONNX has not."""

from __future__ import annotations

import math

import numpy as np

from edgepack.ir import DType, Graph, Node, Value
from edgepack.passes.activations import UNFUSED
from edgepack.passes.compositions import gathered_pad
from edgepack.passes.constants import constant_like
from edgepack.passes.layout_perm import inverse, moved_quant
from edgepack.passes.match import supersede
from edgepack.passes.onnx.rules import legalizes
from edgepack.passes.rules import Maker

# -- products of matrices --------------------------------------------------------------------------


@legalizes("MatMul")
def adjoints(graph: Graph, node: Node) -> bool:
    """Transposes before a MatMul in the place of `adj_a` and `adj_b`."""
    turned = [index for index, name in enumerate(("adj_a", "adj_b")) if node.attrs[name]]
    make = Maker(graph, node)
    for index in turned:
        rank = node.input(index).rank
        perm = (*range(rank - 2), rank - 1, rank - 2)
        node.set_input(index, make.same("Transpose", node.input(index), {"perm": perm}))
    node.attrs = {"adj_a": False, "adj_b": False}
    return bool(turned)


@legalizes("FullyConnected")
def flattening(graph: Graph, node: Node) -> bool:
    """A Reshape in the place of `flatten`."""
    if not node.attrs["flatten"]:
        return False
    shape = (node.output.shape[0], node.input(1).shape[1])
    node.set_input(0, Maker(graph, node).same("Reshape", node.input(0), {"shape": shape}))
    node.attrs = {**node.attrs, "flatten": False}
    return True


@legalizes("FullyConnected")
def dense_of_rows(graph: Graph, node: Node) -> bool:
    """Gemm takes rows only: else a MatMul of real numbers, Reshapes around a Gemm of integers.

    Runtimes have an integer Gemm with a bias, but no such MatMul.
    """
    rank = node.input(0).rank
    if rank == 2:
        return False
    if node.output.quant is None and rank > 2:
        _as_product(graph, node)
    else:
        _between_reshapes(graph, node)
    return True


def _as_product(graph: Graph, node: Node) -> None:
    make, bias, out = Maker(graph, node), node.optional(2), node.output
    activation, factors = node.attrs["activation"], (node.input(0), _swapped(make, node.input(1)))
    if bias is not None:
        supersede(graph, out, "Add", [make("MatMul", *factors), bias], {"activation": activation})
    elif activation != "none":
        supersede(graph, out, UNFUSED[activation], [make("MatMul", *factors)])
    else:
        supersede(graph, out, "MatMul", factors)


def _swapped(make: Maker, w: Value) -> Value:
    if w.is_const:
        return constant_like(make.graph, w, w.const.T, moved_quant(w.quant, (1, 0)))
    return make.same("Transpose", w, {"perm": (1, 0)})


def _between_reshapes(graph: Graph, node: Node) -> None:
    make, x, out = Maker(graph, node), node.input(0), node.output
    rows = make.same("Reshape", x, {"shape": (x.size // x.shape[-1], x.shape[-1])})
    y = make("FullyConnected", rows, *node.inputs[1:], attrs=node.attrs)
    y.quant = out.quant
    supersede(graph, out, "Reshape", [y], {"shape": out.shape})


# -- indices ---------------------------------------------------------------------------------------


@legalizes("Gather")
def gather_behind_batches(graph: Graph, node: Node) -> bool:
    """GatherND's batch dimensions stand before the one that is indexed: moved there and back."""
    x, indices, batch = node.input(0), node.input(1), node.attrs["batch_dims"]
    axis = node.attrs["axis"] % x.rank
    if not batch or axis == batch:
        return False
    make = Maker(graph, node)
    front = (*range(batch), axis, *(i for i in range(batch, x.rank) if i != axis))
    moved = make.same("Transpose", x, {"perm": front})
    found = make("Gather", moved, indices, attrs={"axis": batch, "batch_dims": batch})
    found.quant = node.output.quant
    # batch, the indices' own dimensions, those of x before the axis, those after it
    own, between = indices.rank - batch, axis - batch
    back = (*range(batch), *range(batch + own, batch + own + between), *range(batch, batch + own),
            *range(batch + own + between, node.output.rank))  # fmt: skip
    supersede(graph, node.output, "Transpose", [found], {"perm": back})
    return True


@legalizes("OneHot")
def one_hot(graph: Graph, node: Node) -> bool:
    """Where the index equals the place: ONNX's OneHot counts negative indices from the back."""
    make, x, attrs, out = Maker(graph, node), node.input(0), node.attrs, node.output
    axis = attrs["axis"] % (x.rank + 1)
    if x.dtype not in (DType.INT32, DType.INT64):
        x = make("Cast", x, attrs={"to": str(DType.INT64)})
    index = make("Reshape", x, attrs={"shape": (*x.shape[:axis], 1, *x.shape[axis:])})
    places = np.arange(attrs["depth"]).reshape(-1, *[1] * (x.rank - axis))
    hit = make("Equal", index, make.constant(places, x.dtype))
    kind = DType.INT32 if out.dtype is DType.BOOL else out.dtype
    on, off = (make.constant(attrs[key], kind) for key in ("on", "off"))
    if kind is out.dtype:
        supersede(graph, out, "Where", [hit, on, off])
    else:
        supersede(graph, out, "Cast", [make("Where", hit, on, off)], {"to": str(out.dtype)})
    return True


@legalizes("Pad")
def symmetric_pad(graph: Graph, node: Node) -> bool:
    """ONNX lacks the mode that repeats the edge as well."""
    if node.attrs["mode"] != "symmetric" or not any(map(any, node.attrs["pads"])):
        return False
    return gathered_pad(graph, node)


# -- batches ---------------------------------------------------------------------------------------


@legalizes("SpaceToBatch")
def space_to_batch(graph: Graph, node: Node) -> bool:
    """Pad, Reshape and Transpose.

    Each blocked dimension is split into (blocks, place in the block); the places go to the front.
    """
    make, x, block = Maker(graph, node), node.input(0), node.attrs["block"]
    count = len(block)
    if any(map(any, node.attrs["pad"])):
        pads = ((0, 0), *node.attrs["pad"], *[(0, 0)] * (x.rank - 1 - count))
        x = make.same("Pad", x, {"pads": pads})
    parts = [x.shape[0]]
    for size, b in zip(x.shape[1:], block, strict=False):
        parts += [size // b, b]
    shape = (*parts, *x.shape[1 + count :])
    split = make.same("Reshape", x, {"shape": shape})
    moved = make.same("Transpose", split, {"perm": _to_front(count, len(shape))})
    supersede(graph, node.output, "Reshape", [moved], {"shape": node.output.shape})
    return True


@legalizes("BatchToSpace")
def batch_to_space(graph: Graph, node: Node) -> bool:
    """The other way round, and a Slice."""
    make, x = Maker(graph, node), node.input(0)
    block, crop = node.attrs["block"], node.attrs["crop"]
    count = len(block)
    shape = (*block, x.shape[0] // math.prod(block), *x.shape[1:])
    split = make.same("Reshape", x, {"shape": shape})
    moved = make.same("Transpose", split, {"perm": inverse(_to_front(count, split.rank))})
    sizes = [s * b for s, b in zip(x.shape[1:], block, strict=False)]
    whole = (moved.shape[0], *sizes, *x.shape[1 + count :])
    if any(map(any, crop)):
        joined = make.same("Reshape", moved, {"shape": whole})
        begin = (0, *(a for a, _ in crop), *[0] * (x.rank - 1 - count))
        cut = {"begin": begin, "size": node.output.shape, "stride": (1,) * x.rank}
        supersede(graph, node.output, "Slice", [joined], cut)
    else:
        supersede(graph, node.output, "Reshape", [moved], {"shape": whole})
    return True


def _to_front(count: int, rank: int) -> tuple[int, ...]:
    """From [N, (blocks, place)…, rest] to [place…, N, blocks…, rest]."""
    places, blocks = range(2, 2 * count + 1, 2), range(1, 2 * count, 2)
    return (*places, 0, *blocks, *range(2 * count + 1, rank))
