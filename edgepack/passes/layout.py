"""The layout pass: every spatial operator in one layout, with as few transposes as can be.

Spatial operators of the other layout are put between transposes; `layout_region` then finds which
nodes to compute on the other side of them, `layout_rules` says how each operator changes by that,
and what meets cancels. A network of convolutions ends with no transpose at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np

from edgepack.ir import Graph, Node, Value
from edgepack.ir.shapes import NCHW, NHWC
from edgepack.passes.constants import constant_like, fold_constants
from edgepack.passes.duplicates import eliminate_common_subexpressions
from edgepack.passes.identities import merge_reshapes, merge_transposes, remove_identities
from edgepack.passes.layout_perm import (
    Perm,
    channels_first,
    channels_last,
    compose,
    identity,
    inverse,
    moved_quant,
    moves_only_ones,
)
from edgepack.passes.layout_region import (
    Absorbs,
    FlipRegion,
    can_be_output,
    choose,
    transpose_cost,
)
from edgepack.passes.layout_rules import Flip, Reorder
from edgepack.passes.manager import run_pass, run_passes, run_to_fixpoint
from edgepack.passes.regions import Region, Search

_INTO: Final = {NHWC: channels_last, NCHW: channels_first}
_OUT_OF: Final = {NHWC: channels_first, NCHW: channels_last}
_IMAGE_RANKS: Final = (3, 4, 5)


def to_layout(graph: Graph, layout: str, *, keep_io: bool = False) -> int:
    """Bring every spatial operator into `layout` ("NHWC" or "NCHW"); return the rewrites.

    Unless `keep_io`, a transpose that moves the channel dimension of a graph input or output is
    taken out and the input declared transposed; `graph.source.input_perms` and `output_perms`
    record it. With `keep_io` inputs and outputs keep their shapes.
    """
    count = run_passes(graph, (Graph.remove_dead, partial(wrap_spatial, layout=layout)))
    count += sink_transposes(graph, _absorber(layout, keep_io=keep_io))
    ones = (turn_transposes_of_ones_to_reshapes, merge_reshapes)
    return count + run_passes(graph, (*ones, partial(remove_identities, ops=("Reshape",))))


def choose_io(graph: Graph, layout: str) -> int:
    """Declare the images that go in and out in `layout`, compute in NHWC; return the rewrites.

    An image is what spatial operators want in `layout` once they are in it. Outputs that no
    transpose makes are left. Inputs and outputs that changed are recorded as in `to_layout`.
    """
    count = to_layout(graph, layout)
    count += run_pass(graph, partial(declare_images, perm_of=_INTO[layout]))
    return count + to_layout(graph, NHWC, keep_io=True)


def declare_images(graph: Graph, perm_of: Callable[[int], Perm]) -> int:
    """Declare the inputs transposed that a transpose by `perm_of(rank)` reads; return how many."""
    images = [
        v
        for v in graph.inputs
        if v.rank in _IMAGE_RANKS
        and any(n.op == "Transpose" and n.attrs["perm"] == perm_of(v.rank) for n in v.users)
    ]
    for value in images:
        _declare_input(graph, value, perm_of(value.rank))
    return len(images)


def restore_io(graph: Graph) -> int:
    """Declare inputs and outputs in the layout of the source file again; return how many changed.

    Transposes at the inputs and outputs make up for it: `sink_transposes` or `to_layout` with
    `keep_io` takes them further in.
    """
    perms = graph.source.input_perms
    changed = [v for v in graph.inputs if v.name in perms]
    for value in changed:
        _declare_input(graph, value, inverse(perms[value.name]))
    back = graph.source.output_perms
    outputs = [v for v in dict.fromkeys(graph.outputs) if v.name in back]
    for value in outputs:
        _restore_output(graph, value, inverse(back.pop(value.name)))
    return len(changed) + len(outputs)


def turn_transposes_of_ones_to_reshapes(graph: Graph) -> int:
    """Transpose that moves only dimensions of one leaves memory as it is: a Reshape."""
    count = 0
    for node in graph.nodes_of("Transpose"):
        if moves_only_ones(node.input(0).shape, node.attrs["perm"]):
            node.op, node.attrs = "Reshape", {"shape": node.output.shape}
            count += 1
    return count


def sink_transposes(graph: Graph, absorbs: Absorbs) -> int:
    """Push transposes through nodes wherever that makes them cheaper; return the rewrites.

    `absorbs(value, perm)` says whether a graph input or output may be declared as v' instead, with
    v = v'.transpose(perm).
    """
    search = _Transposes(graph, absorbs)
    return search.tidy() + search.run()


class _Transposes(Search[Perm, Flip]):
    """Transposes, priced by the bytes that they move."""

    def __init__(self, graph: Graph, absorbs: Absorbs) -> None:
        super().__init__(graph)
        self.absorbs = absorbs

    def price(self) -> int:
        nodes = self.graph.nodes_of("Transpose")
        return sum(transpose_cost(n.output.shape, n.output.nbytes, n.attrs["perm"]) for n in nodes)

    def seeds(self) -> Iterator[tuple[Value, Perm]]:
        """Both sides of every transpose, each with the permutation that would free it of it."""
        for node in self.graph.nodes_of("Transpose"):
            source, perm = node.input(0), node.attrs["perm"]
            yield node.output, perm
            yield source, inverse(perm)

    def region(self, start: Value, form: Perm) -> FlipRegion:
        return FlipRegion(start, form, self.graph.outputs)

    def surroundings(self, region: Region[Perm, Flip]) -> set[Value]:
        """The region's values, and those behind the transposes around it."""
        values = set(region.forms)
        for value in region.forms:
            values.update(node.output for node in value.users if node.op == "Transpose")
            if value.producer is not None and value.producer.op == "Transpose":
                values.add(value.producer.input(0))
        return values

    def change(self, region: Region[Perm, Flip]) -> int:
        choice = choose(self.graph, region, self.absorbs)
        if choice.gain <= 0:
            return 0
        for node in choice.nodes:
            _flip_node(self.graph, node, region.changes[node])
        for source in choice.inputs:
            _declare_input(self.graph, source, inverse(region.forms[source]))
        return len(choice.nodes) + len(choice.inputs)

    def tidy(self) -> int:
        steps = (
            partial(eliminate_common_subexpressions, ops=("Transpose",)),
            partial(fold_constants, ops=("Transpose", "Reshape")),
            merge_transposes,
            partial(remove_identities, ops=("Transpose",)),
            partial(_absorb_outputs, absorbs=self.absorbs),
        )
        return run_to_fixpoint(self.graph, steps)


