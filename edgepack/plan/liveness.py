"""How long each value of a graph needs memory, when its nodes run in order.

Step 0 is before the first node (inputs are written then); node i runs in step i + 1; outputs live
to the end. Constants need no arena.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.ir import OPS, Graph, Node, Value
from edgepack.plan.arena import Buffer

IN_PLACE = frozenset(name for name, op in OPS.items() if op.elementwise) | {"BatchNorm"}
VIEWS = frozenset(("Reshape",))  # the same bytes under another shape


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The buffers that values need; `buffer_of` gives the index of a value's buffer by its name."""

    buffers: tuple[Buffer, ...]
    buffer_of: dict[str, int]
    steps: int


@dataclass(slots=True)
class _Storage:
    """Memory shared by the values of `members`, in use from `first` to `last`.

    `kept`: it holds an output of the graph, so nothing may be written over it.
    """

    members: list[Value]
    first: int
    last: int
    kept: bool

    def add(self, value: Value, last: int, kept: bool) -> None:
        """Let `value` share it."""
        self.members.append(value)
        self.last = max(self.last, last)
        self.kept = self.kept or kept


def lifetimes(
    graph: Graph, order: Sequence[Node] | None = None, *, share: bool = False
) -> Lifetimes:
    """Lifetimes of all computed values and inputs, for `order` (default: the graph's).

    With `share`, reshapes are views and elementwise operators write over an input of the same size
    and dtype that nothing reads afterwards.
    """
    nodes = list(graph.nodes if order is None else order)
    last = _last_uses(graph, nodes)
    storages: list[_Storage] = []
    home: dict[Value, _Storage] = {}

    def place(value: Value, step: int, shared: _Storage | None) -> None:
        end, kept = max(last.get(value, step), step), graph.is_output(value)
        if shared is None:
            shared = _Storage([value], step, end, kept)
            storages.append(shared)
        else:
            shared.add(value, end, kept)
        home[value] = shared

    for value in graph.inputs:
        place(value, 0, None)
    for step, node in enumerate(nodes, start=1):
        shared = _shared_storage(node, step, home) if share else None
        for index, value in enumerate(node.outputs):
            place(value, step, shared if index == 0 else None)
    return _collected(storages, len(nodes) + 1)


def _last_uses(graph: Graph, nodes: Sequence[Node]) -> dict[Value, int]:
    last: dict[Value, int] = {}
    for step, node in enumerate(nodes, start=1):
        last.update(dict.fromkeys(node.present_inputs, step))
    last.update(dict.fromkeys(graph.outputs, len(nodes)))
    return last


def _shared_storage(node: Node, step: int, home: dict[Value, _Storage]) -> _Storage | None:
    """The storage of an input that `node` may write its output to, if any."""
    out = node.output
    for value in node.present_inputs:
        storage = home.get(value)
        if storage is None or value.nbytes != out.nbytes or value.dtype is not out.dtype:
            continue
        free = storage.last == step and not storage.kept
        if node.op in VIEWS or (node.op in IN_PLACE and free and value.shape == out.shape):
            return storage
    return None


def _collected(storages: Sequence[_Storage], steps: int) -> Lifetimes:
    buffers = tuple(
        Buffer(s.members[0].name, s.members[0].nbytes, s.first, s.last) for s in storages
    )
    buffer_of = {v.name: index for index, s in enumerate(storages) for v in s.members}
    return Lifetimes(buffers, buffer_of, steps)
