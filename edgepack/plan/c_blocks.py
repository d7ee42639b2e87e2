"""What of a graph needs memory in the C runtime, for how long, and what may lie over what.

Step 0 is before the first node (inputs are written then), node i runs in step i + 1, outputs live
to the step after the last. A view (`c_overlap.views`) lies in the memory of the value it shows. A
value of which only parts are read later lives in pieces. Inputs of a Concat that are runs of its
output, and die there, lie in the output's block already when they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.ir import Graph, Node, Value
from edgepack.plan.abi import align_up
from edgepack.plan.c_loops import ALIGNMENT, Loops, alignment_of
from edgepack.plan.c_overlap import overlap, runs_of_concat, scratch_bytes, views
from edgepack.plan.c_place import Puzzle, Relation, Span


@dataclass(frozen=True, slots=True)
class Blocks:
    """The puzzle of a graph in some order.

    `home` has each value's (block, first byte in it), `scratch` each node's (block, bytes).
    """

    puzzle: Puzzle
    home: Mapping[Value, tuple[int, int]]
    scratch: Mapping[Node, tuple[int, int]]


@dataclass(slots=True)
class _Memory:
    """What is found on the way; `root` has the value whose memory a value lies in, and where.

    `pieces` has the indices of the spans of each root.
    """

    root: dict[Value, tuple[Value, int]] = field(default_factory=dict)
    born: dict[Value, int] = field(default_factory=dict)
    used: dict[Value, int] = field(default_factory=dict)
    block: dict[Value, tuple[int, int]] = field(default_factory=dict)
    pieces: dict[Value, list[int]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    alignments: list[int] = field(default_factory=list)

    def home(self, value: Value) -> tuple[int, int]:
        """Block and first byte of any value."""
        root, start = self.root[value]
        block, offset = self.block[root]
        return block, offset + start

    def new_block(self, alignment: int = ALIGNMENT) -> int:
        self.alignments.append(alignment)
        return len(self.alignments) - 1

    def covered(self, value: Value) -> Iterator[int]:
        """The spans that the bytes of `value` are in."""
        _, start = self.home(value)
        for index in self.pieces[self.root[value][0]]:
            span = self.spans[index]
            if span.start < start + value.nbytes and start < span.start + span.nbytes:
                yield index


def blocks_of(graph: Graph, nodes: Sequence[Node], loops: Loops) -> Blocks:
    """Blocks and rules of `graph`, whose nodes run in the order of `nodes`."""
    memory = _Memory()
    _find_roots(graph, nodes, memory)
    _find_uses(graph, nodes, memory)
    _give_blocks(nodes, memory)
    runs: dict[Value, list[tuple[int, int, int]]] = {root: [] for root in memory.born}
    for value, step in memory.used.items():
        if not value.is_const:
            root, start = memory.root[value]
            runs[root].append((start, start + _round(value.nbytes), step))
    for root in memory.born:
        _cut(root, runs[root], memory)
    scratch = _scratch(nodes, loops, memory)
    relations = _relations(nodes, loops, memory)
    puzzle = Puzzle(tuple(memory.spans), relations, tuple(memory.alignments))
    return Blocks(puzzle, {v: memory.home(v) for v in memory.root}, scratch)


def live_bytes(puzzle: Puzzle, steps: int) -> list[int]:
    """Bytes that any placement has in use at each of `steps` steps.

    The spans of a step, each byte of a block once, less what relations can save: a span that is
    born lies over those that die by at most its own size and theirs.
    """
    alive: list[list[int]] = [[] for _ in range(steps)]
    for index, span in enumerate(puzzle.spans):
        for step in range(span.first, span.last + 1):
            alive[step].append(index)
    saved = _savings(puzzle)
    return [_covered_bytes(puzzle, alive[t]) - saved.get(t, 0) for t in range(steps)]


def _savings(puzzle: Puzzle) -> dict[int, int]:
    above: dict[int, dict[int, int]] = {}
    below: dict[int, dict[int, int]] = {}
    for (a, b), relation in puzzle.relations.items():
        dying, born = puzzle.spans[a], puzzle.spans[b]
        apart = max(0, dying.start - born.start - relation.limit)
        shared = max(0, min(born.nbytes - apart, dying.nbytes))
        for side, index in ((above, a), (below, b)):
            sums = side.setdefault(born.first, {})
            sums[index] = sums.get(index, 0) + shared

    def most(sums: dict[int, int]) -> int:
        return sum(min(s, puzzle.spans[index].nbytes) for index, s in sums.items())

    return {step: min(most(above[step]), most(below[step])) for step in above}


def _covered_bytes(puzzle: Puzzle, indices: Sequence[int]) -> int:
    total, end, block = 0, 0, -1
    for span in sorted((puzzle.spans[i] for i in indices), key=lambda s: (s.block, s.start)):
        if span.block != block:
            block, end = span.block, 0
        total += max(0, span.start + span.nbytes - max(end, span.start))
        end = max(end, span.start + span.nbytes)
    return total


def _round(nbytes: int) -> int:
    return align_up(nbytes, ALIGNMENT)


def _find_roots(graph: Graph, nodes: Sequence[Node], memory: _Memory) -> None:
    for value in graph.inputs:
        memory.root[value] = value, 0
        memory.born[value] = 0
    for step, node in enumerate(nodes, start=1):
        shown = views(node)
        for output in node.outputs:
            if output in shown:
                source, first = shown[output]
                root, start = memory.root[source]
                memory.root[output] = root, start + first
            else:
                memory.root[output] = output, 0
                memory.born[output] = step


def _find_uses(graph: Graph, nodes: Sequence[Node], memory: _Memory) -> None:
    """The last step at which each value is read as such; showing it does not count."""
    for step, node in enumerate(nodes, start=1):
        for value in node.present_inputs:
            if not value.is_const and not _only_shows(node, value, memory):
                memory.used[value] = step
    for value in graph.outputs:
        memory.used[value] = len(nodes) + 1


def _only_shows(node: Node, value: Value, memory: _Memory) -> bool:
    root = memory.root[value][0]
    return all(memory.root[output][0] is root for output in node.outputs)


def _give_blocks(nodes: Sequence[Node], memory: _Memory) -> None:
    """A block for each root; a Concat's inputs join its output's where they can."""
    joined = _joined(nodes, memory)
    for root in reversed(memory.born):  # an output of a Concat before its inputs
        if root in joined:
            output, start = joined[root]
            block, offset = memory.block[output]
            memory.block[root] = block, offset + start
        else:
            memory.block[root] = memory.new_block(), 0
        block = memory.block[root][0]
        memory.alignments[block] = max(memory.alignments[block], alignment_of(root))


def _joined(nodes: Sequence[Node], memory: _Memory) -> dict[Value, tuple[Value, int]]:
    last: dict[Value, int] = {}
    for value, step in memory.used.items():
        if not value.is_const:
            root = memory.root[value][0]
            last[root] = max(last.get(root, 0), step)
    found: dict[Value, tuple[Value, int]] = {}
    for step, node in enumerate(nodes, start=1):
        for value, start in runs_of_concat(node) or ():
            whole = not value.is_const and memory.root[value] == (value, 0)
            once = (
                sum(memory.root[v][0] is value for v in node.present_inputs if not v.is_const) == 1
            )
            if whole and once and last[value] == step and start % alignment_of(value) == 0:
                found[value] = node.output, start
    return found


def _cut(root: Value, runs: Sequence[tuple[int, int, int]], memory: _Memory) -> None:
    """Spans for `root`, cut where parts of it are read for longer than others.

    `runs` has, for each value in its memory that is read: first byte, end, last step.
    """
    block, offset = memory.block[root]
    cuts = sorted({0, _round(root.nbytes), *(c for low, high, _ in runs for c in (low, high))})
    born = memory.born[root]
    memory.pieces[root] = []
    for low, high in zip(cuts, cuts[1:], strict=False):
        last = max((step for a, b, step in runs if a <= low and high <= b), default=born)
        memory.pieces[root].append(len(memory.spans))
        memory.spans.append(Span(block, offset + low, high - low, born, last))


def _scratch(
    nodes: Sequence[Node], loops: Loops, memory: _Memory
) -> dict[Node, tuple[int, int]]:  # fmt: skip
    found = {}
    for step, node in enumerate(nodes, start=1):
        nbytes = scratch_bytes(node, loops)
        if nbytes:
            found[node] = memory.new_block(), nbytes
            memory.spans.append(Span(found[node][0], 0, _round(nbytes), step, step))
    return found


def _relations(
    nodes: Sequence[Node], loops: Loops, memory: _Memory
) -> dict[tuple[int, int], Relation]:  # fmt: skip
    """By (span of an input that dies, span of the output): where the output may lie over it."""
    found: dict[tuple[int, int], Relation] = {}
    for step, node in enumerate(nodes, start=1):
        if memory.root[node.output][0] is not node.output:
            continue
        readers: dict[int, Value | None] = {}  # None: several inputs show these bytes
        for value in dict.fromkeys(v for v in node.present_inputs if not v.is_const):
            for index in memory.covered(value):
                readers[index] = None if index in readers else value
        for index, reader in readers.items():
            rule = None if reader is None else overlap(node, reader, node.output, loops)
            if reader is None or rule is None or memory.spans[index].last != step:
                continue
            limit = memory.home(reader)[1] - memory.home(node.output)[1] - rule.lead
            for own in memory.pieces[node.output]:
                found[index, own] = Relation(limit, rule.step)
    return found
