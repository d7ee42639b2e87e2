"""Which transposes to push through which nodes: a minimum cut.

Given a transpose v = v'.transpose(p), a *region* is every node that could be computed on the other
side of p, found by following the rules of `layout_rules` from value to value, with the permutation
that each value would get. Each node of a region is either flipped or left. Where a flipped node
meets one that is left, a transpose is needed; where it meets a transpose, that one goes. The
cheapest choice is a minimum cut: transposes are cut, at the price of moving their bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.passes.layout_cut import INFINITE, Cut
from edgepack.passes.layout_perm import Perm, identity, inverse, moves_only_ones
from edgepack.passes.layout_rules import Flip, Port, flip

_RESHAPE_COST: Final = 16  # a transpose that moves only dimensions of one becomes a Reshape
_TRANSPOSE_COST: Final = 4096  # what any other one costs beside its bytes

# Whether a graph input or output may be declared transposed: v becomes v' with v = v'.transpose(p).
Absorbs = Callable[[Value, Perm], bool]


@dataclass(slots=True)
class Region:
    """The nodes that may be flipped, and the permutation of each value at their ports."""

    perms: dict[Value, Perm]
    outputs: frozenset[Value]
    flips: dict[Node, Flip] = field(default_factory=dict)
    pinned: set[Node] = field(default_factory=set)  # their constants are reordered

    def join(self, node: Node, found: Flip) -> list[Value] | None:
        """Take `node` in and return the values that are new; None when it conflicts with others."""
        pins = {reorder.node for reorder in found.reorders}
        if node in self.pinned or pins & self.flips.keys() or self.outputs & {*found.reordered}:
            return None
        ports: dict[Value, Perm] = {}
        for value, perm in _ports(node, found):
            if perm != self.perms.get(value, ports.get(value, perm)):
                return None
            ports[value] = perm
        self.flips[node] = found
        self.pinned |= pins
        fresh = [v for v in ports if v not in self.perms and ports[v] != identity(v.rank)]
        self.perms.update((v, ports[v]) for v in fresh)
        return fresh


def _ports(node: Node, found: Flip) -> list[tuple[Value, Perm]]:
    """The computed values around a flipped node, with their permutations, where they have one."""
    inputs = zip(node.present_inputs, found.inputs, strict=True)
    ports = [(v, p) for v, p in inputs if p is not None and v.rank == len(p) and not v.is_const]
    return ports + list(zip(node.outputs, found.outputs, strict=True))


def grow_region(graph: Graph, start: Value, perm: Perm) -> Region:
    """The region around `start`, were it computed as v' with start = v'.transpose(perm)."""
    region = Region({start: perm}, frozenset(graph.outputs))
    queue = deque([start])
    refused: set[Node] = set()
    while queue:
        value = queue.popleft()
        for node, port in _neighbours(value):
            if node in region.flips or node in refused:
                continue
            found = flip(node, port, region.perms[value])
            fresh = None if found is None else region.join(node, found)
            if fresh is None:
                refused.add(node)
            else:
                queue.extend(fresh)
    return region


def _neighbours(value: Value) -> list[tuple[Node, Port]]:
    found = [(user, Port(user.inputs.index(value), True)) for user in value.users]
    if value.producer is not None:
        found.append((value.producer, Port(value.producer.outputs.index(value), False)))
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """What to flip, graph inputs among it, and how much cheaper that makes the transposes."""

    gain: int
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]


def choose(graph: Graph, region: Region, absorbs: Absorbs) -> Choice:
    """The flips that leave the cheapest transposes; of equally good choices the smallest."""
    return _Chooser(graph, region, absorbs).choose()


class _Chooser:
    """Builds the network: the source's side is flipped, the sink's is left."""

    def __init__(self, graph: Graph, region: Region, absorbs: Absorbs) -> None:
        self.graph, self.region, self.absorbs = graph, region, absorbs
        self.cut = Cut()
        self.vertex = {node: self.cut.vertex() for node in region.flips}
        self.input_vertex: dict[Value, int] = {}
        self.cost_now = 0

    def choose(self) -> Choice:
        for value, perm in self.region.perms.items():
            self._add_value(value, perm)
        self._add_uncounted_inputs()
        cost, flipped = self.cut.solve()
        return Choice(
            self.cost_now - cost,
            tuple(node for node, vertex in self.vertex.items() if vertex in flipped),
            tuple(value for value, vertex in self.input_vertex.items() if vertex in flipped),
        )

    def _add_value(self, value: Value, perm: Perm) -> None:
        price = transpose_cost(value, perm)
        maker = self._maker(value, perm)
        users = [u for u in (self._user(node, perm) for node in value.users) if u is not None]
        if self.graph.is_output(value) and not self.absorbs(value, perm):
            users.append(Cut.SINK)
        if any(u == Cut.SOURCE for u in users) and maker != Cut.SOURCE:
            self.cost_now += price
        if any(u != Cut.SOURCE for u in users) and maker == Cut.SOURCE:
            self.cost_now += price
        self._tie(maker, users, price)

    def _tie(self, maker: int, users: list[int], price: int) -> None:
        """One transpose serves all users on the other side: an AND and an OR of the users."""
        if not users:
            return
        both, either = self.cut.vertex(), self.cut.vertex()
        self.cut.edge(maker, both, price)
        self.cut.edge(either, maker, price)
        for user in users:
            self.cut.edge(both, user, INFINITE)
            self.cut.edge(user, either, INFINITE)

    def _maker(self, value: Value, perm: Perm) -> int:
        node = value.producer
        if node in self.vertex:
            return self.vertex[node]
        if node is None:
            return self._input(value, perm)
        if node.op != "Transpose":
            return Cut.SINK
        # One Transpose makes either form, unless its own input is the other form already.
        return Cut.SOURCE if node.attrs["perm"] == perm else self.cut.vertex()

    def _input(self, value: Value, perm: Perm) -> int:
        if not self.absorbs(value, perm):
            return Cut.SINK
        return self.input_vertex.setdefault(value, self.cut.vertex())

    def _user(self, node: Node, perm: Perm) -> int | None:
        if node in self.vertex:
            return self.vertex[node]
        if node.op != "Transpose":
            return Cut.SINK
        return Cut.SOURCE if node.attrs["perm"] == inverse(perm) else None

    def _add_uncounted_inputs(self) -> None:
        """Charge for operands of lower rank: a Reshape each, when their reader is flipped."""
        for node, found in self.region.flips.items():
            for value, perm in zip(node.present_inputs, found.inputs, strict=True):
                if perm is not None and value.rank < len(perm) and not value.is_const:
                    self.cut.edge(self.vertex[node], Cut.SINK, _RESHAPE_COST)


def transpose_cost(value: Value, perm: Perm) -> int:
    """What a transpose of `value` by `perm` or its inverse costs."""
    if perm == identity(len(perm)):
        return 0
    if moves_only_ones(value.shape, inverse(perm)):
        return _RESHAPE_COST
    return _TRANSPOSE_COST + value.nbytes
