"""Sliding windows: strides, dilations and padding of convolutions and pooling, any rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgepack.readers.onnx.context import Call

T = TypeVar("T")
Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """One entry per spatial dimension; `pad` is what the file asks for, `ceil_pad` comes on top.

    `ceil_pad` is what ceil_mode appends behind; averages never count it.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: Pads
    ceil_pad: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of spatial dimensions."""
        return len(self.kernel)

    @property
    def full_pad(self) -> Pads:
        """Padding with what ceil_mode appends."""
        return tuple(
            (before, after + extra)
            for (before, after), extra in zip(self.pad, self.ceil_pad, strict=True)
        )

    @property
    def attrs(self) -> dict[str, object]:
        """`stride` and `pad` for an IR node."""
        return {"stride": self.stride, "pad": self.full_pad}

    def only(self, dims: Sequence[int]) -> Window:
        """The window over some of the dimensions."""

        def pick(values: tuple[T, ...]) -> tuple[T, ...]:
            return tuple(values[d] for d in dims)

        return Window(
            pick(self.kernel), pick(self.stride), pick(self.dilation), pick(self.pad),
            pick(self.ceil_pad),
        )  # fmt: skip

    def lifted(self) -> Window:
        """A 1-D window as a 2-D one of height 1."""
        return Window(
            (1, *self.kernel), (1, *self.stride), (1, *self.dilation), ((0, 0), *self.pad),
            (0, *self.ceil_pad),
        )  # fmt: skip


def read_window(node: Call, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of Conv and of the pooling operators. Raises ValueError when it makes no sense."""
    rank = len(spatial)
    kernel = tuple(int(k) for k in kernel)
    stride = tuple(node.attr("strides", (1,) * rank))
    dilation = tuple(node.attr("dilations", (1,) * rank))
    if not len(kernel) == len(stride) == len(dilation) == rank:
        raise ValueError(f"kernel {kernel}, strides {stride} and dilations {dilation} differ")
    if min(kernel + stride + dilation, default=1) < 1:
        raise ValueError(f"kernel {kernel}, strides {stride} or dilations {dilation} below 1")
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pad = _pads(node, spatial, extent, stride)
    ceil_pad = (0,) * rank
    if node.attr("ceil_mode", 0) and node.attr("auto_pad", "NOTSET") in ("NOTSET", ""):
        sizes = zip(spatial, extent, stride, pad, strict=True)
        ceil_pad = tuple(_ceil_extra(*one) for one in sizes)
    return Window(kernel, stride, dilation, pad, ceil_pad)


def _pads(node: Call, spatial: Sequence[int], extent: Sequence[int], stride: Sequence[int]) -> Pads:
    auto = node.attr("auto_pad", "NOTSET")
    rank = len(spatial)
    if auto in ("NOTSET", ""):
        flat = tuple(node.attr("pads", (0,) * (2 * rank)))
        if len(flat) != 2 * rank:
            raise ValueError(f"pads {flat} for {rank} spatial dimensions")
        if min(flat, default=0) < 0:
            raise ValueError(f"negative pads {flat}")
        return tuple(zip(flat[:rank], flat[rank:], strict=True))
    if auto == "VALID":
        return ((0, 0),) * rank
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad {auto}")
    totals = [
        max((-(-size // s) - 1) * s + e - size, 0)
        for size, e, s in zip(spatial, extent, stride, strict=True)
    ]
    return tuple(split_total(total, lower=auto == "SAME_LOWER") for total in totals)


def split_total(total: int, *, lower: bool) -> tuple[int, int]:
    """Padding before and after; the odd one goes before with `lower`."""
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def _ceil_extra(size: int, extent: int, stride: int, pad: tuple[int, int]) -> int:
    """What must be appended so that rounding down counts the windows that ceil_mode counts."""
    room = size + sum(pad) - extent
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + pad[0]:  # the last window would lie in the padding
        count -= 1
    return max((count - 1) * stride - room, 0)
