"""The builtin operators that a node becomes, found by lowering it into a recorder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.ir import Array, DType, Node, Value
from edgepack.writers.tflite.builder import lowers


def builtins_of(node: Node) -> tuple[str, ...]:
    """The TFLite builtins of a legalized node, in order; empty when it has no lowering."""
    recorder = _Recorder()
    lowering = lowers.table.get(node.op)
    if lowering is not None:
        lowering(node, recorder)  # type: ignore[arg-type]  # it offers what lowerings call
    return tuple(recorder.names)


class _Recorder:
    """Stands in for a TFLiteBuilder and notes only the operators."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def emit(self, builtin: str, node: Node, **rest: Any) -> None:
        self.names.append(builtin)

    def constant(self, name: str, data: Array | Sequence[Any], dtype: DType = DType.INT32) -> Value:
        array = np.asarray(data, dtype.numpy)
        return Value(name, array.shape, dtype, None, array)

    def tensor(self, value: Value) -> int:
        return 0