def _absorber(layout: str, *, keep_io: bool) -> Absorbs:
    def absorbs(value: Value, perm: Perm) -> bool:
        return not keep_io and len(perm) in _IMAGE_RANKS and perm == _OUT_OF[layout](len(perm))

    return absorbs


# -- flipping --------------------------------------------------------------------------------------


def wrap_spatial(graph: Graph, layout: str) -> int:
    """Put transposes around every spatial operator of another layout."""
    others = [n for n in graph.nodes if n.attrs.get("layout", layout) != layout]
    for node in others:
        rank = node.output.rank
        into, out_of = _INTO[layout](rank), _OUT_OF[layout](rank)
        rest = (None,) * (len(node.present_inputs) - 1)
        attrs = {**node.attrs, "layout": layout}
        _flip_node(graph, node, Flip((inverse(into), *rest), (out_of,), attrs))
    return len(others)


def _flip_node(graph: Graph, node: Node, found: Flip) -> None:
    """Compute `node` on the other side: transposes before and after it make up for that."""
    for reorder in found.reorders:
        _reorder(graph, reorder)
    ports = iter(found.inputs)
    inputs = [None if v is None else _transposed_in(graph, v, next(ports)) for v in node.inputs]
    outputs = graph.add_multi(node.op, inputs, found.attrs, name=node.output.name)
    for old, new, perm in zip(node.outputs, outputs, found.outputs, strict=True):
        _take_over(graph, old, new, perm)
    if outputs[0].producer is not None:
        outputs[0].producer.name = node.name
    graph.remove(node)


def _take_over(graph: Graph, old: Value, new: Value, perm: Perm) -> None:
    """Let `new`, transposed by `perm`, serve the readers of `old`; it takes the name as well."""
    new.quant = moved_quant(old.quant, inverse(perm))
    if not graph.is_output(old):
        old.name, new.name = new.name, old.name
    back = new
    if perm != identity(len(perm)):
        back = graph.add("Transpose", [new], {"perm": perm}, name=_moved_name(new))
        back.quant = old.quant
    graph.replace(old, back)


