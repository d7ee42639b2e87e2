"""Which transposes to push through which nodes: a minimum cut.

Given a transpose v = v'.transpose(p), a region is every node that could be computed on the other
side of p by the rules of `layout_rules`, with the permutation that each value would get. Each of
its nodes is either flipped or left. Where a flipped node
meets one that is left, a transpose is needed; where it meets a transpose, that one goes. The
cheapest choice is a minimum cut: transposes are cut, at the price of moving their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.passes.layout_cut import Cut
from edgepack.passes.layout_perm import (
    Perm,
    Shape,
    compose,
    identity,
    inverse,
    moves_only_ones,
    permuted,
)
from edgepack.passes.layout_rules import Flip, flip
from edgepack.passes.regions import Port, Region

_RESHAPE_COST: Final = 16  # a transpose that moves only dimensions of one becomes a Reshape
_TRANSPOSE_COST: Final = 4096  # what any other one costs beside its bytes

# Whether a graph input or output may be declared transposed: v becomes v' with v = v'.transpose(p).
Absorbs = Callable[[Value, Perm], bool]


class FlipRegion(Region[Perm, Flip]):
    """The nodes that may be flipped; those whose constants are reordered must stay."""

    def __init__(self, start: Value, perm: Perm, outputs: Iterable[Value]) -> None:
        super().__init__(start, perm)
        self.outputs = frozenset(outputs)
        self.pinned: set[Node] = set()  # their constants are reordered

    def rule(self, node: Node, port: Port, form: Perm) -> Flip | None:
        """The node on the other side."""
        return flip(node, port, form)

    def join(self, node: Node, found: Flip) -> list[Value] | None:
        """See `Region`."""
        pins = {reorder.node for reorder in found.reorders}
        if node in self.pinned or pins & self.changes.keys() or self.outputs & {*found.reordered}:
            return None
        ports: dict[Value, Perm] = {}
        for value, perm in _ports(node, found):
            if perm != self.forms.get(value, ports.get(value, perm)):
                return None
            ports[value] = perm
        self.changes[node] = found
        self.pinned |= pins
        fresh = [v for v in ports if v not in self.forms and ports[v] != identity(v.rank)]
        self.forms.update((v, ports[v]) for v in fresh)
        return fresh


def _ports(node: Node, found: Flip) -> list[tuple[Value, Perm]]:
    """The computed values around a flipped node, with their permutations, where they have one."""
    inputs = zip(node.present_inputs, found.inputs, strict=True)
    ports = [(v, p) for v, p in inputs if p is not None and v.rank == len(p) and not v.is_const]
    return ports + list(zip(node.outputs, found.outputs, strict=True))


@dataclass(frozen=True, slots=True)
class Choice:
    """What to flip, graph inputs among it, and how much cheaper that makes the transposes."""

    gain: int
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]


def choose(graph: Graph, region: Region[Perm, Flip], absorbs: Absorbs) -> Choice:
    """The flips that leave the cheapest transposes; of equally good choices the smallest."""
    return _Chooser(graph, region, absorbs).choose()


class _Chooser:
    """Builds the network: the source's side is flipped, the sink's is left."""

    def __init__(self, graph: Graph, region: Region[Perm, Flip], absorbs: Absorbs) -> None:
        self.graph, self.region, self.absorbs = graph, region, absorbs
        self.cut = Cut()
        self.vertex = {node: self.cut.vertex() for node in region.changes}
        self.input_vertex: dict[Value, int] = {}
        self.cost_now = 0

    def choose(self) -> Choice:
        for value, perm in self.region.forms.items():
            self._add_value(value, perm)
        self._add_uncounted_inputs()
        cost, flipped = self.cut.solve()
        return Choice(
            self.cost_now - cost,
            tuple(node for node, vertex in self.vertex.items() if vertex in flipped),
            tuple(value for value, vertex in self.input_vertex.items() if vertex in flipped),
        )

    def _add_value(self, value: Value, perm: Perm) -> None:
        maker, kept, turned = self._maker(value, perm)
        users = [
            u for u in (self._user(node, maker, perm) for node in value.users) if u is not None
        ]
        if self.graph.is_output(value) and not self._output_may_turn(value, perm):
            users.append(Cut.SINK)
        if maker != Cut.SOURCE and Cut.SOURCE in users:
            self.cost_now += turned
        if maker == Cut.SOURCE and any(u != Cut.SOURCE for u in users):
            self.cost_now += kept
        self.cut.tie(maker, users, kept, turned)

    def _output_may_turn(self, value: Value, perm: Perm) -> bool:
        maker = value.producer
        if maker is not None and maker.op == "Transpose":
            return self.absorbs(value, perm) and can_be_output(self.graph, maker.input(0))
        return self.absorbs(value, perm) and maker is not None

    def _either(self, vertex: int, left: int, flipped: int) -> None:
        """Charge `left` or `flipped`, by the side that `vertex` is on."""
        self.cut.edge(Cut.SOURCE, vertex, left)
        self.cut.edge(vertex, Cut.SINK, flipped)
        self.cost_now += flipped if vertex == Cut.SOURCE else left

    def _maker(self, value: Value, perm: Perm) -> tuple[int, int, int]:
        """The vertex that makes `value`, what v costs when it makes v', and v' when it makes v."""
        node, price = value.producer, transpose_cost(value.shape, value.nbytes, perm)
        if node in self.vertex:
            return self.vertex[node], price, price
        if node is None:
            return self._input(value, perm), price, price
        if node.op != "Transpose":
            return Cut.SINK, price, price
        if node.attrs["perm"] == perm:
            return Cut.SOURCE, price, price
        # One transpose makes either form.
        first, back = node.attrs["perm"], inverse(perm)
        kept = transpose_cost(value.shape, value.nbytes, first)
        other = permuted(value.shape, back)
        turned = transpose_cost(other, value.nbytes, compose(first, back))
        vertex = self.cut.vertex()
        self._either(vertex, kept, turned)
        return vertex, kept, turned

    def _input(self, value: Value, perm: Perm) -> int:
        if not self.absorbs(value, perm):
            return Cut.SINK
        return self.input_vertex.setdefault(value, self.cut.vertex())

    def _user(self, node: Node, maker: int, perm: Perm) -> int | None:
        if node in self.vertex:
            return self.vertex[node]
        if node.op != "Transpose":
            return Cut.SINK
        then = node.attrs["perm"]
        if then == inverse(perm):
            return Cut.SOURCE
        # One transpose remains, whichever form it reads.
        shape, nbytes = node.output.shape, node.output.nbytes
        left = transpose_cost(shape, nbytes, then)
        self._either(maker, left, transpose_cost(shape, nbytes, compose(perm, then)))
        return None

    def _add_uncounted_inputs(self) -> None:
        """Charge for operands of lower rank: a Reshape each, when their reader is flipped."""
        for node, found in self.region.changes.items():
            for value, perm in zip(node.present_inputs, found.inputs, strict=True):
                if perm is not None and value.rank < len(perm) and not value.is_const:
                    self.cut.edge(self.vertex[node], Cut.SINK, _RESHAPE_COST)


def can_be_output(graph: Graph, value: Value) -> bool:
    """Whether `value` is computed and not an output already."""
    return value.producer is not None and not graph.is_output(value)


def transpose_cost(made: Shape, nbytes: int, perm: Perm) -> int:
    """What a transpose by `perm` costs that makes `nbytes` bytes in the shape `made`."""
    if perm == identity(len(perm)):
        return 0
    if moves_only_ones(made, inverse(perm)):
        return _RESHAPE_COST
    return _TRANSPOSE_COST + nbytes
