"""A drawing of the graph: nodes in rows by their distance from the inputs (Sugiyama's method)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgepack.report.charts.treemap import kind_of
from edgepack.report.model import LayerInfo

MANY: Final = 600  # layers, above which a drawing helps nobody
WIDTH, HEIGHT, GAP_X, GAP_Y = 190.0, 46.0, 26.0, 30.0
_BEND: Final = 14.0  # width that an edge takes where it passes a row
_SWEEPS: Final = 6


@dataclass(frozen=True, slots=True)
class Box:
    """A node or an input of the model, by its upper left corner in pixels."""

    index: int | None  # of the layer; None for an input
    name: str
    op: str
    kind: str
    left: float
    top: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes of WIDTH by HEIGHT and the edges' paths, in pixels of `width` by `height`."""

    boxes: tuple[Box, ...]
    edges: tuple[str, ...]
    width: float
    height: float


def drawing_of(layers: Sequence[LayerInfo]) -> Drawing | None:
    """The graph of the layers; None where it is not known how they are connected, or too large."""
    if not any(layer.inputs for layer in layers) or len(layers) > MANY:
        return None
    place = {layer.node: i for i, layer in enumerate(layers)}
    inputs = list(dict.fromkeys(n for la in layers for n in la.inputs if n not in place))
    names = [*(layer.node for layer in layers), *inputs]
    index = {name: i for i, name in reversed(list(enumerate(names)))}
    edges = [(index[n], i) for i, layer in enumerate(layers) for n in layer.inputs if n != names[i]]
    web = _Web(len(names), edges)
    web.arrange()
    boxes = []
    for i, name in enumerate(names):
        op = layers[i].op if i < len(layers) else "input"
        kind = kind_of(op) if i < len(layers) else "input"
        left, top = web.x[i] - WIDTH / 2, web.top(i)
        boxes.append(Box(i if i < len(layers) else None, name, op, kind, left, top))
    rows = max(web.row) + 1
    size = max(web.x[i] + web.width(i) / 2 for i in range(len(web.row)))
    paths = tuple(web.path(chain) for chain in web.chains)
    return Drawing(tuple(boxes), paths, size, rows * (HEIGHT + GAP_Y) - GAP_Y)


class _Web:
    """Points in rows: the nodes, and one for each row that an edge passes."""

    def __init__(self, count: int, edges: Sequence[tuple[int, int]]) -> None:
        self.count = count
        self.row = _rows(count, edges)
        self.chains = [self._chain(a, b) for a, b in edges]
        self.before: Mapping[int, list[int]] = {i: [] for i in range(len(self.row))}
        self.after: Mapping[int, list[int]] = {i: [] for i in range(len(self.row))}
        for chain in self.chains:
            for a, b in zip(chain, chain[1:], strict=False):
                self.after[a].append(b)
                self.before[b].append(a)
        self.rows: list[list[int]] = [[] for _ in range(max(self.row) + 1)]
        for i, row in enumerate(self.row):
            self.rows[row].append(i)
        self.x = [0.0] * len(self.row)

    def _chain(self, start: int, end: int) -> list[int]:
        """The edge's points; new ones in the rows between."""
        passed = range(self.row[start] + 1, self.row[end])
        chain = [start]
        for row in passed:
            chain.append(len(self.row))
            self.row.append(row)
        return [*chain, end]

    def width(self, i: int) -> float:
        """What a point takes of its row."""
        return WIDTH if i < self.count else _BEND

    def top(self, i: int) -> float:
        """The upper end of a point."""
        return self.row[i] * (HEIGHT + GAP_Y)

    def arrange(self) -> None:
        """Order each row by its neighbours, then move points as near to these as there is room."""
        for row in self.rows:
            self._spread(row, [0.0] * len(row))
        for sweep in range(_SWEEPS):
            down = sweep % 2 == 0
            near = self.before if down else self.after
            for row in self.rows if down else reversed(self.rows):
                row.sort(key=lambda i: self._wish(i, near))
                self._spread(row, [self._wish(i, near) for i in row])
        both = {i: [*self.before[i], *self.after[i]] for i in range(len(self.row))}
        for row in self.rows:
            self._spread(row, [self._wish(i, both) for i in row])
        least = min(x - self.width(i) / 2 for i, x in enumerate(self.x))
        self.x = [x - least for x in self.x]

    def _wish(self, i: int, near: Mapping[int, list[int]]) -> float:
        found = [self.x[j] for j in near[i]]
        return sum(found) / len(found) if found else self.x[i]

    def _spread(self, row: Sequence[int], wishes: Sequence[float]) -> None:
        """The places nearest to the wishes (least squares) in this order, without overlaps.

        With the widths taken off, places must not fall: neighbours that would are pooled.
        """
        offset, offsets = 0.0, []
        for before, i in zip([None, *row], row, strict=False):
            if before is not None:
                offset += (self.width(before) + self.width(i)) / 2 + GAP_X
            offsets.append(offset)
        pools: list[tuple[float, int]] = []  # mean, how many
        for wish, taken in zip(wishes, offsets, strict=True):
            pools.append((wish - taken, 1))
            while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
                (one, n), (two, m) = pools[-2:]
                pools[-2:] = [((one * n + two * m) / (n + m), n + m)]
        places = [mean for mean, count in pools for _ in range(count)]
        for i, place, taken in zip(row, places, offsets, strict=True):
            self.x[i] = place + taken

    def path(self, chain: Sequence[int]) -> str:
        """An edge from the lower end of its first point to the upper end of its last."""
        x, y = self.x[chain[0]], self.top(chain[0]) + HEIGHT
        parts = [f"M{x:.1f} {y:.1f}"]
        for i in chain[1:]:
            next_x, next_y = self.x[i], self.top(i)
            middle = (y + next_y) / 2
            parts.append(
                f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
            )
            x, y = next_x, next_y
            if i != chain[-1]:
                y += HEIGHT
                parts.append(f"V{y:.1f}")
        return "".join(parts)


def _rows(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from an input, by node; a node stands below all that it reads from."""
    reads: list[list[int]] = [[] for _ in range(count)]
    for start, end in edges:
        reads[end].append(start)
    rows = [0] * count
    for _ in range(count):  # layers come in their order: one or two rounds settle it
        found = [max((rows[j] + 1 for j in reads[i]), default=0) for i in range(count)]
        if found == rows:
            break
        rows = found
    return rows
