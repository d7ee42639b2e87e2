"""What a model takes of flash: its weights, the structure around them, the code that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgepack.ir import Graph


@dataclass(frozen=True, slots=True)
class FlashUse:
    """Bytes of flash; `code_bytes` is None where no figure for the runtime's code is known.

    Of code that is compiled with the model, `compiler` says with what, and `by_compiler` has the
    total for each compiler that there are figures for.
    """

    weight_bytes: int
    graph_bytes: int
    code_bytes: int | None = None
    compiler: str | None = None
    by_compiler: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """All of it together."""
        return self.weight_bytes + self.graph_bytes + (self.code_bytes or 0)


def weight_bytes(graph: Graph) -> int:
    """Bytes of the constants as they are stored, each array once."""
    stored = {id(v.data): v.stored_bytes for v in graph.constants()}
    return sum(stored.values())


def flash_of_file(data: bytes, graph: Graph, code_bytes: int | None = None) -> FlashUse:
    """Of a written file that goes to the device as it is; `graph` is what it was written from."""
    weights = min(weight_bytes(graph), len(data))
    return FlashUse(weights, len(data) - weights, code_bytes)
