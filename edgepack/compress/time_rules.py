"""How each operator treats time: one function per kind, which says what it reads and gives.

A value that carries frames is described by `Frames`. An operator goes *along* with them (it makes
its new outputs from the new frames and a few past ones), or takes the *whole* window, after which
there is no time any more. `Stuck` says why neither is possible.

The last frame of every value is the newest one, of whatever length it is: what would leave out the
newest frames, or look ahead of them, is `Stuck`. So past frames are all that a stream has to keep.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from edgepack.ir import Node, Value, row
from edgepack.registry import Registry

_BACK: Final = "a stream has only what came before"


@dataclass(frozen=True, slots=True)
class Frames:
    """`length` frames along `axis` in a window, of which a call brings `fresh`.

    `calls` calls make a window. `padded`: zeros stand before the first frame, counted in `length`.
    """

    axis: int
    length: int
    fresh: int
    calls: int
    padded: bool = False

    @property
    def complete(self) -> bool:
        """Whether every call gives frames of the window, from the first on."""
        return self.length == self.fresh * self.calls


@dataclass(frozen=True, slots=True)
class Reading:
    """What an operator does: it reads the last `take` frames of its inputs that have any.

    `gives` are the frames of its outputs, None when they have none. `changes` are attributes that
    differ from those of the whole model.
    """

    take: int
    gives: Frames | None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Stuck(Exception):
    """An operator that cannot be computed frame by frame; the text says why."""


Time = Mapping[Value, Frames]
Rule = Callable[[Node, Frames, Time], Reading]
_rules: Registry[Rule] = Registry("rules for time")


def reading(node: Node, time: Time) -> Reading:
    """What `node` does with the frames of its inputs. Raises Stuck."""
    found = [time[v] for v in node.present_inputs if v in time]
    rule = _rules.get(node.op) or _rules.get(row(node.op).kind)
    if rule is None:
        raise Stuck(f"{node.op} is not known to go along with time")
    if found[0].padded and node.op not in _WINDOWS:
        raise Stuck("padding in time is for a convolution to read")
    return rule(node, found[0], time)


# -- windows ---------------------------------------------------------------------------------------

_WINDOWS: Final = ("Conv2d", "DepthwiseConv2d", "MaxPool2d", "AveragePool2d")


@_rules("Conv2d", "DepthwiseConv2d", "MaxPool2d", "AveragePool2d")
def _window(node: Node, x: Frames, time: Time) -> Reading:
    """Outputs end with the newest frame: of `extent` frames each, `stride` apart."""
    if x.axis not in (1, 2):
        raise Stuck(f"it sums over dimension {x.axis}, and frames are not to be mixed there")
    place = x.axis - 1
    attrs, (before, after) = node.attrs, node.attrs["pad"][place]
    size = attrs["kernel"][place] if "kernel" in attrs else node.input(1).shape[x.axis]
    extent, stride = (size - 1) * attrs.get("dilation", (1, 1))[place] + 1, attrs["stride"][place]
    if after:
        raise Stuck(f"it pads {after} frames at the end, for it looks ahead, and {_BACK}")
    if before or x.padded:
        if "kernel" in attrs:
            raise Stuck("it is a pooling that pads in time, and padding is not counted")
        x = x if x.padded else _padded(x, before)
    count = (x.length - extent) // stride + 1
    if (count - 1) * stride + extent != x.length:
        raise Stuck("its windows leave out the newest frames")
    pad = tuple((0, 0) if i == place else p for i, p in enumerate(attrs["pad"]))
    if count <= max(1, x.fresh // stride):
        return Reading(x.length, None, {"pad": pad})
    if x.fresh % stride:
        raise Stuck(f"its stride of {stride} needs a multiple of {stride} frames in each call")
    if extent < stride:
        raise Stuck("it skips frames between its windows")
    gives = Frames(x.axis, count, x.fresh // stride, x.calls)
    if count > gives.fresh * gives.calls:
        raise Stuck("it has more padding before the first frame than its window reaches back")
    return Reading(extent - stride + x.fresh, gives, {"pad": pad})


def _padded(x: Frames, before: int) -> Frames:
    """The frames with zeros before them, which is what a stream's past begins with."""
    if not x.complete:
        raise Stuck(
            "it pads before the first frame, and what it reads gives outputs for earlier ones, too"
        )
    return dataclasses.replace(x, length=x.length + before, padded=True)


