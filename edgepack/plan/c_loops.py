"""How the C kernels walk through their data: what scratch memory and overlaps follow from.

The kernels' authors adjust them here and nowhere else. What the planner takes for granted:

- No kernel declares its pointers `restrict`; outputs are written front to back.
- Convolution on 8-bit values: the patches of up to `pixels` output pixels are widened to int16 in
  scratch, then all channels of those pixels are written. Blocks may end anywhere, also at row ends.
- Convolution in groups: pixel by pixel, one group's patch at a time in scratch.
- Depthwise convolution on 8-bit values (one filter per channel): `depthwise_channels` channels at a
  time, and of these a band of rows, padded, widened to int16 in scratch; then the output rows that
  the band gives, in the same channels. Rows that the next band shares are moved within scratch,
  never read again.
- Dense layers on 8-bit values: the whole row of inputs is widened to int16 in scratch first.
- Everything on other types reads its inputs where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgepack.ir import DType, Node, Value

ALIGNMENT: Final = 4  # of every offset in the arena; 8 for values with elements of 8 bytes
_EXPANDED: Final = ("Conv2d", "DepthwiseConv2d", "FullyConnected")
_WORTH: Final = 64  # bytes that codes must save: some 20 to 30 are the call that expands them
WIDE: Final = 2  # bytes of an element that was widened to int16


@dataclass(frozen=True, slots=True)
class Loops:
    """One set of kernel variants.

    `pointwise_pixels` and `patch_pixels` are the pixels per block of 1x1 and of larger
    convolutions, `dense_rows` the rows per block of dense layers. A depthwise band takes as many
    rows as fit `depthwise_bytes`, but at least what one output row needs. `expands`: weights of few
    values are stored as codes, and expanded behind the rest of the scratch memory before the layer.
    """

    pointwise_pixels: int
    patch_pixels: int
    dense_rows: int
    depthwise_channels: int
    depthwise_bytes: int
    expands: bool = False


LOOPS: Final[Mapping[str, Loops]] = {
    "speed": Loops(4, 4, 4, 1, 1536),
    "ram": Loops(2, 1, 1, 1, 0),
    "flash": Loops(4, 4, 4, 1, 1536, expands=True),
}


def alignment_of(value: Value) -> int:
    """Of the offset of `value` in the arena, in bytes."""
    return 8 if value.dtype.bits == 64 else ALIGNMENT


def widens(node: Node) -> bool:
    """Whether the kernel widens its inputs to int16 in scratch: those on 8-bit values do."""
    return node.input(0).dtype in (DType.INT8, DType.UINT8)


def code_bits(weights: Value, outputs: int) -> int:
    """Bits of a code for each of the values that weights have: 1, 2 or 4; 0 when they have more.

    0 also where codes would save less than the call that expands them takes.
    """
    found = np.unique(weights.const)
    padded = outputs % 2 or (weights.size // outputs) % 2  # by zeros, in layouts of pairs
    distinct = len(found) + bool(padded and 0 not in found)
    bits = next((bits for bits in (1, 2, 4) if distinct <= 1 << bits), 0)
    saved = weights.size - (weights.size * bits + 7) // 8 - (1 << bits)
    return bits if saved >= _WORTH else 0


def expanded_bytes(node: Node, loops: Loops) -> int:
    """Bytes of scratch memory for weights that are stored as codes; 0 where they are not."""
    if not loops.expands or node.op not in _EXPANDED or not widens(node):
        return 0
    weights = node.optional(1)
    if weights is None or weights.data is None:
        return 0
    outputs = weights.shape[3 if node.op == "DepthwiseConv2d" else 0]
    if not code_bits(weights, outputs):
        return 0
    count = even(outputs) * even(weights.size // outputs)
    return -(-count // ALIGNMENT) * ALIGNMENT


def patch_pixels(node: Node, loops: Loops) -> int:
    """Output pixels per block of the convolution `node`, no more than it has."""
    if node.attrs.get("groups", 1) != 1:
        return 1
    _, height, width, _ = node.input(1).shape
    wanted = loops.pointwise_pixels if height == width == 1 else loops.patch_pixels
    batch, out_height, out_width, _ = node.output.shape
    return min(wanted, batch * out_height * out_width)


def even(count: int) -> int:
    """The next even number: kernels take widened numbers by pairs."""
    return count + count % 2


def depthwise_pitch(node: Node) -> int:
    """Elements from one row of a depthwise band to the next: the padded width, made even."""
    (_, _), (left, right) = node.attrs["pad"]
    width = int(node.input(0).shape[2]) + int(left) + int(right)
    return even(width)


def depthwise_rows(node: Node, loops: Loops) -> int:
    """Padded input rows in a band: (rows - extent) / stride + 1 output rows come of it."""
    stride, dilation = int(node.attrs["stride"][0]), int(node.attrs["dilation"][0])
    extent = (int(node.input(1).shape[1]) - 1) * dilation + 1
    row_bytes = depthwise_pitch(node) * loops.depthwise_channels * WIDE
    bands = max(0, loops.depthwise_bytes // row_bytes - extent) // stride
    return extent + min(bands, int(node.output.shape[1]) - 1) * stride
