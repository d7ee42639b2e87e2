"""The graph that owns nodes, inputs and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgepack.errors import InternalError
from edgepack.ir.dtypes import Array, DType
from edgepack.ir.ops import complete_attrs, infer
from edgepack.ir.quant import QuantParams
from edgepack.ir.value import Attr, Node, Value

Perm = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChannelMoments:
    """Mean and standard deviation of each channel of a value, float64 [C]."""

    mean: Array
    deviation: Array


@dataclass(frozen=True, slots=True)
class Stream:
    """How a graph goes through a longer input: a few new frames in each call.

    `axis` of its first input is time, a whole input has `window` frames. The last `states` inputs
    are the last outputs of the call before, and begin as zeros. `results` has the axis of time of
    each other output, None where one has no time.
    """

    axis: int
    window: int
    states: int
    results: tuple[int | None, ...]


@dataclass(slots=True)
class Source:
    """Where a graph came from: what report.json says, and the layouts its inputs were written in.

    `input_perms[name]` is the transpose that takes an input of the *file* to the input of the graph
    (NCHW to NHWC is (0, 2, 3, 1)); inputs that were not touched are absent. `output_perms[name]`
    likewise takes an output of the file to the output of the graph.
    `batch_moments[name]` is what BatchNorm said of a value (of a layer's output with a fused
    activation: before that). `stream` says how inputs are cut up, None where they come whole.
    """

    path: str = ""
    format: str = ""
    sha256: str = ""
    input_perms: dict[str, Perm] = field(default_factory=dict)
    output_perms: dict[str, Perm] = field(default_factory=dict)
    batch_moments: dict[str, ChannelMoments] = field(default_factory=dict)
    stream: Stream | None = None

    def divide_moments(self, name: str, divisor: Array) -> None:
        """Keep what BatchNorm said of a value right when its channels are divided, by [C]."""
        known = self.batch_moments.get(name)
        if known is not None:
            divided = ChannelMoments(known.mean / divisor, known.deviation / divisor)
            self.batch_moments[name] = divided


class Graph:
    """Nodes, inputs and outputs; the order of `nodes` is topological whenever no pass is running.

    While a pass runs it may append anywhere; `sort` (called by the pass manager) restores the
    order, keeping the old one where it can.
    """

    def __init__(self, name: str = "model") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.source = Source()
        self._nodes: dict[Node, None] = {}
        self._names: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Graph({self.name}, {len(self._nodes)} nodes)"

    # -- reading ---------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Node]:
        """A list made at the call, so a pass may change the graph while it walks over it."""
        return list(self._nodes)

    def nodes_of(self, *ops: str) -> list[Node]:
        """The nodes of these operators, in order."""
        return [node for node in self._nodes if node.op in ops]

    def __contains__(self, node: Node) -> bool:
        return node in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def values(self) -> Iterator[Value]:
        """Every value once: inputs, then each node's constants and outputs in order."""
        seen: set[int] = set()
        for value in self._all_mentions():
            if id(value) not in seen:
                seen.add(id(value))
                yield value

    def _all_mentions(self) -> Iterator[Value]:
        yield from self.inputs
        for node in self._nodes:
            yield from node.present_inputs
            yield from node.outputs
        yield from self.outputs

    def constants(self) -> list[Value]:
        """Every constant once, in the order of first use."""
        return [value for value in self.values() if value.is_const]

    def is_output(self, value: Value) -> bool:
        """Whether `value` is an output of the graph."""
        return any(value is out for out in self.outputs)

    def only_user(self, value: Value) -> Node | None:
        """The one node that reads `value`; None when several do or when it is an output."""
        if len(value.users) != 1 or self.is_output(value):
            return None
        return next(iter(value.users))

    # -- building --------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        """A value name that this graph has not handed out before."""
        if not self._names:
            self._names = {value.name: 0 for value in self.values()}
        name = stem or "value"
        while name in self._names:
            self._names[stem] = self._names.get(stem, 0) + 1
            name = f"{stem}_{self._names[stem]}"
        self._names[name] = 0
        return name

    def add_input(self, name: str, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> Value:
        """A new input at the end of `inputs`."""
        value = Value(self.fresh(name), tuple(shape), dtype)
        self.inputs.append(value)
        return value

    def constant(self, data: Array, name: str = "const", quant: QuantParams | None = None) -> Value:
        """A new constant value that holds `data` (not copied: never change it afterwards)."""
        array = np.asarray(data)
        return Value(self.fresh(name), array.shape, DType.of(array), quant, array)

    def add_node(self, node: Node) -> Node:
        """Take a node made by hand; its outputs' shapes must be right already."""
        self._nodes[node] = None
        return node

    def add(
        self, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, Attr] | None = None,
        *, name: str = "",
    ) -> Value:  # fmt: skip
        """Append a node with one output and return that output; shape and dtype by the op table.

        `name` names both; without it the op's name is used, made unique.
        """
        return self.add_multi(op, inputs, attrs, name=name)[0]

    def add_multi(
        self, op: str, inputs: Sequence[Value | None], attrs: Mapping[str, Attr] | None = None,
        *, name: str = "",
    ) -> tuple[Value, ...]:  # fmt: skip
        """Append a node whose number of outputs the op table decides, and return them."""
        full = complete_attrs(op, attrs or {})
        specs = infer(op, inputs, full)
        stem = name or op.lower()
        outputs = [Value(self.fresh(stem), shape, dtype) for shape, dtype in specs]
        self.add_node(Node(op, inputs, outputs, full, name or outputs[0].name))
        return tuple(outputs)

    # -- changing --------------------------------------------------------------------------------

    def replace(self, old: Value, new: Value) -> None:
        """Let every reader of `old`, and the outputs of the graph, take `new` instead."""
        for node in list(old.users):
            node.set_inputs([new if v is old else v for v in node.inputs])
        if self.is_output(old):
            self._replace_output(old, new)

    def _replace_output(self, old: Value, new: Value) -> None:
        # An output keeps its name where it can: the user knows it by that.
        if new.producer is not None and not self.is_output(new) and not self._is_input(new):
            old.name, new.name = self.fresh(old.name), old.name
        self.outputs = [new if v is old else v for v in self.outputs]

    def _is_input(self, value: Value) -> bool:
        return any(value is v for v in self.inputs)

    def remove(self, node: Node) -> None:
        """Take a node out; raises InternalError while something still reads its outputs."""
        if any(out.users or self.is_output(out) for out in node.outputs):
            raise InternalError(f"{node.op} {node.name} is still in use")
        node.set_inputs(())
        del self._nodes[node]

    def remove_dead(self) -> int:
        """Remove the nodes that no output depends on; return how many."""
        live = {id(v) for v in self.outputs}
        removed = 0
        for node in reversed(self.nodes):
            if not any(out.users or id(out) in live for out in node.outputs):
                self.remove(node)
                removed += 1
        return removed

    def reorder(self, nodes: Sequence[Node]) -> None:
        """Run the graph's own nodes in another topological order; `sort` keeps it."""
        if set(nodes) != set(self._nodes):
            raise InternalError("an order must have exactly the graph's nodes")
        self._nodes = dict.fromkeys(nodes)

    def sort(self) -> None:
        """Restore the topological order, stable in the old one. Raises InternalError on a cycle."""
        order: dict[Node, None] = {}
        open_nodes: set[Node] = set()
        for root in self._nodes:
            self._visit(root, order, open_nodes)
        self._nodes = order

    def _visit(self, root: Node, order: dict[Node, None], open_nodes: set[Node]) -> None:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order[node] = None
                open_nodes.discard(node)
            elif node not in order:
                if node in open_nodes:
                    raise InternalError(f"the graph has a cycle through {node.name}")
                open_nodes.add(node)
                stack.append((node, True))
                producers = (v.producer for v in node.present_inputs)
                stack.extend((p, False) for p in producers if p is not None and p not in order)

    def copy(self) -> Graph:
        """A graph with nodes and values of its own that shares the constants' arrays."""
        return _copy(self, {})


def _copy(graph: Graph, memo: dict[int, Value]) -> Graph:
    def twin(value: Value) -> Value:
        if id(value) not in memo:
            memo[id(value)] = Value(
                value.name, value.shape, value.dtype, value.quant, value.data, packed=value.packed
            )
        return memo[id(value)]

    new = Graph(graph.name)
    source = graph.source
    new.source = dataclasses.replace(
        source,
        input_perms=dict(source.input_perms),
        output_perms=dict(source.output_perms),
        batch_moments=dict(source.batch_moments),
    )
    new.inputs = [twin(v) for v in graph.inputs]
    for node in graph.nodes:
        inputs = [None if v is None else twin(v) for v in node.inputs]
        new.add_node(Node(node.op, inputs, [twin(v) for v in node.outputs], node.attrs, node.name))
    new.outputs = [twin(v) for v in graph.outputs]
    return new
