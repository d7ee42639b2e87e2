"""The loops of the C kernels as lists of events, written down apart from the rules of overlap.

An event is (reads, writes): reads are (input index, bytes), writes are bytes of the output; all
reads of an event come before its writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edgepack.ir import Node
from edgepack.plan.c_loops import Loops, depthwise_rows, patch_pixels, widens

Event = tuple[list[tuple[int, np.ndarray]], np.ndarray]
NOTHING = np.zeros(0, dtype=np.int64)


def events(node: Node, loops: Loops) -> Iterator[Event]:
    yield from EVENTS.get(node.op, _elementwise)(node, loops)


def survives(node: Node, loops: Loops, place: dict[int, int], output: int) -> bool:
    """Whether every read finds what was there, inputs at `place` and the output at `output`."""
    end = max(output + node.output.nbytes, *(p + node.input(i).nbytes for i, p in place.items()))
    memory = np.full(end, -1, dtype=np.int64)
    marks = {}
    for index, start in place.items():
        marks[index] = 1_000_000 * (index + 1) + np.arange(node.input(index).nbytes)
        memory[start : start + node.input(index).nbytes] = marks[index]
    for reads, writes in events(node, loops):
        for index, where in reads:
            if not np.array_equal(memory[place[index] + where], marks[index][where]):
                return False
        memory[output + writes] = -2
    return True


def _bytes_of(elements: np.ndarray, width: int) -> np.ndarray:
    return (np.asarray(elements).reshape(-1, 1) * width + np.arange(width)).reshape(-1)


def _elementwise(node: Node, loops: Loops) -> Iterator[Event]:
    wide = [v.dtype.bits // 8 for v in node.inputs]
    index = [
        np.broadcast_to(np.arange(v.size).reshape(v.shape), node.output.shape).reshape(-1)
        for v in node.inputs
    ]
    for e in range(node.output.size):
        reads = [(i, _bytes_of(at[e], w)) for i, (at, w) in enumerate(zip(index, wide))]  # noqa: B905
        yield reads, _bytes_of(e, node.output.dtype.bits // 8)


def _patch(node: Node, n: int, y: int, x: int, kernel: tuple[int, int]) -> np.ndarray:
    """Input pixels (flat) under the window of output pixel (n, y, x)."""
    (top, _), (left, _) = node.attrs["pad"]
    dilation = node.attrs.get("dilation", (1, 1))
    _, height, width, _ = node.input(0).shape
    rows = y * node.attrs["stride"][0] - top + np.arange(kernel[0]) * dilation[0]
    columns = x * node.attrs["stride"][1] - left + np.arange(kernel[1]) * dilation[1]
    rows, columns = rows[(rows >= 0) & (rows < height)], columns[(columns >= 0) & (columns < width)]
    return ((n * height + rows[:, None]) * width + columns).reshape(-1)


def _pixels(node: Node) -> list[tuple[int, int, int]]:
    batch, height, width, _ = node.output.shape
    return [(n, y, x) for n in range(batch) for y in range(height) for x in range(width)]


def _conv(node: Node, loops: Loops) -> Iterator[Event]:
    kernel = node.input(1).shape[1:3]
    channels, out = node.input(0).shape[-1], node.output.shape[-1]
    width, out_width = node.input(0).dtype.bits // 8, node.output.dtype.bits // 8
    pixels = _pixels(node)
    groups = node.attrs.get("groups", 1)
    block = patch_pixels(node, loops) if widens(node) and groups == 1 else 1
    for first in range(0, len(pixels), block):
        count = min(block, len(pixels) - first)
        under = np.concatenate([_patch(node, *p, kernel) for p in pixels[first : first + count]])
        reads = _bytes_of(under, channels * width)
        if widens(node) and groups == 1:
            yield [(0, reads)], _bytes_of(first + np.arange(count), out * out_width)
        else:
            for c in range(out):
                yield [(0, reads)], _bytes_of(first * out + c, out_width)


def _depthwise(node: Node, loops: Loops) -> Iterator[Event]:
    if not widens(node) or node.input(0).shape[-1] == 1:
        yield from _conv(node, loops)
        return
    batch, height, width, channels = node.input(0).shape
    _, out_height, out_width, out = node.output.shape
    (top, _), _ = node.attrs["pad"]
    stride = node.attrs["stride"][0]
    extent = (node.input(1).shape[1] - 1) * node.attrs["dilation"][0] + 1
    lines = (depthwise_rows(node, loops) - extent) // stride + 1
    for n in range(batch):
        for c in range(channels):
            done = 0  # padded input rows read so far
            for y in range(0, out_height, lines):
                count = min(lines, out_height - y)
                need = (y + count - 1) * stride + extent
                rows = np.arange(max(done, y * stride), need) - top
                rows = rows[(rows >= 0) & (rows < height)]
                under = ((n * height + rows[:, None]) * width + np.arange(width)).reshape(-1)
                yield [(0, under * channels + c)], NOTHING
                done = need
                for e in range(count * out_width):
                    pixel = (n * out_height + y) * out_width + e
                    for m in range(out // channels):
                        yield [], np.array([pixel * out + c * (out // channels) + m])


def _pool(node: Node, loops: Loops) -> Iterator[Event]:
    channels = node.output.shape[-1]
    width = node.output.dtype.bits // 8
    for e, pixel in enumerate(_pixels(node)):
        under = _patch(node, *pixel, node.attrs["kernel"])
        for c in range(channels):
            yield [(0, _bytes_of(under * channels + c, width))], _bytes_of(e * channels + c, width)


def _dense(node: Node, loops: Loops) -> Iterator[Event]:
    units, depth = node.input(1).shape
    width = node.input(0).dtype.bits // 8
    rows = node.input(0).size // depth
    block = loops.dense_rows if widens(node) else 1
    for first in range(0, rows, block):
        count = min(block, rows - first)
        reads = _bytes_of(first + np.arange(count), depth * width)
        if widens(node):
            yield [(0, reads)], _bytes_of(first + np.arange(count), units)
        else:
            for c in range(units):
                yield [(0, reads)], _bytes_of(first * units + c, width)


def _rows(node: Node, loops: Loops) -> Iterator[Event]:
    depth, width = node.output.shape[-1], node.output.dtype.bits // 8
    for row in range(node.output.size // depth):
        yield [(0, _bytes_of(row, depth * width))], NOTHING
        for i in range(depth):
            at = _bytes_of(row * depth + i, width)
            yield [(0, at)], at


def _reduce(node: Node, loops: Loops) -> Iterator[Event]:
    source, width = node.input(0), node.output.dtype.bits // 8
    index = np.arange(source.size).reshape(source.shape)
    axes = tuple(node.attrs["axes"])
    kept = [a for a in range(source.rank) if a not in axes]
    groups = index.transpose((*kept, *axes)).reshape(node.output.size, -1)
    for e, group in enumerate(groups):
        yield [(0, _bytes_of(group, width))], _bytes_of(e, width)


def _concat(node: Node, loops: Loops) -> Iterator[Event]:
    axis = node.attrs["axis"] % node.output.rank
    outer = math.prod(node.output.shape[:axis])
    to = 0
    for o in range(outer):
        for i, value in enumerate(node.inputs):
            run = value.nbytes // outer
            for b in range(run):
                yield [(i, np.array([o * run + b]))], np.array([to])
                to += 1


def _pad(node: Node, loops: Loops) -> Iterator[Event]:
    width = node.output.dtype.bits // 8
    index = np.arange(node.input(0).size).reshape(node.input(0).shape)
    padded = np.pad(index, node.attrs["pads"], constant_values=-1).reshape(-1)
    for e, source in enumerate(padded):
        yield [(0, _bytes_of(source, width))] if source >= 0 else [], _bytes_of(e, width)


def _slice(node: Node, loops: Loops) -> Iterator[Event]:
    width = node.output.dtype.bits // 8
    index = np.arange(node.input(0).size).reshape(node.input(0).shape)
    begin, size, stride = (node.attrs[key] for key in ("begin", "size", "stride"))
    cut = tuple(
        slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(begin, size, stride, strict=True)
    )
    for e, source in enumerate(index[cut].reshape(-1)):
        yield [(0, _bytes_of(source, width))], _bytes_of(e, width)


EVENTS = {
    "Conv2d": _conv, "DepthwiseConv2d": _depthwise, "MaxPool2d": _pool, "AveragePool2d": _pool,
    "FullyConnected": _dense, "Softmax": _rows, "ReduceMean": _reduce, "Concat": _concat,
    "Pad": _pad, "Slice": _slice,
}  # fmt: skip
