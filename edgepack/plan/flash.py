"""What a model takes of flash: its weights, the structure around them, the code that runs it."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ir import Graph

# What the TFLite form of one entry takes beside its name (shape, table, alignment), and what each
# quantized channel adds: a float32 scale and an int64 zero point.
_TENSOR_BYTES = 110
_NODE_BYTES = 70
_MODEL_BYTES = 600
_CHANNEL_BYTES = 12


@dataclass(frozen=True, slots=True)
class FlashUse:
    """Bytes of flash; `code_bytes` is None where no figure for the runtime's code is known."""

    weight_bytes: int
    graph_bytes: int
    code_bytes: int | None = None

    @property
    def total_bytes(self) -> int:
        """All of it together."""
        return self.weight_bytes + self.graph_bytes + (self.code_bytes or 0)


def weight_bytes(graph: Graph) -> int:
    """Bytes of the constants, each array once."""
    return sum({id(v.data): v.nbytes for v in graph.constants()}.values())


def flash_of_file(data: bytes, graph: Graph, code_bytes: int | None = None) -> FlashUse:
    """Of a written file that goes to the device as it is; `graph` is what it was written from."""
    weights = min(weight_bytes(graph), len(data))
    return FlashUse(weights, len(data) - weights, code_bytes)


def flash_of_graph(graph: Graph, code_bytes: int | None = None) -> FlashUse:
    """Of a graph that has no file yet; the structure's size is an estimate."""
    values = list(graph.values())
    channels = sum(v.quant.scale.size for v in values if v.quant)
    structure = (
        _MODEL_BYTES
        + sum(_TENSOR_BYTES + len(v.name) for v in values)
        + _NODE_BYTES * len(graph)
        + _CHANNEL_BYTES * channels
    )
    return FlashUse(weight_bytes(graph), structure, code_bytes)
