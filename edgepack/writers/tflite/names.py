"""The builtin operators that a node becomes, found by lowering it into a recorder."""

from __future__ import annotations

from typing import Any

from edgepack.ir import Node, Value
from edgepack.writers.tflite.builder import TFLiteBuilder, lowers


def builtins_of(node: Node) -> tuple[str, ...]:
    """The TFLite builtins of a legalized node, in order; empty when it has no lowering."""
    recorder = _Recorder()
    lowering = lowers.table.get(node.op)
    if lowering is not None:
        lowering(node, recorder)
    return tuple(recorder.names)


class _Recorder(TFLiteBuilder):
    """A builder that builds nothing and notes only the operators."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def emit(self, builtin: str, node: Node, **rest: Any) -> None:
        self.names.append(builtin)

    def variable(self, value: Value) -> Value:
        return value

    def tensor(self, value: Value) -> int:
        return 0
