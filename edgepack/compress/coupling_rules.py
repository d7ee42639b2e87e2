"""How each operator couples channels, and what a removal makes of it.

A rule reads the labels of a node's inputs (`coupling.of`), gives labels to its outputs, unites
what must go together and freezes what must stay. A rewrite gives the node's new constants and
attributes once it is known what goes. Operators without a rule freeze all that they touch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgepack.compress.coupling import FIXED, Coupling, Edit, Ids, Keep, Labels, Rewrite, Rule
from edgepack.ir import Node, Value
from edgepack.ir.ops import OPS

_Array = npt.NDArray[Any]
_NOTHING: Final = Edit({}, {})


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rule of an operator, and its rewrite."""

    rule: Rule
    rewrite: Rewrite


def _unchanged(node: Node, keep: Keep) -> Edit:
    return _NOTHING


def stop(node: Node, coupling: Coupling, why: str | None = None) -> None:
    """Freeze what a node reads; what it makes stays whole."""
    reason = why or f"{node.op} {node.name} needs all of them"
    for value in node.present_inputs:
        coupling.freeze(coupling.of(value).ids, reason)
    for value in node.outputs:
        coupling.give(value, Labels.fixed(value).axis, Labels.fixed(value).ids)


def ruling_of(node: Node) -> Ruling | None:
    """The rules of a node's operator; None where there is none."""
    found = RULINGS.get(node.op)
    if found is None and OPS[node.op].kind == "elementwise":
        return Ruling(elementwise, slice_operands)
    return found


def is_last(value: Value, labels: Labels) -> bool:
    """Whether labels are along the last axis."""
    return labels.axis == value.rank - 1


# -- layers with weights ---------------------------------------------------------------------------


def _weighted(node: Node) -> bool:
    """Whether weights and bias are real constants and the labels of x are along its channels."""
    bias = node.optional(2)
    constants = [node.input(1)] + ([bias] if bias is not None else [])
    return all(v.is_const and v.dtype.is_float and v.quant is None for v in constants)


