"""Reshapes that only insert or drop dimensions of 1, moved until they cancel: a minimum cut.

A network of 1-D convolutions is read as Reshape [N, L, C] to [N, 1, L, C], Conv2d, Reshape back.
Between the Reshapes stand operators that could as well compute with four dimensions: given
v = Reshape(v'), a region is every node that could, by the rules of `unit_rules`. Each of its nodes
is computed in the other form or left; where a computed one meets one that is left, a Reshape is
needed, and where it meets a Reshape, that one goes. The fewest Reshapes are a minimum cut, as in
`layout_region`. Of equally few, those are better that do not part a layer from an activation, a
scale or a Pad that could be fused into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgepack.ir import Graph, Node, Value
from edgepack.passes.activations import CLAMPS
from edgepack.passes.affine import ARITHMETIC, WEIGHTED
from edgepack.passes.constants import constant_like
from edgepack.passes.identities import merge_reshapes, remove_identities
from edgepack.passes.layout_cut import Cut
from edgepack.passes.manager import run_passes
from edgepack.passes.match import ACTIVATED, live, take_over
from edgepack.passes.regions import Port, Region, Search
from edgepack.passes.unit_rules import Change, Units, align, change, reformed

_RESHAPE_COST: Final = 2
_PARTING_COST: Final = 1  # of a Reshape that stands between a layer and what fuses into it
_SCALES: Final = ("BatchNorm", *ARITHMETIC)
_AFTER: Final = {  # what fuses into a layer before it
    **dict.fromkeys(ACTIVATED, CLAMPS), **dict.fromkeys(WEIGHTED, (*CLAMPS, *_SCALES))
}  # fmt: skip


def cancel_unit_reshapes(graph: Graph) -> int:
    """Compute nodes with or without dimensions of 1 so that the fewest Reshapes remain.

    f(Reshape(x)) = Reshape(f'(x)), with constants, axes and parameters for the other rank. Returns
    the rewrites.
    """
    return _UnitReshapes(graph).run()


class _UnitReshapes(Search[Units, Change]):
    """Reshapes of ones, priced by number and by what they part."""

    def price(self) -> int:
        nodes = [n for n in self.graph.nodes_of("Reshape") if _only_moves_ones(n)]
        return sum(_RESHAPE_COST + _PARTING_COST * _parts(self.graph, n) for n in nodes)

    def seeds(self) -> Iterator[tuple[Value, Units]]:
        """Both sides of every Reshape of ones, each with the form that would spare it."""
        for node in live(self.graph, "Reshape"):
            x, y = node.input(0), node.output
            if _only_moves_ones(node):
                for value, other in ((y, x), (x, y)):
                    units = align(value.shape, other.shape)
                    if units is not None:
                        yield value, units

    def region(self, start: Value, form: Units) -> Region[Units, Change]:
        return _UnitRegion(start, form)

    def surroundings(self, region: Region[Units, Change]) -> set[Value]:
        """The region's values, what its nodes read, and what is behind the Reshapes around it."""
        values = set(region.forms)
        for node in region.changes:
            values.update(v for v in node.present_inputs if not v.is_const)
        for value in region.forms:
            values.update(node.output for node in value.users if node.op == "Reshape")
            if value.producer is not None and value.producer.op == "Reshape":
                values.add(value.producer.input(0))
        return values

    def change(self, region: Region[Units, Change]) -> int:
        chosen = _Chooser(self.graph, region).choose()
        for node in chosen:
            _apply(self.graph, node, region.changes[node])
        return len(chosen)

    def tidy(self) -> int:
        return run_passes(self.graph, (merge_reshapes, remove_identities))


def _only_moves_ones(node: Node) -> bool:
    x, y = node.input(0), node.output
    same = x.quant == y.quant and (x.quant is None or x.quant.axis is None)
    long = [[d for d in v.shape if d != 1] for v in (x, y)]
    return same and not x.is_const and long[0] == long[1]


# -- the region ------------------------------------------------------------------------------------


class _UnitRegion(Region[Units, Change]):
    """The nodes that may change."""

    def __init__(self, start: Value, form: Units) -> None:
        super().__init__(start, form)
        self.fixed: set[Value] = set()  # read or made in its own shape by a change

    def rule(self, node: Node, port: Port, form: Units) -> Change | None:
        """The node in the other form."""
        return change(node, port, form)

    def join(self, node: Node, found: Change) -> list[Value] | None:
        """See `Region`."""
        ports: dict[Value, Units] = {}
        fixed = set()
        for value, units in _ports(node, found):
            shape = value.shape if units is None else reformed(value.shape, units)
            if value.quant is not None and value.quant.axis is not None:
                return None
            known = self.forms.get(value, ports.get(value))
            if known is not None and reformed(value.shape, known) != shape:
                return None
            if units is None or shape == value.shape:
                fixed.add(value)
            elif known is None:
                ports[value] = units
        if ports.keys() & (self.fixed | fixed):
            return None
        self.changes[node] = found
        self.forms |= ports
        self.fixed |= fixed
        return list(ports)


def _ports(node: Node, found: Change) -> list[tuple[Value, Units | None]]:
    inputs = zip(node.present_inputs, found.inputs, strict=True)
    ports: list[tuple[Value, Units | None]] = [(v, u) for v, u in inputs if not v.is_const]
    return ports + list(zip(node.outputs, found.outputs, strict=True))


# -- the choice ------------------------------------------------------------------------------------


class _Chooser:
    """Builds the network: the source's side is changed, the sink's is left."""

    def __init__(self, graph: Graph, region: Region[Units, Change]) -> None:
        self.graph, self.region = graph, region
        self.cut = Cut()
        self.vertex = {node: self.cut.vertex() for node in region.changes}
        self.cost_now = 0

    def choose(self) -> list[Node]:
        """The nodes to change; none where nothing is gained."""
        for value, units in self.region.forms.items():
            self._add_value(value, reformed(value.shape, units))
        cost, changed = self.cut.solve()
        if cost >= self.cost_now:
            return []
        return [node for node, vertex in self.vertex.items() if vertex in changed]

    def _add_value(self, value: Value, shape: tuple[int, ...]) -> None:
        maker = self._maker(value, shape)
        users = [u for n in value.users if (u := self._user(n, shape)) is not None]
        if self.graph.is_output(value):
            users.append(Cut.SINK)
        kept = turned = _RESHAPE_COST
        if maker == Cut.SOURCE and value.producer is not None:
            kept += _PARTING_COST * _parts(self.graph, value.producer)
            self.cost_now += kept * any(u != Cut.SOURCE for u in users)
        elif Cut.SOURCE in users:
            turned += _PARTING_COST * any(
                _parts(self.graph, n) for n in value.users if n.op == "Reshape"
            )
            self.cost_now += turned
        self.cut.tie(maker, users, kept, turned)

    def _maker(self, value: Value, shape: tuple[int, ...]) -> int:
        node = value.producer
        if node in self.vertex:
            return self.vertex[node]
        if node is None or node.op != "Reshape" or node.input(0).quant != value.quant:
            return Cut.SINK
        # any other Reshape makes either form
        return Cut.SOURCE if node.input(0).shape == shape else self.cut.vertex()

    def _user(self, node: Node, shape: tuple[int, ...]) -> int | None:
        if node in self.vertex:
            return self.vertex[node]
        if node.op != "Reshape" or node.input(0).quant != node.output.quant:
            return Cut.SINK
        # any other Reshape reads either form
        return Cut.SOURCE if node.output.shape == shape else None


def _parts(graph: Graph, reshape: Node) -> bool:
    """Whether a Reshape stands between a layer and an operator that could be fused into it."""
    maker = reshape.input(0).producer
    user = graph.only_user(reshape.output)
    if maker is None or user is None or graph.only_user(reshape.input(0)) is None:
        return False
    if _is_step(user, _AFTER.get(maker.op, ())):
        return True
    before = user.op in WEIGHTED and user.input(0) is reshape.output
    return before and _is_step(maker, ("Pad", *_SCALES))


def _is_step(node: Node, ops: tuple[str, ...]) -> bool:
    """Whether a node is one of `ops` and all its inputs but one are constants."""
    return node.op in ops and sum(not v.is_const for v in node.present_inputs) == 1


# -- the change ------------------------------------------------------------------------------------


def _apply(graph: Graph, node: Node, found: Change) -> None:
    forms = iter(found.inputs)
    inputs = [None if v is None else _in_form(graph, v, next(forms)) for v in node.inputs]
    outputs = graph.add_multi(node.op, inputs, found.attrs, name=node.name)
    for old, new in zip(node.outputs, outputs, strict=True):
        new.dtype, new.quant = old.dtype, old.quant
        if new.shape == old.shape:
            take_over(graph, old, new)
            continue
        if not graph.is_output(old):
            old.name, new.name = new.name, old.name
        back = _reshape(graph, new, old.shape)
        graph.replace(old, back)
    if node in graph:
        graph.remove(node)


def _in_form(graph: Graph, value: Value, units: Units | None) -> Value:
    shape = value.shape if units is None else reformed(value.shape, units)
    if units is None or shape == value.shape:
        return value
    if value.data is None:
        return _reshape(graph, value, shape)
    quant = value.quant
    if quant is not None and quant.axis is not None:
        axis = quant.axis % value.rank
        quant = quant.moved(units.index(axis) if axis in units else None)
    return constant_like(graph, value, value.data.reshape(shape), quant)


def _reshape(graph: Graph, value: Value, shape: tuple[int, ...]) -> Value:
    for user in value.users:
        if user.op == "Reshape" and user.output.shape == shape and user.output.quant == value.quant:
            return user.output
    new = graph.add("Reshape", [value], {"shape": shape}, name=f"{value.name}/reshape")
    new.dtype, new.quant = value.dtype, value.quant
    return new
