"""What each C kernel lets overlap, and the scratch memory that it needs.

Let `distance` be the input's start minus the output's start, in bytes. A kernel that writes its
output front to back never destroys input that it has yet to read when at every moment

    input start + first byte yet to be read >= output start + bytes written,

so when distance >= lead, with lead = max over moments of (bytes written - first byte yet to be
read). Two buffers that share no byte are always fine. The moments follow from the loops that
`c_loops.py` describes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from edgepack.ir import OPS, Node, Value
from edgepack.ir.dtypes import Array
from edgepack.plan.abi import align_up
from edgepack.plan.c_loops import (
    ALIGNMENT,
    WIDE,
    Loops,
    alignment_of,
    depthwise_pitch,
    depthwise_rows,
    even,
    expanded_bytes,
    patch_pixels,
    widens,
)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Input and output may share bytes when distance is lead, lead + step, lead + 2 step, ..."""

    lead: int
    step: int = 1

    def allows(self, distance: int) -> bool:
        """Whether `distance` is one of these."""
        return distance >= self.lead and (distance - self.lead) % self.step == 0


Rule = Callable[[Node, Loops], "list[Overlap | None]"]
_RULES: dict[str, Rule] = {}


def overlap(node: Node, value: Value, output: Value, loops: Loops) -> Overlap | None:
    """How `value`, an input that dies at `node`, may lie over `output`; None: it must not.

    An input that is read in several places overlaps only where they all say the same.
    """
    if output is not node.output or len(node.outputs) > 1:
        return None
    rule = _RULES.get(node.op)
    if rule is None:
        return None
    found = [o for v, o in zip(node.inputs, rule(node, loops), strict=True) if v is value]
    return found[0] if all(o == found[0] for o in found) else None


def views(node: Node) -> dict[Value, tuple[Value, int]]:
    """Where each output's bytes are already: (an input, the first byte); empty when computed.

    Reshapes, and slices and splits that take runs of bytes, need no code where the outputs stay
    there: all of them, or none. Offsets must stay aligned.
    """
    found = {output: view(node, output) for output in node.outputs}
    kept = {output: v for output, v in found.items() if v and not v[0].is_const}
    aligned = all(start % alignment_of(output) == 0 for output, (_, start) in kept.items())
    return kept if aligned and len(kept) == len(node.outputs) else {}


def view(node: Node, output: Value) -> tuple[Value, int] | None:
    """The input of whose bytes `output` has a copy, and from which one on; None: of none."""
    if node.op == "Reshape":
        return node.input(0), 0
    if node.op == "Slice":
        begin = _run_of_slice(node)
        return None if begin is None else (node.input(0), begin)
    if node.op == "Split" and prod(node.input(0).shape[: _axis(node)]) == 1:
        before = node.outputs[: node.outputs.index(output)]
        return node.input(0), sum(v.nbytes for v in before)
    return None


def runs_of_concat(node: Node) -> list[tuple[Value, int]] | None:
    """Of a Concat whose inputs are runs of the output: each with its first byte; else None."""
    if node.op != "Concat" or prod(node.output.shape[: _axis(node)]) != 1:
        return None
    starts = np.cumsum([0, *(v.nbytes for v in node.present_inputs)])
    return [(v, int(s)) for v, s in zip(node.present_inputs, starts, strict=False)]


def scratch_bytes(node: Node, loops: Loops) -> int:
    """Bytes of working memory, disjoint from inputs and outputs, while `node` runs.

    The inputs that are widened, then the weights that are expanded.
    """
    expanded = expanded_bytes(node, loops)
    inputs = _widened_bytes(node, loops)
    return align_up(inputs, ALIGNMENT) + expanded if expanded else inputs


def _widened_bytes(node: Node, loops: Loops) -> int:
    """Of inputs that were widened to 16 bits."""
    if node.op == "Conv2d" and widens(node):
        return patch_pixels(node, loops) * even(prod(node.input(1).shape[1:])) * WIDE
    if node.op == "DepthwiseConv2d" and widens(node):
        if _is_single_channel(node):
            return patch_pixels(node, loops) * even(prod(node.input(1).shape[1:3])) * WIDE
        rows = depthwise_rows(node, loops)
        return rows * depthwise_pitch(node) * loops.depthwise_channels * WIDE
    if node.op == "FullyConnected" and widens(node):
        depth = even(int(node.input(1).shape[1]))
        return min(loops.dense_rows, node.output.size // int(node.input(1).shape[0])) * depth * WIDE
    return 0


def _rule(*ops: str) -> Callable[[Rule], Rule]:
    def keep(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, rule))
        return rule

    return keep


def _axis(node: Node) -> int:
    axis = int(node.attrs["axis"])
    return axis + node.input(0).rank if axis < 0 else axis


def _only(first: Overlap | None, node: Node) -> list[Overlap | None]:
    """`first` for the data input, nothing for weights and the like."""
    return [first, *(None for _ in node.inputs[1:])]


def _element_bytes(value: Value) -> int:
    return value.dtype.bits // 8 if value.dtype.bits >= 8 else 1


