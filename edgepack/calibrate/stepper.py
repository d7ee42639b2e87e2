"""Runs a graph node by node over all samples at once, so that nodes may change on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from edgepack.ir import Array, Graph, Node, Value
from edgepack.passes.legalize_tflite import legalize_tflite
from edgepack.run.host import host_runtime

_BUDGET_BYTES: Final = 1 << 30  # of values, float and quantized


class Stepper:
    """A graph legalized for TFLite (float or integer) and the values of its samples.

    A `canonical` float graph is not legalized yet: each node is by itself, when its turn comes.
    Values are kept from where they are made to where they are last read: memory grows with the
    number of samples, which is therefore the caller's to bound.
    """

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Sequence[Array]],
        *,
        threads: int = 2,
        canonical: bool = False,
    ) -> None:
        self._threads = threads
        self._canonical = canonical
        self._nodes = graph.nodes
        self._next = 0
        self._arrays: dict[Value, list[Array]] = {
            value: [sample[index] for sample in samples] for index, value in enumerate(graph.inputs)
        }
        self._last = {v: i for i, n in enumerate(self._nodes) for v in n.present_inputs}
        self._last.update(dict.fromkeys(graph.outputs, len(self._nodes)))  # kept to the end

    @property
    def node(self) -> Node | None:
        """The node that `step` runs next; None at the end."""
        return self._nodes[self._next] if self._next < len(self._nodes) else None

    def knows(self, value: Value) -> bool:
        """Whether `value` has been made, and is read still."""
        return value in self._arrays

    def only_user(self, node: Node) -> Node | None:
        """The one node that reads what `node` makes; None when several do, or the caller."""
        users = list(node.output.users)
        alone = len(users) == 1 and self._last.get(node.output) != len(self._nodes)
        return users[0] if alone else None

    def arrays(self, value: Value) -> list[Array]:
        """What `value` is in each sample; it must have been made, and be read still."""
        return self._arrays[value]

    def advance_to(self, name: str) -> Node:
        """Run all nodes before the one of this name, which must be ahead, and return that."""
        while (node := self._nodes[self._next]).name != name:
            self.step()
        return node

    def outputs(self) -> list[list[Array]]:
        """What the next node gives as it is now, for each sample a list of its outputs."""
        node = self._nodes[self._next]
        fed = _fed(node)
        alone = _alone(node, fed)
        if self._canonical:
            legalize_tflite(alone)
        runtime = host_runtime(alone, threads=self._threads)
        arrays = (self._arrays[value] for value in fed)
        return [runtime.run(inputs) for inputs in zip(*arrays, strict=True)]

    def step(self, outputs: Sequence[Sequence[Array]] | None = None) -> None:
        """Go past the next node, whose `outputs` may be known already."""
        node = self._nodes[self._next]
        results = self.outputs() if outputs is None else outputs
        for index, value in enumerate(node.outputs):
            if value in self._last:
                self._arrays[value] = [result[index] for result in results]
        for value in _fed(node):
            if self._last[value] == self._next:
                del self._arrays[value]
        self._next += 1


def affordable(
    graph: Graph, samples: Iterable[Sequence[Array]], most: int
) -> list[Sequence[Array]]:
    """The first samples, at most `most`, whose values at one place of the graph fit in memory."""
    count = max(1, min(most, _BUDGET_BYTES // max(2 * peak_bytes(graph), 1)))
    return list(islice(samples, count))


def peak_bytes(graph: Graph) -> int:
    """Bytes of the activations that are alive at once in one sample, at the worst place."""
    nodes = graph.nodes
    last = {v: i for i, n in enumerate(nodes) for v in n.present_inputs if not v.is_const}
    last.update((v, len(nodes)) for v in graph.outputs)
    alive = sum(v.nbytes for v in graph.inputs)
    peak = alive
    for index, node in enumerate(nodes):
        alive += sum(v.nbytes for v in node.outputs)
        peak = max(peak, alive)
        ends = {v for v in (*node.present_inputs, *node.outputs) if last.get(v, -1) <= index}
        alive -= sum(v.nbytes for v in ends if not v.is_const)
    return peak


def _fed(node: Node) -> list[Value]:
    return list(dict.fromkeys(v for v in node.present_inputs if not v.is_const))


def _alone(node: Node, fed: Sequence[Value]) -> Graph:
    """A graph of this node only, whose inputs are `fed`."""

    def twin(value: Value) -> Value:
        return Value(value.name, value.shape, value.dtype, value.quant, value.data)

    twins = {value: twin(value) for value in (*node.present_inputs, *node.outputs)}
    graph = Graph(node.name)
    graph.inputs = [twins[value] for value in fed]
    graph.outputs = [twins[value] for value in node.outputs]
    inputs = [None if v is None else twins[v] for v in node.inputs]
    graph.add_node(Node(node.op, inputs, graph.outputs, node.attrs, node.name))
    return graph