@_rules("Pad")
def _pad(node: Node, x: Frames, time: Time) -> Reading:
    """Zeros before the first frame are the past of a stream that begins."""
    before, after = node.attrs["pads"][x.axis]
    pads = tuple((0, 0) if i == x.axis else p for i, p in enumerate(node.attrs["pads"]))
    if not before and not after:
        return Reading(x.fresh, x)
    if after:
        raise Stuck(f"it pads {after} frames at the end, for a layer that looks ahead, and {_BACK}")
    if node.attrs["mode"] != "constant" or node.attrs["value"] != 0.0:
        raise Stuck("it pads in time with something else than zeros")
    return Reading(x.fresh, _padded(x, before), {"pads": pads})


# -- along with time -------------------------------------------------------------------------------


@_rules("elementwise")
def _elementwise(node: Node, x: Frames, time: Time) -> Reading:
    """Inputs broadcast from the right."""
    place = {v: time[v].axis - v.rank for v in node.present_inputs if v in time}
    spot = next(iter(place.values()))
    for value in node.present_inputs:
        if value not in time:
            _require_timeless(value, spot)
        elif place[value] != spot or dataclasses.replace(time[value], axis=x.axis) != x:
            raise Stuck("it brings frames of different times together")
    return Reading(x.fresh, dataclasses.replace(x, axis=node.output.rank + spot))


def _require_timeless(value: Value, spot: int) -> None:
    """What frames are computed with is the same for all of them, and known beforehand."""
    if not value.is_const:
        raise Stuck("it applies to each frame what is computed from all frames")
    if value.rank >= -spot and value.shape[spot] != 1:
        raise Stuck("its constant differs from frame to frame")


@_rules("axis")
def _along_axis(node: Node, x: Frames, time: Time) -> Reading:
    """Softmax, concatenations, splits: each frame by itself, unless they run along time."""
    if node.attrs["axis"] % node.input(0).rank == x.axis:
        raise Stuck("it runs along time")
    if any(time.get(v) != x for v in node.present_inputs if v.rank > 1):
        raise Stuck("it brings frames of different times together")
    return Reading(x.fresh, x)


@_rules("last")
def _along_last(node: Node, x: Frames, time: Time) -> Reading:
    """Dense layers and norms: each frame by itself, or all of them where they are the depth."""
    rank = node.input(0).rank
    inner = range(node.attrs.get("axis", -1) % rank, rank)
    if node.attrs.get("flatten"):
        inner = range(rank)
    if x.axis not in inner:
        return Reading(x.fresh, x)
    if node.op != "FullyConnected":
        raise Stuck("it runs along time")
    return Reading(x.length, None)


@_rules("Transpose")
def _transpose(node: Node, x: Frames, time: Time) -> Reading:
    axis = node.attrs["perm"].index(x.axis)
    return Reading(x.fresh, dataclasses.replace(x, axis=axis))


@_rules("Slice")
def _slice(node: Node, x: Frames, time: Time) -> Reading:
    """The newest frames, or a part of each frame."""
    begin, size, stride = (node.attrs[key][x.axis] for key in ("begin", "size", "stride"))
    if stride != 1 or begin + size != x.length:
        raise Stuck("it leaves out the newest frames")
    take = min(size, x.fresh)
    changes = {
        key: tuple(value if i == x.axis else n for i, n in enumerate(node.attrs[key]))
        for key, value in (("begin", 0), ("size", take))
    }
    if size > x.fresh:
        return Reading(take, dataclasses.replace(x, length=size), changes)
    return Reading(take, None, changes)


@_rules("Reshape")
def _reshape(node: Node, x: Frames, time: Time) -> Reading:
    """Frames stay where their dimension does; else all of them are made one."""
    before, after = node.input(0).shape, node.attrs["shape"]
    for axis, size in enumerate(after):
        if size == before[x.axis] and prod(after[:axis]) == prod(before[: x.axis]):
            shape = (*after[:axis], x.fresh, *after[axis + 1 :])
            return Reading(x.fresh, dataclasses.replace(x, axis=axis), {"shape": shape})
    return Reading(x.length, None)


# -- all frames ------------------------------------------------------------------------------------


@_rules("reduction")
def _reduction(node: Node, x: Frames, time: Time) -> Reading:
    rank = node.input(0).rank
    axes = {axis % rank for axis in node.attrs["axes"]}
    return _reduced(x, axes, keeps=node.attrs["keepdims"])


@_rules("ArgMax", "ArgMin")
def _index(node: Node, x: Frames, time: Time) -> Reading:
    return _reduced(x, {node.attrs["axis"] % node.input(0).rank}, keeps=False)


def _reduced(x: Frames, axes: set[int], *, keeps: bool) -> Reading:
    if x.axis in axes:
        return Reading(x.length, None)
    gone = 0 if keeps else sum(axis < x.axis for axis in axes)
    return Reading(x.fresh, dataclasses.replace(x, axis=x.axis - gone))