_ANYWHERE = -(1 << 40)  # a lead that no distance undercuts: all is read before anything is written

# -- windows: convolution and pooling --------------------------------------------------------------


def _first_reads(node: Node) -> Array:
    """The first input pixel that output pixel e or a later one reads, int64 [pixels]."""
    (top, _), (left, _) = node.attrs["pad"]
    return _first_pixels(
        node.input(0).shape[:3], node.output.shape[1:3], tuple(node.attrs["stride"]), (top, left)
    )


@lru_cache(maxsize=64)  # the same layer comes again and again while an arrangement is searched for
def _first_pixels(
    source: tuple[int, ...], output: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, int]
) -> Array:
    """The same of [batch, height, width] to [height, width]; not to be written to.

    Pixel (y, x) reads from row y * stride - top and column x * stride - left on, as far as these
    are in the input. The minimum over later pixels counts, since the next row starts at the left.
    """
    batch, height, width = source
    rows = np.clip(np.arange(output[0]) * stride[0] - pad[0], 0, height)
    columns = np.clip(np.arange(output[1]) * stride[1] - pad[1], 0, width)
    images = np.arange(batch)[:, None, None] * (height * width)
    first = (images + rows[:, None] * width + columns).reshape(-1)
    later: Array = np.minimum.accumulate(first[::-1])[::-1]
    return later


def _pixel_bytes(value: Value) -> int:
    return value.shape[-1] * _element_bytes(value)


def _after_blocks(first: Array, in_bytes: int, out_bytes: int) -> int:
    """Lead of a kernel that has read all that pixels 0..e need before it writes pixel e.

    When e pixels are written, e = 1 .. pixels - 1, the later ones still need `first[e]` and what
    follows it. Blocks of several pixels read ahead, which only helps.
    """
    written = np.arange(1, len(first))
    return int(np.max(written * out_bytes - first[1:] * in_bytes, initial=_ANYWHERE))


def _while_reading(first: Array, in_bytes: int, out_bytes: int) -> int:
    """Lead of a kernel that writes channels of pixel e while it still reads what e needs."""
    written = np.arange(1, len(first) + 1)
    return int(np.max(written * out_bytes - first * in_bytes, initial=0))


@_rule("Conv2d")
def _conv2d(node: Node, loops: Loops) -> list[Overlap | None]:
    """Blocks of pixels through scratch, or pixel by pixel where the input lies."""
    return _only(_by_pixels(node), node)


def _by_pixels(node: Node) -> Overlap:
    whole_pixels = widens(node) and node.attrs.get("groups", 1) == 1
    lead = _after_blocks if whole_pixels else _while_reading
    return Overlap(lead(_first_reads(node), _pixel_bytes(node.input(0)), _pixel_bytes(node.output)))


def _is_single_channel(node: Node) -> bool:
    """Whether a depthwise convolution is an ordinary one on an image of one channel."""
    return node.input(0).shape[-1] == 1


@_rule("DepthwiseConv2d")
def _depthwise(node: Node, loops: Loops) -> list[Overlap | None]:
    """Channel by channel: distance is a multiple of the channels, so they never meet each other.

    Within a channel: when y rows of the output are written, y = 1 .. rows, the input before row
    (y - 1) * stride - top + extent is in scratch. Later rows must not be written over: in pixels,
    y * out_width <= ((y - 1) * stride - top + extent) * width + lead; so for each image.
    """
    source, output = node.input(0), node.output
    if not widens(node) or _is_single_channel(node):
        return _only(_by_pixels(node), node)
    if source.shape[-1] != output.shape[-1]:
        return _only(None, node)
    (top, _), _ = node.attrs["pad"]
    stride, dilation = node.attrs["stride"][0], node.attrs["dilation"][0]
    extent = (node.input(1).shape[1] - 1) * dilation + 1
    batch, height, width, channels = source.shape
    out_height, out_width = output.shape[1:3]
    rows = np.arange(out_height)
    unread = np.clip(rows * stride - top + extent, 0, height)
    images = np.arange(batch)[:, None]
    unread_pixels = (images * height + unread) * width
    lead = (images * out_height + rows + 1) * out_width - unread_pixels
    whole = source.size // channels
    pixels = int(np.max(lead[unread_pixels < whole], initial=-whole))
    return _only(Overlap(pixels * channels, channels), node)


@_rule("MaxPool2d", "AveragePool2d")
def _pool(node: Node, loops: Loops) -> list[Overlap | None]:
    """Pixel by pixel, then channel by channel: a channel's window is read before it is written.

    When channel c of pixel e is due, e * C + c are written and first[e] * C + c is yet to be read;
    c cancels out.
    """
    first = _first_reads(node)
    pixel = _pixel_bytes(node.output)
    return _only(Overlap(int(np.max((np.arange(len(first)) - first) * pixel, initial=0))), node)