def convolution(node: Node, coupling: Coupling) -> None:
    """Reads channels (groups alike: the same ones in each), makes new ones."""
    x, labels, groups = node.input(0), coupling.of(node.input(0)), node.attrs.get("groups", 1)
    if not _weighted(node) or not is_last(x, labels) or node.attrs["layout"] == "NCHW":
        return stop(node, coupling)
    rows = labels.ids.reshape(groups, -1)
    for row in rows[1:]:
        coupling.unite(rows[0], row)
    made = coupling.fresh(node.output.shape[-1] // groups)
    coupling.give(node.output, node.output.rank - 1, np.tile(made, groups))
    return None


def slice_convolution(node: Node, keep: Keep) -> Edit:
    """Weights O...I lose rows and columns."""
    inputs = keep.mask(node.input(0)).reshape(node.attrs.get("groups", 1), -1)[0]
    outputs = keep.mask(node.output)
    return _with_bias(node, node.input(1).const[outputs][..., inputs], outputs)


def depthwise(node: Node, coupling: Coupling) -> None:
    """Channel c makes the channels c * M to c * M + M - 1."""
    x, labels = node.input(0), coupling.of(node.input(0))
    if not _weighted(node) or not is_last(x, labels) or node.attrs["layout"] == "NCHW":
        return stop(node, coupling)
    each = node.output.shape[-1] // x.shape[-1]
    coupling.give(node.output, node.output.rank - 1, np.repeat(labels.ids, each))
    return None


def slice_depthwise(node: Node, keep: Keep) -> Edit:
    """Weights 1HW(C*M) lose filters."""
    outputs = keep.mask(node.output)
    return _with_bias(node, node.input(1).const[..., outputs], outputs)


def dense(node: Node, coupling: Coupling) -> None:
    """Reads features, makes new ones."""
    if not _weighted(node) or _columns(node, coupling) is None:
        return stop(node, coupling)
    ids = coupling.fresh(node.output.shape[-1])
    coupling.give(node.output, node.output.rank - 1, ids)
    return None


def slice_dense(node: Node, keep: Keep) -> Edit:
    """Weights [out, in] lose rows and columns."""
    columns = _columns(node, keep.coupling)
    assert columns is not None  # else it were frozen, and not rewritten
    outputs = keep.mask(node.output)
    return _with_bias(node, node.input(1).const[outputs][:, keep.along(columns)], outputs)


def columns_of(node: Node, coupling: Coupling) -> Ids:
    """Labels of what a layer's weights read, one for each input channel or feature."""
    if node.op == "FullyConnected":
        columns = _columns(node, coupling)
        return np.zeros(node.input(1).shape[-1], np.int64) if columns is None else columns
    return coupling.of(node.input(0)).ids


def _columns(node: Node, coupling: Coupling) -> Ids | None:
    x, size = node.input(0), node.input(1).shape[-1]
    shape = (x.size // size, size) if node.attrs["flatten"] else x.shape
    moved = _reshaped(x, coupling.of(x), shape)
    return moved.ids if moved is not None and moved.axis == len(shape) - 1 else None


def _with_bias(node: Node, weights: _Array, outputs: npt.NDArray[np.bool_]) -> Edit:
    bias = node.optional(2)
    constants = {1: weights}
    if bias is not None:
        constants[2] = bias.const[outputs] if bias.size == outputs.size else bias.const
    return Edit(constants, {})


# -- elementwise -----------------------------------------------------------------------------------


def elementwise(node: Node, coupling: Coupling) -> None:
    """Operands broadcast from the right: labels at the same place become one."""
    out, found = node.output, [v for v in node.present_inputs if not v.is_const]
    wide = [v for v in found if _reach(v, coupling, out) > 1] or found
    places = {coupling.of(v).axis - v.rank for v in wide}
    if not found or len(places) != 1:
        return stop(node, coupling)
    place = places.pop()
    for value in found:  # what is broadcast there must not vary along its own labels
        if value not in wide and -place <= value.rank and value.shape[place] != 1:
            return stop(node, coupling)
    ids = coupling.of(wide[0]).ids
    if ids.size != out.shape[place]:
        return stop(node, coupling)
    for value in wide[1:]:
        coupling.unite(ids, coupling.of(value).ids)
    for value in found:
        if value not in wide:
            coupling.freeze(coupling.of(value).ids, f"{node.op} {node.name} spreads it")
    coupling.give(out, out.rank + place, ids)
    return None


def _reach(value: Value, coupling: Coupling, out: Value) -> int:
    """How many channels a value has where `out` has as many; 1 when it is broadcast there."""
    labels = coupling.of(value)
    if not value.rank:
        return 1
    same = value.shape[labels.axis] == out.shape[labels.axis - value.rank]
    return value.shape[labels.axis] if same else 1


def slice_operands(node: Node, keep: Keep) -> Edit:
    """Constant operands lose what they have at the channels' place, unless they are broadcast."""
    out = node.output
    place, mask = keep.coupling.of(out).axis - out.rank, keep.mask(out)
    constants = {
        index: np.compress(mask, v.const, axis=place)
        for index, v in enumerate(node.inputs)
        if v is not None and v.is_const and v.rank >= -place and v.shape[place] != 1
    }
    return Edit(constants, {})


# -- channels pass through -------------------------------------------------------------------------


def same_channels(node: Node, coupling: Coupling) -> None:
    """Pools, resizes: the channels are those of the input, at the end."""
    x, labels = node.input(0), coupling.of(node.input(0))
    if not is_last(x, labels) or node.attrs.get("layout") == "NCHW":
        return stop(node, coupling)
    coupling.give(node.output, node.output.rank - 1, labels.ids)
    return None


def other_axis(node: Node, coupling: Coupling) -> None:
    """Along an axis that must be another than the channels'."""
    x, labels = node.input(0), coupling.of(node.input(0))
    axes = node.attrs.get("axes", (node.attrs.get("axis", 0),))
    if labels.axis in [axis % x.rank for axis in axes]:
        return stop(node, coupling)
    coupling.give(node.output, labels.axis, labels.ids)
    return None


def reduction(node: Node, coupling: Coupling) -> None:
    """Over axes other than the channels'."""
    x, labels = node.input(0), coupling.of(node.input(0))
    axes = {axis % x.rank for axis in node.attrs["axes"]}
    if labels.axis in axes:
        return stop(node, coupling)
    gone = 0 if node.attrs["keepdims"] else sum(axis < labels.axis for axis in axes)
    coupling.give(node.output, labels.axis - gone, labels.ids)
    return None


def batch_norm(node: Node, coupling: Coupling) -> None:
    """Along the channels' own axis, with constant parameters."""
    x, labels = node.input(0), coupling.of(node.input(0))
    constant = all(v.is_const for v in node.present_inputs[1:])
    if not constant or node.attrs["axis"] % x.rank != labels.axis:
        return stop(node, coupling)
    coupling.give(node.output, labels.axis, labels.ids)
    return None


def slice_batch_norm(node: Node, keep: Keep) -> Edit:
    """Four parameters for each channel."""
    mask = keep.mask(node.output)
    return Edit({i: node.input(i).const.reshape(-1)[mask] for i in range(1, 5)}, {})


# -- shapes ----------------------------------------------------------------------------------------


def concat(node: Node, coupling: Coupling) -> None:
    """Along the channels one after another; along another axis they become one."""
    out = node.output
    axis = node.attrs["axis"] % out.rank
    labels = [coupling.of(v) for v in node.present_inputs]
    sizes = [v.shape[axis] for v in node.present_inputs]
    varying = [one for one in labels if np.any(coupling.find(one.ids) != FIXED)]
    if all(one.axis == axis for one in varying):
        pairs = zip(labels, sizes, strict=True)
        parts = [one.ids if one.axis == axis else np.zeros(n, np.int64) for one, n in pairs]
        return coupling.give(out, axis, np.concatenate(parts))
    if any(one.axis != labels[0].axis for one in labels) or _has_constants(node):
        return stop(node, coupling)
    for one in labels[1:]:
        coupling.unite(labels[0].ids, one.ids)
    return coupling.give(out, labels[0].axis, labels[0].ids)


def _has_constants(node: Node) -> bool:
    return any(v.is_const for v in node.present_inputs)


def split(node: Node, coupling: Coupling) -> None:
    """Along the channels each part has its own; along another axis all have the same."""
    x, labels = node.input(0), coupling.of(node.input(0))
    axis, start = node.attrs["axis"] % x.rank, 0
    for out in node.outputs:
        size = out.shape[axis]
        part = labels.ids[start : start + size] if axis == labels.axis else labels.ids
        coupling.give(out, labels.axis, part)
        start += size


def resize_split(node: Node, keep: Keep) -> Edit:
    """New sizes of the parts."""
    axis = node.attrs["axis"] % node.input(0).rank
    return Edit({}, {"sizes": tuple(keep.shape(out)[axis] for out in node.outputs)})


def slice_(node: Node, coupling: Coupling) -> None:
    """Channels of a range with stride 1."""
    labels = coupling.of(node.input(0))
    begin, size, stride = (node.attrs[k][labels.axis] for k in ("begin", "size", "stride"))
    ids = labels.ids
    if stride != 1 and size != ids.size:
        return stop(node, coupling)
    return coupling.give(node.output, labels.axis, ids[begin : begin + size])


def reslice(node: Node, keep: Keep) -> Edit:
    """Where the range begins and how long it is."""
    axis = keep.coupling.of(node.output).axis
    begin, size = list(node.attrs["begin"]), list(node.attrs["size"])
    begin[axis] = int(keep.mask(node.input(0))[: begin[axis]].sum())
    size[axis] = keep.shape(node.output)[axis]
    return Edit({}, {"begin": tuple(begin), "size": tuple(size)})


def pad(node: Node, coupling: Coupling) -> None:
    """Channels that are added are new ones, which may go."""
    labels = coupling.of(node.input(0))
    before, after = node.attrs["pads"][labels.axis]
    if (before or after) and node.attrs["mode"] != "constant":
        return stop(node, coupling)
    parts = (coupling.fresh(before), labels.ids, coupling.fresh(after))
    return coupling.give(node.output, labels.axis, np.concatenate(parts))


def repad(node: Node, keep: Keep) -> Edit:
    """As many on either side as stay."""
    axis, pads = keep.coupling.of(node.output).axis, list(node.attrs["pads"])
    mask, (before, after) = keep.mask(node.output), pads[axis]
    pads[axis] = (int(mask[:before].sum()), int(mask[mask.size - after :].sum()))
    return Edit({}, {"pads": tuple(pads)})


def tile(node: Node, coupling: Coupling) -> None:
    """Repeats along the channels are the same channels."""
    labels = coupling.of(node.input(0))
    times = node.attrs["multiples"][labels.axis]
    coupling.give(node.output, labels.axis, np.tile(labels.ids, times))


def transpose(node: Node, coupling: Coupling) -> None:
    """The axis moves."""
    labels = coupling.of(node.input(0))
    coupling.give(node.output, node.attrs["perm"].index(labels.axis), labels.ids)


def reshape(node: Node, coupling: Coupling) -> None:
    """Labels of the elements must vary along one axis afterwards, too."""
    x, out = node.input(0), node.output
    moved = _reshaped(x, coupling.of(x), out.shape)
    if moved is None:
        return stop(node, coupling)
    return coupling.give(out, moved.axis, moved.ids)


def _reshaped(x: Value, labels: Labels, shape: tuple[int, ...]) -> Labels | None:
    """Labels after a reshape; None where they vary along several axes."""
    if not shape or not x.rank:
        return None
    wide = [1] * x.rank
    wide[labels.axis] = -1
    full = np.broadcast_to(labels.ids.reshape(wide), x.shape).reshape(shape)
    for axis in reversed(range(len(shape))):
        line = full[tuple(slice(None) if i == axis else slice(0, 1) for i in range(len(shape)))]
        if (full == line).all():
            return Labels(axis, line.reshape(-1))
    return None


def reshape_to(node: Node, keep: Keep) -> Edit:
    """The shape that is left."""
    return Edit({}, {"shape": keep.shape(node.output)})


def gather(node: Node, coupling: Coupling) -> None:
    """Channels by constant indices, or rows of another axis with indices of one dimension."""
    x, indices = node.input(0), node.input(1)
    labels, axis = coupling.of(x), node.attrs["axis"] % max(x.rank, 1)
    if x.is_const or node.attrs["batch_dims"] or indices.rank != 1:
        return stop(node, coupling)
    if axis != labels.axis:
        return coupling.give(node.output, labels.axis, labels.ids)
    if not indices.is_const:
        return stop(node, coupling)
    return coupling.give(node.output, axis, labels.ids[indices.const])


def renumber(node: Node, keep: Keep) -> Edit:
    """Indices of channels as they are counted afterwards."""
    x, indices, axis = node.input(0), node.input(1), node.attrs["axis"] % node.input(0).rank
    if axis != keep.coupling.of(x).axis:
        return _NOTHING
    position = np.cumsum(keep.mask(x)) - 1
    kept = indices.const[keep.mask(node.output)]
    return Edit({1: position[kept].astype(indices.const.dtype)}, {})


_CONVOLUTION = Ruling(convolution, slice_convolution)
_SAME = Ruling(same_channels, _unchanged)
_OTHER = Ruling(other_axis, _unchanged)
_REDUCTION = Ruling(reduction, _unchanged)

_Table = dict[str, Ruling]
RULINGS: Final[_Table] = {
    **dict.fromkeys(("Conv2d", "ConvTranspose2d", "Conv3d", "ConvTranspose3d"), _CONVOLUTION),
    "DepthwiseConv2d": Ruling(depthwise, slice_depthwise),
    "FullyConnected": Ruling(dense, slice_dense),
    **dict.fromkeys(
        ("MaxPool2d", "AveragePool2d", "ResizeNearest", "ResizeBilinear", "SpaceToBatch",
         "BatchToSpace"),
        _SAME,
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax", "CumSum", "Reverse"), _OTHER),
    **dict.fromkeys(
        (op for op, row in OPS.items() if row.kind == "reduction"),
        _REDUCTION,
    ),
    "BatchNorm": Ruling(batch_norm, slice_batch_norm),
    "Concat": Ruling(concat, _unchanged),
    "Split": Ruling(split, resize_split),
    "Slice": Ruling(slice_, reslice),
    "Pad": Ruling(pad, repad),
    "Tile": Ruling(tile, _unchanged),
    "Transpose": Ruling(transpose, _unchanged),
    "Reshape": Ruling(reshape, reshape_to),
    "Gather": Ruling(gather, renumber),
}  # fmt: skip

RuleOf = Callable[[Node], Ruling | None]