def _transposed_in(graph: Graph, value: Value, perm: Perm | None) -> Value:
    """v' with value = v'.transpose(perm), reshaped to the full rank where `value` lacks some."""
    if perm is None or perm == identity(value.rank):
        return value
    wide = value
    if value.rank < len(perm):
        shape = (1,) * (len(perm) - value.rank) + value.shape
        wide = _added(graph, "Reshape", value, {"shape": shape})
    return _added(graph, "Transpose", wide, {"perm": inverse(perm)})


def _added(graph: Graph, op: str, value: Value, attrs: dict[str, Perm]) -> Value:
    moved = graph.add(op, [value], attrs, name=_moved_name(value))
    moved.dtype = value.dtype
    moved.quant = value.quant
    if value.quant is not None and value.quant.axis is not None:
        more = moved.rank - value.rank
        perm = attrs.get("perm", identity(moved.rank))
        moved.quant = moved_quant(value.quant.moved(value.quant.axis % value.rank + more), perm)
    return moved


def _moved_name(value: Value) -> str:
    while value.producer is not None and value.producer.op in ("Transpose", "Reshape"):
        value = value.producer.input(0)
    return f"{value.name}_moved"


def _reorder(graph: Graph, reorder: Reorder) -> None:
    """Give the node a constant in the new order."""
    old = reorder.node.input(reorder.index)
    axis, size = reorder.axis % old.rank, len(reorder.order)
    order = np.arange(old.shape[axis])
    order[reorder.offset : reorder.offset + size] = reorder.offset + reorder.order
    quant = old.quant
    if quant is not None and quant.axis is not None and quant.axis % old.rank == axis:
        quant = type(quant)(quant.scale[order], quant.zero_point[order], axis)
    new = constant_like(graph, old, old.const.take(order, axis), quant)
    reorder.node.set_input(reorder.index, new)


# -- graph inputs and outputs ----------------------------------------------------------------------


def _declare_input(graph: Graph, old: Value, perm: Perm) -> None:
    """Declare the input as old.transpose(perm), and transpose it back for its readers."""
    perms = graph.source.input_perms
    from_file = compose(perms.pop(old.name, identity(len(perm))), perm)
    if from_file != identity(len(perm)):
        perms[old.name] = from_file
    shape = tuple(old.shape[p] for p in perm)
    new = Value(old.name, shape, old.dtype, moved_quant(old.quant, perm))
    old.name = graph.fresh(f"{old.name}_transposed")
    graph.inputs = [new if v is old else v for v in graph.inputs]
    back = graph.add("Transpose", [new], {"perm": inverse(perm)}, name=old.name)
    back.quant = old.quant
    graph.replace(old, back)


def _absorb_outputs(graph: Graph, absorbs: Absorbs) -> int:
    """Let outputs that are made by a transpose be what it reads, where that may be."""
    count = 0
    for value in dict.fromkeys(graph.outputs):  # one that is listed twice turns once
        node = value.producer
        if node is None or node.op != "Transpose" or not absorbs(value, node.attrs["perm"]):
            continue
        source = node.input(0)
        if value.users or not can_be_output(graph, source):
            continue
        _record_output(graph, value, source, inverse(node.attrs["perm"]))
        graph.remove(node)
        count += 1
    return count


def _record_output(graph: Graph, old: Value, new: Value, perm: Perm) -> None:
    """Make `new`, which is old.transpose(perm), the output in the place of `old`."""
    name = old.name
    perms = graph.source.output_perms
    from_file = compose(perms.pop(name, identity(len(perm))), perm)
    old.name, new.name = graph.fresh(f"{name}_transposed"), name
    if from_file != identity(len(perm)):
        perms[name] = from_file
    graph.outputs = [new if v is old else v for v in graph.outputs]


def _restore_output(graph: Graph, old: Value, perm: Perm) -> None:
    name = old.name
    new = graph.add("Transpose", [old], {"perm": perm}, name=name)
    new.quant = moved_quant(old.quant, perm)
    old.name, new.name = new.name, name
    graph.outputs = [new if v is old else v for v in graph.outputs]
