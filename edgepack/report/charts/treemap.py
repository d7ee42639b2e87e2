"""Sizes as a treemap: rectangles as square as can be (Bruls, Huizing, van Wijk, 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgepack.report.model import LayerInfo

_SMALLEST: Final = 0.004  # share below which layers are drawn as one
ASPECT: Final = 2.2  # width by height of the area


@dataclass(frozen=True, slots=True)
class Tile:
    """A layer's rectangle, in percent of the area; `index` is None for several layers as one."""

    index: int | None
    node: str
    kind: str
    bytes: int
    share: float
    left: float
    top: float
    width: float
    height: float


def treemap_of(layers: Sequence[LayerInfo]) -> tuple[Tile, ...]:
    """The layers that have constants, the largest first; empty where none has."""
    total = sum(layer.weight_bytes for layer in layers)
    if not total:
        return ()
    sized = sorted(
        ((layer.weight_bytes, i) for i, layer in enumerate(layers) if layer.weight_bytes),
        key=lambda pair: (-pair[0], pair[1]),
    )
    large = [pair for pair in sized if pair[0] >= _SMALLEST * total]
    rest = sized[len(large) :]
    sizes = [size for size, _ in large]
    if rest:
        sizes.append(sum(size for size, _ in rest))
    places = squarified(sizes, ASPECT * 100, 100)
    tiles = [
        Tile(i, layers[i].node, kind_of(layers[i].op), size, size / total, *_percent(place))
        for (size, i), place in zip(large, places, strict=False)
    ]
    if rest:
        name = f"{len(rest)} smaller layers" if len(rest) > 1 else layers[rest[0][1]].node
        size = sizes[-1]
        tiles.append(Tile(None, name, "other", size, size / total, *_percent(places[-1])))
    return tuple(tiles)


Place = tuple[float, float, float, float]  # left, top, width, height


def squarified(sizes: Sequence[float], width: float, height: float) -> list[Place]:
    """Rectangles that fill `width` by `height` without overlaps, their areas as `sizes`."""
    places: list[Place] = []
    left = top = 0.0
    scale = width * height / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    while len(places) < len(areas):
        start, side = len(places), min(width - left, height - top)
        count = _row_length(areas[start:], side)
        row = areas[start : start + count]
        along = sum(row) / side if side else 0.0
        if width - left >= height - top:  # a column at the left
            at = top
            for area in row:
                places.append((left, at, along, area / along))
                at += area / along
            left += along
        else:
            at = left
            for area in row:
                places.append((at, top, area / along, along))
                at += area / along
            top += along
    return places


def _row_length(areas: Sequence[float], side: float) -> int:
    """How many of the next areas are best put in one row along `side`."""
    best = _worst_ratio(areas[:1], side)
    for count in range(2, len(areas) + 1):
        ratio = _worst_ratio(areas[:count], side)
        if ratio > best:
            return count - 1
        best = ratio
    return len(areas)


def _worst_ratio(row: Sequence[float], side: float) -> float:
    total = sum(row)
    largest, smallest = side * side * max(row), side * side * min(row)
    return max(largest / (total * total), total * total / smallest)


def _percent(place: Place) -> Place:
    left, top, width, height = place
    return left / ASPECT, top, width / ASPECT, height


def kind_of(op: str) -> str:
    """What family an operator belongs to, which its colour shows."""
    if op.startswith("DepthwiseConv"):
        return "depthwise"
    if "Conv" in op:
        return "convolution"
    if op in _DENSE:
        return "dense"
    return "elementwise" if op in _ELEMENTWISE else "other"


_DENSE: Final = frozenset({"FullyConnected", "MatMul", "Lstm", "Svdf", "Gather"})
_ELEMENTWISE: Final = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Relu", "Relu6", "ReluN1To1", "Relu0To1", "Clip", "Gelu"),
        *("HardSwish", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Elu", "Softmax", "LogSoftmax"),
        *("Minimum", "Maximum", "Rsqrt", "Sqrt", "Exp", "Log", "Abs", "Neg", "Square", "Pow"),
        *("SquaredDifference", "Where", "BatchNorm", "LayerNorm", "RmsNorm", "L2Norm"),
    }
)
