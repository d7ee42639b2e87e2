"""Running the first layers strip by strip, so that their large values never exist as a whole.

After MCUNetV2 (Lin et al., 2021). The layers between the inputs and one value, the cut, are done
for a few rows of the cut at a time. For rows a .. b - 1 of its output a layer with a window reads
rows a * stride - top .. (b - 1) * stride - top + extent - 1 of its input, as far as these exist;
what does not exist is padding still. Rows that two strips need are computed twice: that is the
price.

Strips span the whole width, because the rows of an image follow one another in memory: taking rows
of an input, and putting the strips of the cut together, then needs no code (`c_overlap.views`), and
rows of the input that no later strip reads make room for the cut. The numbers are the same to the
bit, since no layer's arithmetic changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgepack.ir import OPS, Graph, Node, Value, node_macs
from edgepack.plan.c_plan import CPlan, lowest_bytes, plan_c

_WINDOWS: Final = frozenset(("Conv2d", "DepthwiseConv2d", "MaxPool2d", "AveragePool2d"))
_MOST_STRIPS: Final = 16
_PLACED: Final = 6  # candidates that are placed; of the others only the bound is looked at
_NEAR: Final = 1.02  # arenas this close count as equal, and fewer MACs decide

Rows = tuple[int, int]  # first row, row after the last


@dataclass(frozen=True, slots=True)
class Patches:
    """A graph in which the nodes before `cut` run in `strips`, and its plan for "ram".

    `extra_macs` are those done more than once; `arena_before` is the arena without strips.
    """

    graph: Graph
    plan: CPlan
    cut: str
    strips: int
    extra_macs: int
    arena_before: int


def patch(graph: Graph, most_extra: float = 0.25) -> Patches | None:
    """The strips that take the smallest arena found; None when none takes a smaller one.

    `most_extra` bounds the MACs done again, as a share of all MACs. `graph` is not changed.
    """
    before = plan_c(graph, "ram")
    total = sum(node_macs(node) for node in graph.nodes)
    tried = []
    for cut in _cuts(graph):
        for strips in _counts(cut.shape[1]):
            made = in_strips(graph, cut, strips)
            if made is None:
                continue
            extra = sum(node_macs(node) for node in made.nodes) - total
            if extra <= most_extra * total:
                tried.append((lowest_bytes(made, "ram"), extra, cut.name, strips, made))
    tried.sort(key=lambda t: t[:2])
    found = [
        Patches(made, plan_c(made, "ram"), cut_name, strips, extra, before.arena_bytes)
        for bound, extra, cut_name, strips, made in tried[:_PLACED]
        if bound < before.arena_bytes
    ]
    least = min((p.plan.arena_bytes for p in found), default=before.arena_bytes)
    if least >= before.arena_bytes:
        return None
    near = [p for p in found if p.plan.arena_bytes <= _NEAR * least < before.arena_bytes]
    return min(near, key=lambda p: (p.extra_macs, p.plan.arena_bytes))


def in_strips(graph: Graph, cut: Value, strips: int) -> Graph | None:
    """A copy of `graph` in which all that `cut` depends on runs in strips; None where it cannot."""
    name, height = cut.name, cut.shape[1]
    new = graph.copy()
    cut = next(v for v in new.values() if v.name == name)
    region = _region(new, cut)
    if region is None:
        return None
    parts = []
    for i in range(strips):
        rows = i * height // strips, (i + 1) * height // strips
        part = _strip(new, region, cut, rows)
        if part is None:
            return None
        parts.append(part)
    whole = new.add("Concat", parts, {"axis": 1}, name=f"{name}_strips")
    whole.quant = cut.quant
    new.replace(cut, whole)
    new.remove_dead()
    new.sort()
    return new


def _counts(height: int) -> Iterator[int]:
    """Numbers of strips worth a try: one for each height of a strip."""
    seen = set()
    for rows in range(1, height):
        count = -(-height // rows)
        if count not in seen and 1 < count <= _MOST_STRIPS:
            seen.add(count)
            yield count


def _cuts(graph: Graph) -> Iterator[Value]:
    """Values before which all can be done by rows, while they are still images."""
    for node in graph.nodes:
        cut = node.output
        if cut.rank == 4 and cut.shape[1] > 1 and _region(graph, cut) is not None:
            yield cut


def _region(graph: Graph, cut: Value) -> list[Node] | None:
    """The nodes that `cut` depends on, when nothing else reads what they make; else None."""
    wanted: dict[Node, None] = {}
    pending = [cut]
    while pending:
        node = pending.pop().producer
        if node is not None and node not in wanted:
            wanted[node] = None
            pending.extend(v for v in node.present_inputs if not v.is_const)
    inside = [node for node in graph.nodes if node in wanted]
    for node in inside:
        leaks = node.output is not cut and (
            graph.is_output(node.output) or any(u not in wanted for u in node.output.users)
        )
        if leaks or not _by_rows(node):
            return None
    return inside if len(inside) > 1 else None


def _by_rows(node: Node) -> bool:
    """Whether rows of the output depend on a window of rows of each input alone."""
    if len(node.outputs) != 1 or any(v.rank != 4 for v in (node.input(0), node.output)):
        return False
    if node.op in _WINDOWS:
        return node.input(0).shape[0] == 1 and node.attrs.get("layout", "NHWC") == "NHWC"
    if not OPS[node.op].elementwise or node.output.shape[0] != 1:
        return False
    return all(
        v.rank < 3 or v.shape[-3] == 1 if v.is_const else v.shape == node.output.shape
        for v in node.present_inputs
    )


def _extent(node: Node) -> int:
    if "kernel" in node.attrs:
        return int(node.attrs["kernel"][0])
    return (int(node.input(1).shape[1]) - 1) * int(node.attrs["dilation"][0]) + 1


def _reads(node: Node, rows: Rows) -> tuple[Rows, Rows]:
    """(rows of the input that `rows` of the output need, rows of padding above and below)."""
    if node.op not in _WINDOWS:
        return rows, (0, 0)
    height, stride = int(node.input(0).shape[1]), int(node.attrs["stride"][0])
    top = int(node.attrs["pad"][0][0])
    low = rows[0] * stride - top
    high = (rows[1] - 1) * stride - top + _extent(node)
    return (max(low, 0), min(high, height)), (max(-low, 0), max(high - height, 0))


def _strip(graph: Graph, region: Sequence[Node], cut: Value, rows: Rows) -> Value | None:
    """New nodes for `rows` of `cut`, and what they make; None when one would see padding only."""
    needs = _needs(region, cut, rows)
    if any(low >= high for low, high in needs.values()):
        return None
    made: dict[tuple[Value, Rows], Value] = {}
    for node in region:
        own = needs[node.output]
        source, pad = _reads(node, own)
        inputs = [
            v if v is None or v.is_const else _rows_of(graph, v, source, needs, made)
            for v in node.inputs
        ]
        attrs = dict(node.attrs)
        if node.op in _WINDOWS:
            attrs["pad"] = pad, node.attrs["pad"][1]
        output = graph.add(node.op, inputs, attrs, name=f"{node.name}_rows{own[0]}")
        output.quant = node.output.quant
        made[node.output, own] = output
    return made[cut, rows]


def _needs(region: Sequence[Node], cut: Value, rows: Rows) -> dict[Value, Rows]:
    """The rows of each value that some reader needs."""
    needs = {cut: rows}
    for node in reversed(region):
        low, high = _reads(node, needs[node.output])[0]
        for value in node.present_inputs:
            if not value.is_const:
                first, end = needs.get(value, (low, high))
                needs[value] = min(first, low), max(end, high)
    return needs


def _rows_of(
    graph: Graph,
    value: Value,
    rows: Rows,
    needs: Mapping[Value, Rows],
    made: dict[tuple[Value, Rows], Value],
) -> Value:
    """`rows` of `value`: what was made of it for this strip, or a slice of that."""
    if (value, rows) not in made:
        have = needs[value] if value.producer is not None else (0, value.shape[1])
        source = value if value.producer is None else made[value, have]
        if rows == have:
            return source
        cut = {
            "begin": (0, rows[0] - have[0], 0, 0),
            "size": (1, rows[1] - rows[0], *value.shape[2:]),
            "stride": (1, 1, 1, 1),
        }
        made[value, rows] = graph.add("Slice", [source], cut, name=f"{value.name}_from{rows[0]}")
        made[value, rows].quant = value.quant
    return made[value, rows]


def describe(patches: Patches, macs: int) -> str:
    """A sentence for the report; `macs` are those of the model without strips."""
    return (
        f"the layers up to {patches.cut} run in {patches.strips} strips, which takes the arena "
        f"from {patches.arena_before:,} to {patches.plan.arena_bytes:,} bytes and costs "
        f"{patches.extra_macs:,} MACs more ({100 * patches.extra_macs / max(macs, 1):.1f}%)"
    )
