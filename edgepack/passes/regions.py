"""Regions of nodes that could as well be computed in another form, changed where that is cheaper.

Starting from one value in another form (transposed, with dimensions of 1 inserted or dropped), a
*region* is every node that could be computed so, found by rules from value to value. Which of its
nodes to change is a minimum cut. What the forms are, what they cost and how a node is changed is
for a `Search` to say: `layout` has one for transposes, `unit_reshapes` one for dimensions of 1.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgepack.ir import Graph, Node, Value
from edgepack.passes.manager import run_pass

_log = logging.getLogger("edgepack.passes")

Form = TypeVar("Form", bound=Hashable)
Change = TypeVar("Change")


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a node."""

    index: int
    is_input: bool


class Region(ABC, Generic[Form, Change]):
    """The nodes that may change, and the other form of each value at their ports."""

    def __init__(self, start: Value, form: Form) -> None:
        self.forms: dict[Value, Form] = {start: form}
        self.changes: dict[Node, Change] = {}

    @abstractmethod
    def rule(self, node: Node, port: Port, form: Form) -> Change | None:
        """What `form` at `port` makes of `node`; None where it cannot be computed so."""

    @abstractmethod
    def join(self, node: Node, found: Change) -> list[Value] | None:
        """Take `node` in and return the values that are new; None when it conflicts with others."""

    def grow(self) -> None:
        """Take in all that can be reached."""
        queue = deque(self.forms)
        refused: set[Node] = set()
        while queue:
            value = queue.popleft()
            for node, port in _neighbours(value):
                if node in self.changes or node in refused:
                    continue
                found = self.rule(node, port, self.forms[value])
                fresh = None if found is None else self.join(node, found)
                if fresh is None:
                    refused.add(node)
                else:
                    queue.extend(fresh)


def _neighbours(value: Value) -> Iterator[tuple[Node, Port]]:
    for user in value.users:
        yield user, Port(user.present_inputs.index(value), True)
    if value.producer is not None:
        yield value.producer, Port(value.producer.outputs.index(value), False)


class Search(ABC, Generic[Form, Change]):
    """One kind of rewriting by regions, on one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @abstractmethod
    def price(self) -> int:
        """What the rewriting is to make less of."""

    @abstractmethod
    def seeds(self) -> Iterator[tuple[Value, Form]]:
        """Where a region may begin, and with which form."""

    @abstractmethod
    def region(self, start: Value, form: Form) -> Region[Form, Change]:
        """The region that begins there."""

    @abstractmethod
    def surroundings(self, region: Region[Form, Change]) -> set[Value]:
        """The region's values and those that are priced with it."""

    @abstractmethod
    def change(self, region: Region[Form, Change]) -> int:
        """Change what makes the region cheaper; return how many nodes (and inputs) that were."""

    @abstractmethod
    def tidy(self) -> int:
        """Cancel what meets after a change; return the rewrites."""

    def run(self) -> int:
        """Change regions as long as that makes the graph cheaper; return the rewrites."""
        count, price = 0, self.price()
        while price and (changed := run_pass(self.graph, self._improve)):
            count += changed + self.tidy()
            before, price = price, self.price()
            if price >= before:
                _log.debug("%s: no cheaper, %d then %d", type(self).__name__, before, price)
                break
        return count

    def _improve(self, graph: Graph) -> int:
        """Change every region that gains and lies apart from those changed before it."""
        count = 0
        tried: set[tuple[Value, Form]] = set()
        untouched = set(graph.values())  # what no change has made or moved yet
        for value, form in self.seeds():
            if (value, form) in tried or value not in untouched:
                continue
            region = self.region(value, form)
            region.grow()
            tried.update(region.forms.items())
            around = self.surroundings(region)
            if around <= untouched and (changed := self.change(region)):
                untouched -= around
                count += changed
        return count
