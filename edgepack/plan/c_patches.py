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
_PLACED: Final = 4  # candidates that are placed; of the others only the bound is looked at
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


@dataclass(frozen=True, slots=True)
class _Candidate:
    """`bounds` are the rows of the cut at which strips begin, and its height."""

    cut: Value
    bounds: tuple[int, ...]
    graph: Graph
    least_bytes: int
    extra_macs: int


def patch(graph: Graph, most_extra: float = 0.25) -> Patches | None:
    """The strips that take the smallest arena found; None when none takes a smaller one.

    `most_extra` bounds the MACs done again, as a share of all MACs. `graph` is not changed.
    """
    before = plan_c(graph, "ram").arena_bytes
    least, found = before, []
    for tried in _candidates(graph, most_extra):
        if tried.least_bytes < least:
            plan = plan_c(tried.graph, "ram", reorder=False)
            found.append((plan, tried))
            least = min(least, plan.arena_bytes)
    if least == before:
        return None
    near = [(plan, tried) for plan, tried in found if plan.arena_bytes <= _NEAR * least]
    plan, best = min(near, key=lambda pair: (pair[1].extra_macs, pair[0].arena_bytes))
    strips = len(best.bounds) - 1
    return Patches(best.graph, plan, best.cut.name, strips, best.extra_macs, before)


def _candidates(graph: Graph, most_extra: float) -> list[_Candidate]:
    """Those with the least bytes first: equal strips, then of the best ones taller outer strips.

    Strips at the edges have only one neighbour, so with more rows they take as much as the others.
    """
    most = most_extra * sum(node_macs(node) for node in graph.nodes)

    def tried(cut: Value, bounds: tuple[int, ...]) -> Iterator[_Candidate]:
        extra = _extra_macs(_region(graph, cut) or [], cut, bounds)
        made = in_strips(graph, cut, bounds) if extra <= most else None
        if made is not None:
            yield _Candidate(cut, bounds, made, lowest_bytes(made, "ram"), extra)

    def best(candidates: list[_Candidate]) -> list[_Candidate]:
        return sorted(candidates, key=lambda c: (c.least_bytes, c.extra_macs))[:_PLACED]

    equal = best([
        candidate
        for cut in _cuts(graph)
        for strips in _counts(cut.shape[1])
        for candidate in tried(cut, _bounds(cut.shape[1], strips, 0))
    ])  # fmt: skip
    taller = [
        candidate
        for even in equal
        for more in (1, 2)
        if len(even.bounds) > 3
        for candidate in tried(even.cut, _bounds(even.cut.shape[1], len(even.bounds) - 1, more))
    ]
    return best(equal + taller)


def _extra_macs(region: Sequence[Node], cut: Value, bounds: Sequence[int]) -> int:
    """What strips compute beyond each row once; the MACs of a layer go with its rows."""
    done = dict.fromkeys(region, 0)
    for rows in zip(bounds, bounds[1:], strict=False):
        needs = _needs(region, cut, rows)
        for node in region:
            low, high = needs[node.output]
            done[node] += max(high - low, 0)
    heights = ((node, rows, int(node.output.shape[1])) for node, rows in done.items())
    return sum(node_macs(node) * (rows - height) // height for node, rows, height in heights)


def _bounds(height: int, strips: int, more: int) -> tuple[int, ...]:
    """Where `strips` strips begin, and the end; the outer ones have `more` rows more."""
    inner = height - 2 * more
    cuts = [more + i * inner // strips for i in range(1, strips)]
    return 0, *cuts, height


def in_strips(graph: Graph, cut: Value, bounds: Sequence[int]) -> Graph | None:
    """A copy of `graph` in which all that `cut` depends on runs in strips; None where it cannot.

    A strip goes from a row of the cut in `bounds` to the next one.
    """
    new = graph.copy()  # its values come in the same order
    cut = next(twin for v, twin in zip(graph.values(), new.values(), strict=True) if v is cut)
    region = _region(new, cut)
    if region is None:
        return None
    before, parts = set(new.nodes), []
    for rows in zip(bounds, bounds[1:], strict=False):
        part = _strip(new, region, cut, rows) if rows[0] < rows[1] else None
        if part is None:
            return None
        parts.append(part)
    whole = new.add("Concat", parts, {"axis": 1}, name=f"{cut.name}_strips")
    whole.quant = cut.quant
    new.replace(cut, whole)
    new.remove_dead()
    old = [node for node in new.nodes if node in before]
    new.reorder([*(node for node in new.nodes if node not in before), *old])
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