@_rule("FullyConnected")
def _dense(node: Node, loops: Loops) -> list[Overlap | None]:
    """Rows are pixels of a 1x1 convolution; a single row is in scratch before any output is."""
    units, depth = node.input(1).shape
    first = np.arange(node.output.size // units)
    in_bytes, out_bytes = (
        depth * _element_bytes(node.input(0)), units * _element_bytes(node.output)
    )  # fmt: skip
    lead = _after_blocks if widens(node) else _while_reading
    return _only(Overlap(lead(first, in_bytes, out_bytes)), node)


# -- element by element ----------------------------------------------------------------------------


@_rule(*(name for name, op in OPS.items() if op.elementwise))
def _elementwise(node: Node, loops: Loops) -> list[Overlap | None]:
    """Element e is read before it is written; inputs that are broadcast are read again later.

    e elements written, e yet to be read: lead = max of e * (bytes out - bytes in), e < size.
    """
    return [_each_element(value, node.output) for value in node.inputs]


def _each_element(value: Value | None, output: Value) -> Overlap | None:
    if value is None or value.shape != output.shape:
        return None
    growth = _element_bytes(output) - _element_bytes(value)
    return Overlap(max(0, (output.size - 1) * growth))


@_rule("Softmax", "LogSoftmax", "L2Norm", "LayerNorm", "RmsNorm", "BatchNorm")
def _row_by_row(node: Node, loops: Loops) -> list[Overlap | None]:
    """The last pass over a row reads each element before it is written."""
    same = node.input(0).dtype is node.output.dtype
    last = node.attrs.get("axis", -1) in (-1, node.output.rank - 1)
    return _only(Overlap(0) if same and last else None, node)


@_rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduction(node: Node, loops: Loops) -> list[Overlap | None]:
    """Over neighbouring dimensions: x [outer, reduced, inner], outputs in order of (outer, inner).

    When (o, i) is due, o * I + i are written and o * R * I + i is yet to be read: lead 0.
    """
    source = node.input(0)
    axes = sorted(axis % source.rank for axis in node.attrs["axes"])
    neighbours = axes == list(range(axes[0], axes[-1] + 1)) if axes else False
    same = source.dtype is node.output.dtype
    return _only(Overlap(0) if neighbours and same else None, node)


# -- moving bytes ----------------------------------------------------------------------------------


@_rule("Concat")
def _concat(node: Node, loops: Loops) -> list[Overlap | None]:
    """For each outer index the inputs' runs in turn, byte by byte.

    Before run o of input j: o * total + before_j are written, o * own_j is yet to be read, so
    lead = (outer - 1) * (total - own_j) + before_j. With one outer index an input at its lead is
    in its place already.
    """
    axis = _axis(node)
    outer = prod(node.output.shape[:axis])
    runs = [0 if v is None else v.nbytes // outer for v in node.inputs]
    before = np.cumsum([0, *runs[:-1]])
    total = sum(runs)
    return [
        Overlap(int((outer - 1) * (total - own) + start))
        for own, start in zip(runs, before, strict=True)
    ]


@_rule("Pad")
def _pad(node: Node, loops: Loops) -> list[Overlap | None]:
    """Runs of the last dimension in turn: lead = max over runs of (place in the output - place)."""
    source, output = node.input(0), node.output
    if node.attrs["mode"] != "constant":
        return _only(None, node)
    starts = [int(before) for before, _ in node.attrs["pads"]]
    place = _places(source.shape[:-1], output.shape, starts)
    own = np.arange(place.size) * source.shape[-1]
    lead = int(np.max(place.reshape(-1) - own, initial=0))
    return _only(Overlap(lead * _element_bytes(source)), node)


def _places(rows: tuple[int, ...], shape: tuple[int, ...], starts: list[int]) -> Array:
    """Element of `shape` at which each row (all dimensions but the last) that is moved begins."""
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    place: Array = np.zeros(rows, dtype=np.int64)
    for axis, count in enumerate(rows):
        along = (np.arange(count) + starts[axis]) * strides[axis]
        place = place + along.reshape([-1 if i == axis else 1 for i in range(len(rows))])
    return place + starts[-1]


@_rule("Slice")
def _slice(node: Node, loops: Loops) -> list[Overlap | None]:
    """Element e is read from place(e) >= e + place(0): lead = -place(0), for strides above 0."""
    source = node.input(0)
    if any(stride < 1 for stride in node.attrs["stride"]):
        return _only(None, node)
    strides = [prod(source.shape[i + 1 :]) for i in range(source.rank)]
    first = sum(int(b) * s for b, s in zip(node.attrs["begin"], strides, strict=True))
    return _only(Overlap(-first * _element_bytes(source)), node)


def _run_of_slice(node: Node) -> int | None:
    """First byte of a slice that is one run of its input's bytes; None when it is not one."""
    source, output = node.input(0), node.output
    if any(stride != 1 for stride in node.attrs["stride"]) or source.dtype.bits < 8:
        return None
    cut = [i for i in range(source.rank) if source.shape[i] != output.shape[i]]
    if cut and prod(output.shape[: cut[-1]]) != 1:
        return None
    strides = [prod(source.shape[i + 1 :]) for i in range(source.rank)]
    begin = sum(int(b) * s for b, s in zip(node.attrs["begin"], strides, strict=True))
    return begin * _element_bytes(source)
