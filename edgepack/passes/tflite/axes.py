"""Operators that work along other axes, in more dimensions or with other edges than TFLite's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.ir.ops import REDUCTIONS
from edgepack.passes.compositions import gathered_pad
from edgepack.passes.match import supersede
from edgepack.passes.rules import Maker
from edgepack.passes.tflite.rules import legalizes

# XNNPACK refuses reductions and concatenations beyond this rank, and with them the whole file;
# SLICE and STRIDED_SLICE end at 5.
_MAX_RANK: Final = 6
_MAX_SLICE_RANK: Final = 5


@legalizes("Softmax", "LogSoftmax")
def along_last_axis(graph: Graph, node: Node) -> bool:
    """Transposes around an operator that only works along the last axis."""
    x = node.input(0)
    if x.rank == 0:
        row = Maker(graph, node).same("Reshape", x, {"shape": (1,)})
        y = Maker(graph, node)(node.op, row, attrs={**node.attrs, "axis": 0})
        y.quant = node.output.quant
        supersede(graph, node.output, "Reshape", [y], {"shape": ()})
        return True
    axis = node.attrs["axis"] % x.rank
    if axis == x.rank - 1:
        return False
    perm = list(range(x.rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]  # its own inverse
    make = Maker(graph, node)
    turned = make.same("Transpose", x, {"perm": perm})
    y = make(node.op, turned, attrs={**node.attrs, "axis": -1})
    y.quant = node.output.quant
    supersede(graph, node.output, "Transpose", [y], {"perm": perm})
    return True


@legalizes("Reverse")
def reverse_each(graph: Graph, node: Node) -> bool:
    """One REVERSE_V2 for each axis: TensorFlow Lite 2.14 loads two and reverses one."""
    x = node.input(0)
    axes = sorted(a % x.rank for a in node.attrs["axes"]) if x.rank else []
    if not axes:
        supersede(graph, node.output, "Reshape", [x], {"shape": x.shape})
        return True
    if len(axes) == 1:
        return False
    make = Maker(graph, node)
    for axis in axes[:-1]:
        x = make.same("Reverse", x, {"axes": (axis,)})
    supersede(graph, node.output, "Reverse", [x], {"axes": axes[-1:]})
    return True


# -- padding ---------------------------------------------------------------------------------------


@legalizes("Pad")
def pad_edges(graph: Graph, node: Node) -> bool:
    """Negative pads by a Slice; repeated edges, and mirrors of more than there is, by a Gather."""
    pads, mode = node.attrs["pads"], node.attrs["mode"]
    if not any(map(any, pads)):
        supersede(graph, node.output, "Reshape", [node.input(0)], {"shape": node.output.shape})
        return True
    if any(n < 0 for pair in pads for n in pair):
        return _cut_first(graph, node)
    if mode == "constant" or _mirrors(node):
        return False
    return gathered_pad(graph, node)


def _mirrors(node: Node) -> bool:
    """Whether MIRROR_PAD can: no pad exceeds what there is to mirror."""
    mode = node.attrs["mode"]
    if mode not in ("reflect", "symmetric"):
        return False
    less = 1 if mode == "reflect" else 0
    dims = zip(node.input(0).shape, node.attrs["pads"], strict=True)
    return all(max(pair) <= dim - less for dim, pair in dims)


def _cut_first(graph: Graph, node: Node) -> bool:
    x, out, pads = node.input(0), node.output, node.attrs["pads"]
    begin = [max(-before, 0) for before, _ in pads]
    size = [
        d + min(before, 0) + min(after, 0) for d, (before, after) in zip(x.shape, pads, strict=True)
    ]
    cut = {"begin": begin, "size": size, "stride": (1,) * x.rank}
    rest = tuple((max(before, 0), max(after, 0)) for before, after in pads)
    if not any(map(any, rest)):
        supersede(graph, out, "Slice", [x], cut)
        return True
    kept = Maker(graph, node).same("Slice", x, cut)
    supersede(graph, out, "Pad", [kept], {**node.attrs, "pads": rest})
    return True


@legalizes("OneHot")
def one_hot_axis(graph: Graph, node: Node) -> bool:
    """ONE_HOT knows -1 for the last axis and no other negative one."""
    if node.attrs["axis"] >= -1:
        return False
    node.attrs["axis"] += node.output.rank
    return True


# -- rank ------------------------------------------------------------------------------------------


@legalizes("Transpose", "Slice", "Tile", "BroadcastTo", "Reverse")
def of_a_single_number(graph: Graph, node: Node) -> bool:
    """Rank 0 has nothing to turn, cut or repeat."""
    x = node.input(0)
    if x.rank or node.output.rank:
        return False
    supersede(graph, node.output, "Reshape", [x], {"shape": ()})
    return True


@legalizes(*REDUCTIONS)
def reduction_rank(graph: Graph, node: Node) -> bool:
    """Neighbouring dimensions that share a fate become one."""
    x, out = node.input(0), node.output
    if x.rank <= _MAX_RANK:
        return False
    axes = {a % x.rank for a in node.attrs["axes"]}
    groups = _runs([i in axes for i in range(x.rank)])
    shape = [math.prod(x.shape[i] for i in group) for group in groups]
    merged = [n for n, group in enumerate(groups) if group[0] in axes]
    make = Maker(graph, node)
    small = make.same("Reshape", x, {"shape": shape})
    y = make(node.op, small, attrs={"axes": merged, "keepdims": False})
    y.quant = out.quant
    supersede(graph, out, "Reshape", [y], {"shape": out.shape})
    return True


def _runs(marks: Sequence[bool]) -> list[list[int]]:
    """Indices, in runs of equal marks."""
    runs: list[list[int]] = []
    for index, mark in enumerate(marks):
        if runs and marks[runs[-1][-1]] == mark:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


@legalizes("Concat", "Split")
def along_one_of_three(graph: Graph, node: Node) -> bool:
    """Before the axis, the axis, and after it: three dimensions say it all."""
    x = node.input(0)
    if x.rank <= _MAX_RANK:
        return False
    make, axis = Maker(graph, node), node.attrs["axis"] % x.rank
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])

    def flat(value: Value) -> Value:
        return make.same("Reshape", value, {"shape": (outer, value.shape[axis], inner)})

    values = [flat(v) for v in node.present_inputs]
    results = graph.add_multi(node.op, values, {**node.attrs, "axis": 1}, name=node.name)
    for old, new in zip(node.outputs, results, strict=True):
        new.quant = old.quant
        supersede(graph, old, "Reshape", [new], {"shape": old.shape})
    return True


@legalizes("Slice")
def slice_rank(graph: Graph, node: Node) -> bool:
    """Dimensions that are kept whole join their neighbours; the rest is cut one after another."""
    x, out = node.input(0), node.output
    if x.rank <= _MAX_SLICE_RANK:
        return False
    make = Maker(graph, node)
    cuts = [i for i in range(x.rank) if (x.shape[i], 1) != (out.shape[i], node.attrs["stride"][i])]
    for axis in cuts:
        shape = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
        flat = make.same("Reshape", x, {"shape": shape})
        begin, size = node.attrs["begin"][axis], out.shape[axis]
        attrs = {
            "begin": (0, begin, 0),
            "size": (shape[0], size, shape[2]),
            "stride": (1, node.attrs["stride"][axis], 1),
        }
        part = make.same("Slice", flat, attrs)
        whole = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        x = make.same("Reshape", part, {"shape": whole})
    supersede(graph, out, "Reshape", [x], {"shape": out.shape})
    return True
